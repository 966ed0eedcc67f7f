"""VGG-16 (Simonyan & Zisserman 2015) with batch norm left out as in the paper, and a mean for its wide head.

five stages of two or three 3×3 convolutions, 64 to 512 channels, each ended by a 2×2 max pool → mean → linear

The paper's head of two layers 4096 wide holds 124 M parameters, allows one size of input and gives no map;
the mean over places (Lin et al. 2014) has none, and the map is exact.
"""

from torch import Tensor, nn

from secondread.models._cam import CamNetwork
from secondread.models._imagenet import ImageNetScale
from secondread.models._types import MapGeometry

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(CamNetwork):
    """14.7 M parameters before the head. Any size of input from 32 pixels, grey or RGB.

    torchvision_names: patterns and replacements that turn torchvision's names of tensors into this network's;
    its head of three layers has no place here.
    """

    torchvision_names = ((r"^features\.", "backbone."),)

    def __init__(self, *, num_classes: int = 1, in_chans: int = 3, input_size: int = 224, dropout: float = 0.0):
        super().__init__(dropout=dropout)
        self.scale = ImageNetScale()
        self.backbone = nn.Sequential(*_layers())
        self.head = nn.Linear(STAGES[-1][-1], num_classes)
        self.geometry = MapGeometry(first_centre=16.0, stride=32.0)
        for layer in self.backbone:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # our convolutions have one

    def features(self, x: Tensor) -> Tensor:
        """x: (B, 1 or 3, S, S) in 0–1 → (B, 512, S/32, S/32)."""
        return self.backbone(self.scale(x))

    def stages(self) -> list[nn.Module]:
        """Five stages, head."""
        ends = [i + 1 for i, layer in enumerate(self.backbone) if isinstance(layer, nn.MaxPool2d)]
        return [*(self.backbone[start:end] for start, end in zip([0, *ends], ends, strict=False)), self.head]


def _layers() -> list[nn.Module]:
    layers: list[nn.Module] = []
    before = 3
    for stage in STAGES:
        for channels in stage:
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(inplace=True)]
            before = channels
        layers.append(nn.MaxPool2d(2))
    return layers
