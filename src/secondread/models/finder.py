"""What draws beside a network that reads: of its features and its map, a score and a box for every cell of 8 pixels.

features at stride 32, 16 and 8, each 1×1, the coarser ones doubled and added (Lin et al. 2017, FPN)
→ two depthwise-separable 5×5 → 1×1: a score for every cell and how far its box's four sides are away (Tian et al. 2019)

A cell's score is what the network's map says of its place, and what is added to that here. The greatest is then moved
to the network's answer, and each other one lies `steepness` times as far below it: an image is positive exactly where
one of its boxes is, and no answer changes when a network that reads well learns to draw.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.models.cam import MapGeometry
from secondread.models.lesion_boxes import FIRST_REACH, RARE, SIDES, WIDTH, reach_of, separable, to_width

_STRIDE = 8.0  # pixels of a cell


class Finder(nn.Module):
    """0.2 M parameters beside EfficientNet-Lite 0. fine, middle, last: channels of the features at stride 8, 16 and 32;
    of several networks, of all together."""

    steepness: Tensor
    map_method = "score of the box at every cell, whose greatest is the answer"
    geometry = MapGeometry(first_centre=_STRIDE / 2, stride=_STRIDE)

    def __init__(self, fine: int, middle: int, last: int, *, dropout: float = 0.2):
        super().__init__()
        self.fine, self.middle, self.last = to_width(fine), to_width(middle), to_width(last)
        self.tower = nn.Sequential(separable(), separable(), nn.Dropout(dropout))
        self.head, self.trust = nn.Conv2d(WIDTH, 1 + SIDES, 1), nn.Conv2d(1, 1, 1)  # trust: in the network's map
        nn.init.normal_(self.head.weight, std=0.01)
        rare = math.log(RARE / (1 - RARE))
        self.head.bias = nn.Parameter(torch.tensor([rare] + [math.log(FIRST_REACH)] * SIDES))
        nn.init.ones_(self.trust.weight)
        self.trust.bias = nn.Parameter(torch.zeros(1))
        self.register_buffer("steepness", torch.tensor(1.0))  # chosen by validation: how far other places fall behind

    def forward(
        self, fine: Tensor, middle: Tensor, last: Tensor, cells: Tensor, logit: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What `draw` takes, and the network's answer (B,) → scores (B, S/8, S/8), and the box of every cell (B, 4,
        S/8, S/8): how far its left, top, right and bottom lie from the cell's centre, in pixels of the input."""
        local, reach = self.draw(fine, middle, last, cells)
        below = local - local.amax(dim=(1, 2), keepdim=True)
        return self.steepness * below + logit[:, None, None], reach

    def draw(self, fine: Tensor, middle: Tensor, last: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, channels, S/8, S/8), (B, channels, S/16, S/16), (B, channels, S/32, S/32) and map (B, rows,
        columns) → what learns: the cells' own scores, and the boxes as `forward` gives them."""
        merged = self.middle(middle) + F.interpolate(self.last(last), size=middle.shape[2:], mode="nearest")
        merged = self.fine(fine) + F.interpolate(merged, size=fine.shape[2:], mode="nearest")
        found = self.head(self.tower(merged))
        known = F.interpolate(self.trust(cells[:, None]), size=fine.shape[2:], mode="bilinear", align_corners=False)
        return found[:, 0] + known[:, 0], reach_of(found[:, 1:], _STRIDE)
