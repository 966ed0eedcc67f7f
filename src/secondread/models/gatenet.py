"""The gate's network: small enough to cost a fraction of a reading, with features at two depths.

four 3×3 convolutions of stride 2 (12, 24, 48, 96 channels), batch norm, ReLU
→ means of the last two stages, greatest values of the last → kinds
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (12, 24, 48, 96)


class GateNet(nn.Module):
    """Tells kinds of pictures apart: one class a task, and classes for what no task reads."""

    def __init__(self, *, num_classes: int, in_chans: int = 3):
        super().__init__()
        channels = (in_chans, *WIDTHS)
        self.stages = nn.ModuleList(_stage(a, b) for a, b in pairwise(channels))
        self.head = nn.Linear(WIDTHS[-2] + 2 * WIDTHS[-1], num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: (B, in_chans, S, S) in 0–1 → logits (B, num_classes), means of stages three (B, 48) and four (B, 96)."""
        for stage in self.stages[:-1]:
            x = stage(x)
        last = self.stages[-1](x)
        low, high = x.mean(dim=(2, 3)), last.mean(dim=(2, 3))
        return self.head(torch.cat([low, high, last.amax(dim=(2, 3))], dim=1)), low, high


def _stage(in_chans: int, out_chans: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_chans, out_chans, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_chans), nn.ReLU())


class GatedDistances(nn.Module):
    """What is exported: logits, and for each task how far the picture lies from all that the task was trained on.

    Mahalanobis distance to the nearest source's mean, under the covariance within sources, at both depths
    (Lee et al. 2018, with sources for classes).
    """

    def __init__(self, net: GateNet, *, whitening: list[Tensor], means: list[list[Tensor]]):
        """whitening: (48, 48) and (96, 96); means: for each depth, for each task, whitened (n_sources, 48 or 96)."""
        super().__init__()
        self.net = net
        for depth, matrix in enumerate(whitening):
            self.register_buffer(f"whitening{depth}", matrix)
            self.register_buffer(f"means{depth}", _stacked(means[depth]))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image: uint8 (B, S, S, 3) → logits (B, kinds), distances (B, 2, tasks)."""
        logits, *features = self.net(image.permute(0, 3, 1, 2).float() / 255)
        return logits, torch.stack([self._nearest(depth, f) for depth, f in enumerate(features)], dim=1)

    def _nearest(self, depth: int, features: Tensor) -> Tensor:
        whitened = features @ getattr(self, f"whitening{depth}")  # (B, 48 or 96)
        away = whitened[:, None, None] - getattr(self, f"means{depth}")  # (B, tasks, n_sources, 48 or 96)
        return (away * away).sum(dim=3).amin(dim=2).sqrt()


def _stacked(means: list[Tensor]) -> Tensor:
    """As one tensor (tasks, n_sources, 48 or 96): few large steps run faster than many small ones.

    A task of fewer sources has its first mean again, which makes none nearer.
    """
    most = max(len(rows) for rows in means)
    return torch.stack([torch.cat([rows, rows[:1].expand(most - len(rows), -1)]) for rows in means])
