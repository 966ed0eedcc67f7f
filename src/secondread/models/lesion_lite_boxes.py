"""LesionLite that also draws: the same network and the same answer, and a box for every cell of 8 pixels.

the features of LesionLite at stride 32, 16 and 8, each 1×1, the coarser ones doubled and added (Lin et al. 2017, FPN)
→ two depthwise-separable 5×5 → 1×1: a score for every cell and how far its box's four sides are away (Tian et al. 2019)

A cell's score is what LesionLite's map says of its place, and what the second neck adds to that. The greatest is then
moved to LesionLite's answer, and each other one lies `steepness` times as far below it: an image is positive exactly
where one of its boxes is, and no answer changes when a network that reads well learns to draw.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.models.cam import MapGeometry
from secondread.models.efficientnet_lite import FEATURES
from secondread.models.lesion_boxes import FIRST_REACH, SIDES, WIDTH, reach_of, separable, to_width
from secondread.models.lesion_lite import LesionLite, smooth_maximum

_STRIDE = 8.0  # pixels of a cell that has a box


class LesionLiteBoxes(LesionLite):
    """3.7 M parameters with Lite 0, 0.2 M of them `finder`, the part that draws. Options as LesionLite takes them."""

    steepness: Tensor
    map_method = "score of the box at every cell, whose greatest is the answer"

    def __init__(self, *, dropout: float = 0.2, **options: Any):
        super().__init__(dropout=dropout, **options)
        channels = {"fine": self.backbone.fine_channels, "middle": self.backbone.middle_channels, "last": FEATURES}
        self.finder = nn.ModuleDict({name: to_width(n) for name, n in channels.items()})
        self.finder["tower"] = nn.Sequential(separable(), separable(), nn.Dropout(dropout))
        head, trust = nn.Conv2d(WIDTH, 1 + SIDES, 1), nn.Conv2d(1, 1, 1)
        nn.init.normal_(head.weight, std=0.01)
        head.bias = nn.Parameter(torch.tensor([0.0] + [math.log(FIRST_REACH)] * SIDES))
        trust.weight, trust.bias = nn.Parameter(torch.ones(1, 1, 1, 1)), nn.Parameter(torch.zeros(1))
        self.finder.update({"head": head, "trust": trust})  # trust: in the map of LesionLite
        self.register_buffer("steepness", torch.tensor(1.0))  # chosen by validation: how far other places fall behind
        self.geometry = MapGeometry(first_centre=_STRIDE / 2, stride=_STRIDE)

    def forward(self, x: Tensor) -> Tensor:
        """As LesionLite, whose answer it is. What draws has a share of nothing in it, so that labels, which say nothing
        of places, leave it as it is, and whoever trains by labels alone finds a gradient at every weight."""
        logits, local, reach = self.taught_boxes(x)
        return logits + 0 * (local.mean() + reach.mean()) if self.training else logits

    def forward_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (B,) and the score of every cell (B, S/8, S/8)."""
        logit, scores, _ = self.forward_boxes(x)
        return logit, scores

    def forward_boxes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logit (B,), scores (B, rows, columns), and the box of every cell (B, 4, rows, columns): how far its left,
        top, right and bottom lie from the cell's centre, in pixels of the input."""
        logits, local, reach = self.taught_boxes(x)
        greatest = local.amax(dim=(1, 2), keepdim=True)
        return logits[:, 0], self.steepness * (local - greatest) + logits[:, :1, None], reach

    def taught_boxes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What learns: LesionLite's logits (B, 1), the cells' own scores (B, rows, columns), the boxes as
        `forward_boxes` gives them."""
        pyramid = self.backbone.pyramid(x)
        cells = self._cells_of(pyramid[1], pyramid[2])
        local, reach = self.draw(*pyramid, cells)
        return smooth_maximum(cells, self.sharpness), local, reach

    def frozen(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `draw` takes: all that is LesionLite's own."""
        fine, middle, last = self.backbone.pyramid(x)
        return fine, middle, last, self._cells_of(middle, last)

    def draw(self, fine: Tensor, middle: Tensor, last: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Features at strides 8, 16 and 32 and the map (B, 1, S/16, S/16) → scores and boxes of the cells of 8."""
        finder = self.finder
        merged = finder["middle"](middle) + F.interpolate(finder["last"](last), size=middle.shape[2:], mode="nearest")
        merged = finder["fine"](fine) + F.interpolate(merged, size=fine.shape[2:], mode="nearest")
        found = finder["head"](finder["tower"](merged)).float()
        known = finder["trust"](cells[:, :1]).float()
        known = F.interpolate(known, size=fine.shape[2:], mode="bilinear", align_corners=False)
        return found[:, 0] + known[:, 0], reach_of(found[:, 1:], _STRIDE)

    def stages(self) -> list[nn.Module]:
        """LesionLite's, with what draws beside its neck."""
        *others, neck, head = super().stages()
        return [*others, nn.ModuleList([neck, self.finder]), head]


def lesion_lite0_boxes(**options: Any) -> LesionLiteBoxes:
    """On EfficientNet-Lite 0."""
    return LesionLiteBoxes(lite=0, **options)


def lesion_lite1_boxes(**options: Any) -> LesionLiteBoxes:
    """On EfficientNet-Lite 1."""
    return LesionLiteBoxes(lite=1, depth=1.1, **options)


def lesion_lite2_boxes(**options: Any) -> LesionLiteBoxes:
    """On EfficientNet-Lite 2."""
    return LesionLiteBoxes(lite=2, width=1.1, depth=1.2, **options)
