"""EfficientNet-Lite that says of every place whether it looks diseased, and of the image what its places say together.

backbone → 1×1 of the last features, doubled in size, plus 1×1 of the features at stride 16 (Lin et al. 2017, FPN)
→ 3×3 separable → 1×1: a score for every cell of 16 pixels → smooth maximum: the logit (Pinheiro & Collobert 2015)

The logit is made of the cells' scores and nothing else, so the map is what decided. Masks and boxes, where there are
some, teach the cells directly; a cell beside a lesion is a negative from the same image and hospital.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.models.cam import MapGeometry
from secondread.models.efficientnet_lite import FEATURES, EfficientNetLite
from secondread.models.finder import Finder

_WIDTH = 128  # channels of the merged features
_SHARPNESS = 4.0  # of the smooth maximum: 0 would be the mean, infinity the maximum


class LesionLite(nn.Module):
    """3.7 M parameters with Lite 0. Takes any size; with ImageNet weights a network of one channel answers as
    one of three equal ones would.

    pretrained: ImageNet weights of the backbone. Raises ExtraMissing if their package is not installed.
    sharpness: of the smooth maximum. draws: has a part that draws beside it while it learns, so that its features serve
    both; `without_finder` takes it away. backbone: as EfficientNetLite takes them.
    """

    map_method = "score of every cell of 16 pixels, whose smooth maximum is the answer"
    map_holds_logits = True  # no cell above a threshold, no image above it

    def __init__(
        self,
        *,
        num_classes: int = 1,
        in_chans: int = 3,
        input_size: int = 224,
        pretrained: bool = False,
        dropout: float = 0.2,
        sharpness: float = _SHARPNESS,
        draws: bool = False,
        **backbone: Any,
    ):
        super().__init__()
        self.sharpness = sharpness
        self.backbone = EfficientNetLite(in_chans=in_chans, input_size=input_size, pretrained=pretrained, **backbone)
        del self.backbone.head
        self.neck = nn.ModuleDict({
            "middle": nn.Conv2d(self.backbone.middle_channels, _WIDTH, 1, bias=False),
            "last": nn.Conv2d(FEATURES, _WIDTH, 1, bias=False),
            "merge": nn.Sequential(
                nn.BatchNorm2d(_WIDTH),
                nn.ReLU6(inplace=True),
                nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, groups=_WIDTH, bias=False),
                nn.Conv2d(_WIDTH, _WIDTH, 1, bias=False),
                nn.BatchNorm2d(_WIDTH),
                nn.ReLU6(inplace=True),
                nn.Dropout(dropout),
            ),
        })  # fmt: skip
        self.head = nn.Conv2d(_WIDTH, num_classes, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        self.geometry = _half_as_coarse(self.backbone.geometry)
        channels = self.backbone.fine_channels, self.backbone.middle_channels, FEATURES
        self.finder: Finder | None = Finder(*channels, dropout=dropout) if draws else None

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → logits (B, num_classes)."""
        return smooth_maximum(self._scores(x), self.sharpness)

    def forward_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (B,) and the score of every cell (B, S/16, S/16): above 0 where the place looks diseased."""
        logits, scores = self.lesions(x)
        return logits[:, 0], scores

    def lesions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, num_classes) and scores of the cells for the first class (B, S/16, S/16), to teach with masks."""
        scores = self._scores(x)
        return smooth_maximum(scores, self.sharpness), scores[:, 0]

    def lesions_and_boxes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `lesions` gives, and what the part that draws learns by, see `Finder.draw`. Only with `draws`."""
        assert self.finder is not None, "made with draws=True"
        fine, middle, last = self.backbone.pyramid(x)
        scores = self._merged(middle, last)
        cells, reach = self.finder.draw(fine, middle, last, scores[:, 0].to(fine.dtype))
        return smooth_maximum(scores, self.sharpness), scores[:, 0], cells, reach

    def stages(self) -> list[nn.Module]:
        """The backbone's stages, the neck, the head."""
        backbone = self.backbone
        return [backbone.stem, *backbone.blocks, backbone.last, self.neck, self.head]

    def _scores(self, x: Tensor) -> Tensor:
        _, middle, last = self.backbone.pyramid(x)
        return self._merged(middle, last)

    def _merged(self, middle: Tensor, last: Tensor) -> Tensor:
        coarse = self.neck["last"](last)
        merged = self.neck["middle"](middle) + F.interpolate(coarse, size=middle.shape[2:], mode="nearest")
        return self.head(self.neck["merge"](merged)).float()  # (B, num_classes, S/16, S/16)


def without_finder(model: nn.Module) -> nn.Module:
    """The network that reads alone, of one that learnt with a part that draws beside it; any other as it is."""
    if isinstance(model, LesionLite):
        model.finder = None
    return model


def smooth_maximum(scores: Tensor, sharpness: float) -> Tensor:
    """Log-mean-exp over places: (B, classes, rows, columns) → (B, classes)."""
    flat = scores.flatten(2)
    return torch.logsumexp(sharpness * flat, dim=2) / sharpness - math.log(flat.shape[2]) / sharpness


def _half_as_coarse(geometry: MapGeometry) -> MapGeometry:
    """The cells at stride 16 are halves of those at stride 32."""
    return MapGeometry(first_centre=geometry.first_centre - geometry.stride / 4, stride=geometry.stride / 2)


def lesion_lite0(**options: Any) -> LesionLite:
    """On EfficientNet-Lite 0."""
    return LesionLite(lite=0, **options)


def lesion_lite1(**options: Any) -> LesionLite:
    """On EfficientNet-Lite 1."""
    return LesionLite(lite=1, depth=1.1, **options)


def lesion_lite2(**options: Any) -> LesionLite:
    """On EfficientNet-Lite 2."""
    return LesionLite(lite=2, width=1.1, depth=1.2, **options)
