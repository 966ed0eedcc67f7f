"""The gate's network: small enough to cost a fraction of a reading, with features at two depths.

four 3×3 convolutions of stride 2 (12, 24, 48, 48 channels), batch norm, ReLU → mean → kinds
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (12, 24, 48, 48)
FEATURES = 48  # channels at either depth


class GateNet(nn.Module):
    """Tells kinds of pictures apart: one class a task, and classes for what no task reads."""

    def __init__(self, *, num_classes: int, in_chans: int = 3):
        super().__init__()
        channels = (in_chans, *WIDTHS)
        self.stages = nn.ModuleList(_stage(a, b) for a, b in pairwise(channels))
        self.head = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: (B, in_chans, S, S) in 0–1 → logits (B, num_classes), features (B, 48) after stages three and four."""
        for stage in self.stages[:-1]:
            x = stage(x)
        low = x.mean(dim=(2, 3))
        high = self.stages[-1](x).mean(dim=(2, 3))
        return self.head(high), low, high


def _stage(in_chans: int, out_chans: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_chans, out_chans, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_chans), nn.ReLU())


class GatedDistances(nn.Module):
    """What is exported: logits, and for each task how far the picture lies from all that the task was taught with.

    Mahalanobis distance to the nearest source's mean, under the covariance within sources, at both depths
    (Lee et al. 2018, with sources for classes).
    """

    def __init__(self, net: GateNet, *, whitening: list[Tensor], means: list[list[Tensor]]):
        """whitening: two (48, 48); means: for each depth, for each task, whitened (n_sources, 48)."""
        super().__init__()
        self.net = net
        for depth, matrix in enumerate(whitening):
            self.register_buffer(f"whitening{depth}", matrix)
            for task, rows in enumerate(means[depth]):
                self.register_buffer(f"means{depth}_{task}", rows)
        self.n_tasks = len(means[0])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image: uint8 (B, S, S, 3) → logits (B, kinds), distances (B, 2, tasks)."""
        logits, *features = self.net(image.permute(0, 3, 1, 2).float() / 255)
        return logits, torch.stack([self._nearest(depth, f) for depth, f in enumerate(features)], dim=1)

    def _nearest(self, depth: int, features: Tensor) -> Tensor:
        whitened = features @ getattr(self, f"whitening{depth}")  # (B, 48)
        columns = []
        for task in range(self.n_tasks):
            means = getattr(self, f"means{depth}_{task}")  # (n_sources, 48)
            squares = ((whitened[:, None] - means[None]) ** 2).sum(dim=2)  # (B, n_sources)
            columns.append(squares.min(dim=1).values.sqrt())
        return torch.stack(columns, dim=1)
