"""The gate's network: the first stages of EfficientNet-Lite 0, with features at two depths.

stem and stages (models/efficientnet_lite.py) → means of the last two stages, greatest values of the last → kinds

ImageNet's weights matter more here than elsewhere: some kinds are taught by ten pictures of one hospital.
"""

import torch
from torch import Tensor, nn

from secondread.models.efficientnet_lite import MEAN, STD, efficientnet_lite0


class GateNet(nn.Module):
    """Tells kinds of pictures apart: one class a task, and classes for what no task reads.

    stages: of EfficientNet-Lite 0 that are kept; five end at cells of 16 pixels, and cost 1.4 ms at 96 pixels.
    pretrained: ImageNet weights. Raises ExtraMissing if their package is not installed.
    """

    def __init__(self, *, num_classes: int, stages: int = 5, pretrained: bool = False):
        super().__init__()
        whole = efficientnet_lite0(num_classes=1, pretrained=pretrained)
        self.stem = whole.stem
        self.stages = nn.ModuleList(list(whole.blocks)[:stages])
        low, high = (_channels(stage) for stage in self.stages[-2:])
        self.head = nn.Linear(low + 2 * high, num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: (B, 3, S, S) in 0–1 → logits (B, num_classes), means of the last two stages (B, low), (B, high)."""
        x = self.stem((x * 255 - MEAN) / STD)
        for stage in self.stages[:-1]:
            x = stage(x)
        last = self.stages[-1](x)
        low, high = x.mean(dim=(2, 3)), last.mean(dim=(2, 3))
        return self.head(torch.cat([low, high, last.amax(dim=(2, 3))], dim=1)), low, high


def _channels(stage: nn.Module) -> int:
    return [layer.out_channels for layer in stage.modules() if isinstance(layer, nn.Conv2d)][-1]


class GatedDistances(nn.Module):
    """What is exported: logits, and for each task how far the picture lies from all that the task was trained on.

    Mahalanobis distance to the nearest source's mean, under the covariance within sources, at both depths
    (Lee et al. 2018, with sources for classes).
    """

    def __init__(self, net: GateNet, *, whitening: list[Tensor], means: list[list[Tensor]]):
        """whitening: (low, low) and (high, high); means: for each depth, for each task, whitened (n_sources, width)."""
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
        whitened = features @ getattr(self, f"whitening{depth}")  # (B, width)
        away = whitened[:, None, None] - getattr(self, f"means{depth}")  # (B, tasks, n_sources, width)
        return (away * away).sum(dim=3).amin(dim=2).sqrt()


def _stacked(means: list[Tensor]) -> Tensor:
    """As one tensor (tasks, n_sources, width): few large steps run faster than many small ones.

    A task of fewer sources has its first mean again, which makes none nearer.
    """
    most = max(len(rows) for rows in means)
    return torch.stack([torch.cat([rows, rows[:1].expand(most - len(rows), -1)]) for rows in means])
