"""The attention and the multi-scale network: exact maps, cells that tile the input, what their blocks compute."""

import pytest
import torch

from secondread.lab.zoo.residual import ChannelAttention, MultiScaleBlock, SpatialAttention
from secondread.models import create_model

small_cnns = pytest.mark.parametrize("name", ["cbam", "multiscale"])


@small_cnns
def test_cells_add_up_to_the_logit(name):
    torch.manual_seed(0)
    model = create_model(name, in_chans=1).double().eval()
    logit, cam = model.forward_map(torch.rand(2, 1, 128, 128, dtype=torch.float64))
    torch.testing.assert_close(cam.sum(dim=(1, 2)) + model.head.bias, logit)


@small_cnns
def test_cells_tile_the_input(name):
    model = create_model(name, in_chans=1)
    assert model.geometry.extent(model.features(torch.rand(2, 1, 128, 128)).shape[-1]) == (0.0, 128.0)


@small_cnns
@pytest.mark.parametrize("size", [64, 100, 224])
def test_takes_other_sizes(name, size):
    model = create_model(name, in_chans=1, input_size=size).eval()
    assert model.forward_map(torch.rand(1, 1, size, size))[1].shape == (1, size // 16, size // 16)


def test_channel_attention_weighs_each_channel_alike_everywhere():
    x = torch.rand(2, 32, 6, 6) + 0.1
    weights = ChannelAttention(32)(x) / x
    assert ((weights > 0) & (weights < 1)).all()
    torch.testing.assert_close(weights, weights[:, :, :1, :1].expand_as(weights))


def test_spatial_attention_weighs_each_place_alike_in_all_channels():
    x = torch.rand(2, 32, 6, 6) + 0.1
    weights = SpatialAttention()(x) / x
    assert ((weights > 0) & (weights < 1)).all()
    torch.testing.assert_close(weights, weights[:, :1].expand_as(weights))


def test_branches_see_three_five_and_seven_pixels():
    block = MultiScaleBlock(1, 8)
    for branch, field in zip(block.branches, (3, 5, 7), strict=True):
        x = torch.zeros(1, 1, 15, 15, requires_grad=True)
        branch(x)[0, :, 7, 7].sum().backward()
        rows = torch.nonzero(x.grad[0, 0].abs().sum(dim=1))[:, 0]
        assert (int(rows.min()), int(rows.max())) == (7 - field // 2, 7 + field // 2)
