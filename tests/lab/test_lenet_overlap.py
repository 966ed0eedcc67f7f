"""The overlapping variant: as many parameters as the paper's network, the same layers, its cells' places."""

import pytest
import torch
from torch import nn

from secondread.models import create_model


def count(name, size, channels=1):
    return sum(p.numel() for p in create_model(name, in_chans=channels, input_size=size).parameters())


@pytest.mark.parametrize("size", [31, 64, 100, 128, 160, 224])
@pytest.mark.parametrize("channels", [1, 3])
def test_has_as_many_parameters_as_lenet(size, channels):
    assert count("lenet-overlap", size, channels) == count("lenet", size, channels)


def test_is_lenet_with_overlapping_pools():
    torch.manual_seed(0)
    model = create_model("lenet-overlap", in_chans=1)
    reference = nn.Sequential(
        model.conv1, nn.Tanh(), nn.AvgPool2d(3, stride=2), model.conv2, nn.Tanh(), nn.AvgPool2d(3, stride=2),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), model.fc1, nn.ReLU(), model.fc2, nn.ReLU(), model.fc3,
    )  # fmt: skip
    x = torch.rand(3, 1, 128, 128)
    torch.testing.assert_close(model(x), reference(x))


@pytest.mark.parametrize("size", [64, 100, 128, 224])
def test_geometry_names_the_pixels_that_a_cell_sees(size):
    model = create_model("lenet-overlap", in_chans=1, input_size=size).double()
    x = torch.rand(1, 1, size, size, dtype=torch.float64)
    for cell in range(model.features(x).shape[-1]):
        pixels = x.clone().requires_grad_()
        model.features(pixels)[0, :, cell, 0].sum().backward()
        seen = torch.nonzero(pixels.grad[0, 0].abs().sum(dim=1))[:, 0]
        assert (float(seen.min()) + float(seen.max()) + 1) / 2 == (
            model.geometry.first_centre + cell * model.geometry.stride
        )


def test_map_is_gradient_times_activation():
    torch.manual_seed(0)
    model = create_model("lenet-overlap", in_chans=1).double()
    x = torch.rand(3, 1, 128, 128, dtype=torch.float64)
    features = model.features(x).detach().requires_grad_()
    out = model.fc3(torch.relu(model.fc2(torch.relu(model.fc1(features.flatten(1))))))
    (gradient,) = torch.autograd.grad(out.sum(), features)
    torch.testing.assert_close(model.forward_map(x)[1], (gradient * features).sum(dim=1))
