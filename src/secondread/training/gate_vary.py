"""Varies whole batches of the gate's pictures on any device: turns, canvases, crops, exposures, edges, marks, noise.

A picture that is right stays so whatever the frame, the exposure and the export; what the gate learns of a kind must
not be how its one source framed it.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_MOVED_ALONE = 0.35  # share of pictures whose levels stay as they were
UPRIGHT, QUARTERS, ANY = 0, 1, 2  # how a picture may be turned: hardly, by quarters besides, by any angle


class Vary:
    """Draws from one generator, so that a seed decides what every batch becomes."""

    def __init__(self, *, random_state: int, device: torch.device | str = "cpu"):
        self.generator = torch.Generator(device).manual_seed(random_state)
        self._device = torch.device(device)

    def __call__(self, images: Tensor, extents: Tensor, turns: Tensor) -> Tensor:
        """images: (B, 3, S, S) in 0–1; extents: (B, 2), the share of height and width that is no padding;
        turns: int (B,), UPRIGHT, QUARTERS or ANY → a batch of the same shape.
        """
        moved = self._move(images, extents, turns)
        varied = self._mark(self._cover(self._blur(self._expose(moved))))
        noise = torch.randn(
            len(images), 1, *images.shape[2:], generator=self.generator, device=self._device
        ) * self._some(images, 0.3, 0.0, 0.04)
        varied = torch.where(self._some(images, _MOVED_ALONE, 1, 1) > 0, moved, varied + noise)
        return (varied.clamp(0, 1) * 255).round() / 255

    def uniform(self, n: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(n,) draws between low and high."""
        return low + (high - low) * torch.rand(n, generator=self.generator, device=self._device)

    def _some(self, images: Tensor, share: float, low: float, high: float, otherwise: float = 0.0) -> Tensor:
        """(B, 1, 1, 1): a draw for that share of the batch, `otherwise` for the rest."""
        n = len(images)
        drawn = torch.where(self.uniform(n) < share, self.uniform(n, low, high), otherwise)
        return drawn[:, None, None, None]

    def _move(self, images: Tensor, extents: Tensor, turns: Tensor) -> Tensor:
        n = len(images)
        angle = torch.randn(n, generator=self.generator, device=self._device) * 0.1
        quarters = torch.floor(self.uniform(n, 0, 4)) * (math.pi / 2)
        angle = angle + torch.where(turns >= QUARTERS, quarters, 0.0)
        free = (turns == ANY) & (self.uniform(n) < 0.5)
        angle = torch.where(free, self.uniform(n, 0, 2 * math.pi), angle)
        mirror = torch.where(self.uniform(n) < 0.5, -1.0, 1.0)
        zoom = torch.exp(self.uniform(n, -0.15, 0.2))
        frame = self.uniform(n)  # a small film on a large canvas, or a part of a film
        zoom = zoom * torch.where(frame < 0.3, self.uniform(n, 0.45, 1.0), 1.0)
        zoom = zoom * torch.where(frame > 0.7, self.uniform(n, 1.0, 1.6), 1.0)
        stretch = torch.exp(self.uniform(n, -0.2, 0.2))
        cos, sin = torch.cos(angle), torch.sin(angle)
        # from a place on the new picture to one on the old
        across, down = mirror / (zoom * stretch), stretch / zoom
        rows = torch.stack([
            torch.stack([across * cos, across * sin], dim=1),
            torch.stack([-down * sin, down * cos], dim=1),
        ], dim=1)  # fmt: skip
        reach = 0.08 + (1 - zoom).clamp(min=0) * 0.5
        shift = torch.stack([self.uniform(n, -1, 1) * reach, self.uniform(n, -1, 1) * reach], dim=1)
        theta = torch.cat([rows, torch.bmm(rows, -shift[:, :, None])], dim=2)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        moved = F.grid_sample(images, grid, align_corners=False)
        inside = (grid[..., 0].abs() <= extents[:, 1, None, None]) & (grid[..., 1].abs() <= extents[:, 0, None, None])
        return torch.where(inside[:, None], moved, self._some(images, 0.12, 0.0, 1.0))

    def _expose(self, images: Tensor) -> Tensor:
        """Another window, gamma, gain, offset, and now and then a tint."""
        low, high = self._some(images, 0.3, -0.1, 0.12), self._some(images, 0.3, 0.6, 1.3, 1.0)
        images = ((images - low) / (high - low)).clamp(0, 1)
        images = (images + 1e-4) ** torch.exp(self._some(images, 0.8, -0.6, 0.6))
        dim = torch.exp(self._some(images, 0.3, -1.3, 0.0))
        images = images * dim * self._some(images, 0.8, 0.8, 1.15, 1.0) + self._some(images, 0.5, -0.05, 0.05)
        tint = 1 + self._some(images, 0.1, 0, 0.12) * (
            2 * torch.rand(len(images), 3, 1, 1, generator=self.generator, device=self._device) - 1
        )
        return (images * tint).clamp(0, 1)

    def _blur(self, images: Tensor) -> Tensor:
        """A third as coarse as a smaller picture of the same."""
        side = images.shape[2]
        coarse = max(8, int(side * float(self.uniform(1, 0.4, 0.95))))
        small = F.interpolate(images, size=coarse, mode="bilinear", antialias=True, align_corners=False)
        large = F.interpolate(small, size=side, mode="bilinear", align_corners=False)
        return torch.where((self.uniform(len(images)) < 0.33)[:, None, None, None], large, images)

    def _cover(self, images: Tensor) -> Tensor:
        """Sides covered: collimated black, the bright edge of a film, the bars that another canvas brings."""
        y, x = self._places(images)
        covered = torch.zeros_like(images[:, :1], dtype=torch.bool)
        for place in (y, 1 - y, x, 1 - x):
            covered = covered | (place < self._some(images, 0.08, 0.02, 0.2))
        level = torch.where(self._some(images, 0.35, 1, 1) > 0, self._some(images, 1, 0.3, 1), 0.0)
        return torch.where(covered, level, images)

    def _mark(self, images: Tensor) -> Tensor:
        """Bright patches, as large as letters on a film are."""
        y, x = self._places(images)
        for _ in range(2):
            top, left = self._some(images, 1, 0, 1), self._some(images, 1, 0, 1)
            height, width = self._some(images, 0.2, 0.02, 0.08), self._some(images, 1, 0.02, 0.15)
            patch = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
            images = torch.where(patch, self._some(images, 1, 0.6, 1), images)
        return images

    def _places(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """y (S, 1) and x (S,) of every pixel, 0–1."""
        line = (torch.arange(images.shape[2], device=self._device) + 0.5) / images.shape[2]
        return line[:, None], line


def invert(images: Tensor, extents: Tensor, whole: Tensor) -> Tensor:
    """Bright for dark: the whole square where `whole`, else what lies inside its padding."""
    line = torch.linspace(-1, 1, images.shape[2], device=images.device)
    inside = (line.abs()[None, :, None] <= extents[:, 0, None, None]) & (
        line.abs()[None, None, :] <= extents[:, 1, None, None]
    )
    return torch.where((inside | whole[:, None, None])[:, None], 1 - images, images)


def turn(images: Tensor, way: Tensor) -> Tensor:
    """Each picture in one of the eight ways that a square lies: 0–3 quarters, 4–7 the same of its mirror image.

    way: int (B,). Of a film of a standing person 0 and 4 are upright, all others are turned.
    """
    ways = [torch.rot90(images, quarters, (2, 3)) for quarters in range(4)]
    mirrored = images.flip(3)
    ways += [torch.rot90(mirrored, quarters, (2, 3)) for quarters in range(4)]
    return torch.stack(ways)[way, torch.arange(len(images), device=images.device)]
