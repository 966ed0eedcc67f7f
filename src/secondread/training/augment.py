"""Augmentation of whole batches of tensors: one interpolation for rotation and flips together."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from secondread.training.recipes import Recipe


def augment(x: Tensor, recipe: Recipe, *, generator: torch.Generator) -> Tensor:
    """Each image of the batch changed at random, as the recipe says.

    x: float (batch, channels, size, size) in 0–1, returned in the same range.
    generator: on the CPU, so that every device draws the same numbers.
    """
    chosen = set(recipe.augmentations)
    if chosen & {"rotation", "horizontal_flip", "vertical_flip"}:
        x = _move(x, _placements(len(x), chosen, recipe.rotation_degrees, generator))
    if "contrast" in chosen:
        x = _change_contrast(x, recipe.contrast, generator)
    if "gaussian_blur" in chosen:
        x = _blur_some(x, recipe.blur_share, recipe.blur_sigma, generator)
    return x


def _placements(n: int, chosen: set[str], degrees: float, generator: torch.Generator) -> Tensor:
    """(n, 2, 3) affine matrices: a flip of either axis, then a rotation about the centre."""
    limit = math.radians(degrees) if "rotation" in chosen else 0.0
    angle = (torch.rand(n, generator=generator) * 2 - 1) * limit
    flip = torch.randint(0, 2, (n, 2), generator=generator) * 2 - 1  # ±1 for x and y
    flip_x = flip[:, 0] if "horizontal_flip" in chosen else torch.ones(n)
    flip_y = flip[:, 1] if "vertical_flip" in chosen else torch.ones(n)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros(n)
    rows = [flip_x * cos, -flip_x * sin, zero, flip_y * sin, flip_y * cos, zero]
    return torch.stack(rows, dim=1).view(n, 2, 3)


def _move(x: Tensor, placements: Tensor) -> Tensor:
    grid = F.affine_grid(placements.to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)  # bilinear, black outside


def _change_contrast(x: Tensor, factors: tuple[float, float], generator: torch.Generator) -> Tensor:
    low, high = factors
    factor = (low + (high - low) * torch.rand(len(x), 1, 1, 1, generator=generator)).to(x)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return ((x - mean) * factor + mean).clamp(0, 1)


def _blur_some(x: Tensor, share: float, sigma: float, generator: torch.Generator) -> Tensor:
    """A 5×5 Gaussian, as two passes of 5 taps, on a random share of the images."""
    chosen = torch.nonzero(torch.rand(len(x), generator=generator) < share)[:, 0].to(x.device)
    if not len(chosen):
        return x
    taps = torch.exp(-0.5 * (torch.arange(-2.0, 3.0) / sigma) ** 2)
    taps = (taps / taps.sum()).to(x)
    images = x[chosen]
    flat = F.pad(images.flatten(0, 1)[:, None], (2, 2, 2, 2), mode="replicate")
    blurred = F.conv2d(F.conv2d(flat, taps.view(1, 1, 1, 5)), taps.view(1, 1, 5, 1))
    return x.index_copy(0, chosen, blurred.view_as(images))
