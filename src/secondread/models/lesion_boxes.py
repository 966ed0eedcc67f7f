"""EfficientNet-Lite that finds lesions: a score and a box at every place; the image's answer is its best box's score.

backbone → 1×1 of the features at stride 32, 16 and 8, each coarser one doubled and added (Lin et al. 2017, FPN)
→ two depthwise-separable 5×5 → 1×1: for every cell of 8 pixels a score and how far the box's four sides are away
(Tian et al. 2019, FCOS; one level, as Zhou et al. 2019). What the whole image looks like is added to every score alike:
it moves no box before another of its image, and tells images apart.

The logit is the greatest of the scores, so an image is positive exactly where one of its boxes is.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.models.cam import MapGeometry
from secondread.models.efficientnet_lite import FEATURES, EfficientNetLite

WIDTH = 96  # channels of the merged features
SIDES = 4  # left, top, right, bottom
RARE = 0.05  # share of diseased cells that a fresh network expects, so that the first steps are not all alarm
FIRST_REACH = 2.0  # cells from the middle to a side that a fresh network expects
_SWAY = 3.0  # how far the whole image may move its scores, in logits: a clear lesion is not talked away
_LEAST, _MOST = -3.0, 4.0  # of the logarithm of a reach, in cells: a twentieth to 55


class LesionBoxes(nn.Module):
    """3.6 M parameters with Lite 0. Takes any size of 64 pixels or more; with ImageNet weights a network of one channel
    answers as one of three equal ones would.

    fine: merge down to stride 8; without, one level at stride 16 and no pyramid, to compare with.
    pretrained: ImageNet weights of the backbone. Raises ExtraMissing if their package is not installed.
    sharpness: of the smooth maximum by which labels teach. backbone: as EfficientNetLite takes them.
    """

    map_method = "score of the box at every cell, whose greatest is the answer"
    map_holds_logits = True  # no cell above a threshold, no image above it

    def __init__(
        self,
        *,
        num_classes: int = 1,
        in_chans: int = 3,
        input_size: int = 224,
        pretrained: bool = False,
        dropout: float = 0.2,
        sharpness: float = 8.0,
        fine: bool = True,
        **backbone: Any,
    ):
        super().__init__()
        self.num_classes, self.sharpness, self.fine = num_classes, sharpness, fine
        self.backbone = EfficientNetLite(in_chans=in_chans, input_size=input_size, pretrained=pretrained, **backbone)
        del self.backbone.head
        channels = {"fine": self.backbone.fine_channels, "middle": self.backbone.middle_channels, "last": FEATURES}
        levels = ("fine", "middle", "last") if fine else ("middle",)
        self.neck = nn.ModuleDict({name: to_width(channels[name]) for name in levels})
        self.neck["tower"] = nn.Sequential(separable(), separable(), nn.Dropout(dropout))
        whole = nn.Linear(FEATURES, num_classes)
        self.context = nn.Sequential(nn.Dropout(dropout), whole)
        self.head = nn.Conv2d(WIDTH, num_classes + SIDES, 1)
        nn.init.zeros_(whole.bias)
        for weight in (self.head.weight, whole.weight):
            nn.init.normal_(weight, std=0.01)
        rare, reach = math.log(RARE / (1 - RARE)), math.log(FIRST_REACH)
        self.head.bias = nn.Parameter(torch.tensor([rare] * num_classes + [reach] * SIDES))
        stride = 8.0 if fine else 16.0
        self.geometry = MapGeometry(first_centre=stride / 2, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → logits (B, num_classes): the greatest score of each class."""
        local, context, _ = self._cells(x)
        return (local + context).amax(dim=(2, 3))

    def forward_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (B,) and the score of every cell (B, rows, columns)."""
        logit, scores, _ = self.forward_boxes(x)
        return logit, scores

    def forward_boxes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logit (B,), scores (B, rows, columns), and the box of every cell (B, 4, rows, columns): how far its left,
        top, right and bottom lie from the cell's centre, in pixels of the input."""
        local, context, reach = self._cells(x)
        scores = (local + context)[:, 0]
        return scores.amax(dim=(1, 2)), scores, reach

    def taught_boxes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What learns: logits (B, num_classes) for labels, by a smooth maximum, which more than one cell hears of; for
        boxes the cells' own scores (B, rows, columns), and the boxes as `forward_boxes` gives them.

        What the whole image looks like learns from labels alone: boxes of a collection that has only diseased images
        would teach it that the collection is the disease.
        """
        local, context, reach = self._cells(x)
        logits = torch.logsumexp(self.sharpness * local.flatten(2), dim=2) / self.sharpness + context[:, :, 0, 0]
        return logits, local[:, 0], reach

    def stages(self) -> list[nn.Module]:
        """The backbone's stages, the neck with the image's share, the head."""
        backbone = self.backbone
        return [backbone.stem, *backbone.blocks, backbone.last, nn.ModuleList([self.neck, self.context]), self.head]

    def _cells(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of the cells (B, num_classes, rows, columns), the image's (B, num_classes, 1, 1), the sides."""
        fine, middle, last = self.backbone.pyramid(x)
        merged = self.neck["middle"](middle)
        if self.fine:
            merged = merged + F.interpolate(self.neck["last"](last), size=middle.shape[2:], mode="nearest")
            merged = self.neck["fine"](fine) + F.interpolate(merged, size=fine.shape[2:], mode="nearest")
        found = self.head(self.neck["tower"](merged)).float()
        context = _SWAY * torch.tanh(self.context(last.mean(dim=(2, 3))).float() / _SWAY)[:, :, None, None]
        return found[:, : self.num_classes], context, reach_of(found[:, self.num_classes :], self.geometry.stride)


def reach_of(found: Tensor, stride: float) -> Tensor:
    """What a head gives (B, 4, rows, columns) as pixels of the input, always some."""
    return found.clamp(_LEAST, _MOST).exp() * stride


def to_width(channels: int) -> nn.Sequential:
    """Features of a level as those that are merged."""
    return nn.Sequential(nn.Conv2d(channels, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH))


def separable() -> nn.Sequential:
    """Looks about with few weights: 5×5 in each channel, then across them."""
    return nn.Sequential(
        nn.ReLU6(inplace=False),
        nn.Conv2d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH, bias=False),
        nn.Conv2d(WIDTH, WIDTH, 1, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU6(inplace=True),
    )


def lesion_boxes0(**options: Any) -> LesionBoxes:
    """On EfficientNet-Lite 0."""
    return LesionBoxes(lite=0, **options)


def lesion_boxes1(**options: Any) -> LesionBoxes:
    """On EfficientNet-Lite 1."""
    return LesionBoxes(lite=1, depth=1.1, **options)


def lesion_boxes2(**options: Any) -> LesionBoxes:
    """On EfficientNet-Lite 2."""
    return LesionBoxes(lite=2, width=1.1, depth=1.2, **options)


def plain_boxes0(**options: Any) -> LesionBoxes:
    """On EfficientNet-Lite 0 with one level at stride 16: what the pyramid is measured against."""
    return LesionBoxes(lite=0, fine=False, **options)
