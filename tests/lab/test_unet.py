"""The U-Net classifier: MONAI's segmentation, a map that is its lesions, an answer that rises with them."""

import pytest
import torch
from torch.nn import functional as F

from secondread.models import create_model


def unet(size=64, **options):
    torch.manual_seed(0)
    return create_model("unet", in_chans=1, input_size=size, **options).eval()


@torch.no_grad()
def test_lesions_are_what_monais_network_outlines():
    model, x = unet(), torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(model.lesions(x)[1], model.unet(x)[:, 0])


@pytest.mark.parametrize(("size", "cells"), [(32, 32), (64, 32), (80, 20), (128, 32), (224, 32)])
@torch.no_grad()
def test_map_is_the_mean_of_the_lesion_logits_in_each_cell(size, cells):
    model, x = unet(size), torch.rand(1, 1, size, size)
    logits, lesions = model.lesions(x)
    logit, cam = model.forward_map(x)
    assert cam.shape == (1, cells, cells)
    assert model.geometry.extent(cells) == (0.0, size)
    torch.testing.assert_close(logit, logits[:, 0])
    torch.testing.assert_close(cam, F.adaptive_avg_pool2d(lesions, cells))


@torch.no_grad()
def test_answer_rises_by_what_every_lesion_logit_rises():
    model, x = unet(num_classes=3), torch.rand(1, 1, 64, 64)
    before = model(x)
    model.unet.final_conv.bias += torch.tensor([0.0, 1.0, -2.0])
    torch.testing.assert_close(model(x) - before, torch.tensor([[0.0, 1.0, -2.0]]), rtol=0, atol=1e-5)


def test_every_lesion_logit_speaks_for_the_class():
    model, x = unet(), torch.rand(1, 1, 64, 64)
    _, lesions = model._segment(x)
    lesions = lesions.detach().requires_grad_()
    model._segment = lambda _: (torch.zeros(1, 256, 4, 4), lesions)
    model(x).sum().backward()
    assert (lesions.grad > 0).all()


def test_learns_an_outline():
    model = unet(32).train()
    generator = torch.Generator().manual_seed(3)
    x, outline = torch.rand(8, 1, 32, 32, generator=generator) * 0.3, torch.zeros(8, 32, 32)
    for index in range(8):
        outline[index, 2 * index : 2 * index + 10, 6:20] = 1.0
    x[:, 0] += 0.6 * outline
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model.lesions(x)[1], outline)
        loss.backward()
        optimizer.step()
    assert ((model.lesions(x)[1] > 0) == outline.bool()).float().mean() > 0.97
