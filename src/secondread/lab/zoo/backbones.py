"""DenseNet-121, ResNet-18 and 50, VGG-16: MONAI's networks in torchvision's layout, with an exact map."""

from typing import Any

from monai.networks.nets.densenet import DenseNet121
from monai.networks.nets.resnet import ResNet as MonaiResNet
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.models.cam import CamNetwork, ImageNetScale, MapGeometry

FEATURES = 1024  # channels
DENSENET_STAGES = (  # the parts of MONAI's network that learn together
    ("conv0", "norm0"),
    ("denseblock1", "transition1"),
    ("denseblock2", "transition2"),
    ("denseblock3", "transition3"),
    ("denseblock4", "norm5"),
)


class DenseNet(CamNetwork):
    """7.0 M parameters before the head. Any size of input, grey or RGB.

    torchvision_names: patterns and replacements that turn torchvision's names of tensors into this network's.
    """

    torchvision_names = (
        (r"^classifier\.", "head."),
        (r"(denselayer\d+)\.(norm|conv)\.?([12])\.", r"\1.layers.\2\3."),  # the published file writes norm.1
        (r"^features\.", "backbone."),
    )

    def __init__(self, *, num_classes: int = 1, in_chans: int = 3, input_size: int = 224, dropout: float = 0.0):
        super().__init__(dropout=dropout)
        self.scale = ImageNetScale()
        self.backbone = DenseNet121(spatial_dims=2, in_channels=3, out_channels=num_classes).features
        self.head = nn.Linear(FEATURES, num_classes)
        # Each of the three 2×2 pools moves a cell's centre by half a cell: 0.5 + 2 + 4 + 8.
        self.geometry = MapGeometry(first_centre=14.5, stride=32.0)

    def features(self, x: Tensor) -> Tensor:
        """x: (B, 1 or 3, S, S) in 0–1 → (B, 1024, S/32, S/32)."""
        return F.relu(self.backbone(self.scale(x)))

    def stages(self) -> list[nn.Module]:
        """Stem, four dense blocks with the transition or norm that follows each, head."""
        parts = dict(self.backbone.named_children())
        return [*(nn.Sequential(*(parts[name] for name in names)) for names in DENSENET_STAGES), self.head]


WIDTHS = [64, 128, 256, 512]


class ResNet(CamNetwork):
    """Any size of input, grey or RGB.

    torchvision_names: patterns and replacements that turn torchvision's names of tensors into this network's.
    """

    torchvision_names = ((r"^fc\.", "head."), (r"^(?!head\.)", "backbone."))

    def __init__(
        self,
        *,
        block: str,
        layers: list[int],
        num_classes: int = 1,
        in_chans: int = 3,
        input_size: int = 224,
        dropout: float = 0.0,
    ):
        super().__init__(dropout=dropout)
        self.scale = ImageNetScale()
        self.backbone = MonaiResNet(
            block,
            layers,
            WIDTHS,
            spatial_dims=2,
            n_input_channels=3,
            conv1_t_stride=2,
            bias_downsample=False,
            feed_forward=False,
        )
        self.head = nn.Linear(self.backbone.in_planes, num_classes)
        # Every stride's padding is symmetric and its kernel odd, so cell 0 is centred on pixel 0.
        self.geometry = MapGeometry(first_centre=0.5, stride=32.0)

    def features(self, x: Tensor) -> Tensor:
        """x: (B, 1 or 3, S, S) in 0–1 → (B, 512 or 2048, S/32, S/32)."""
        net = self.backbone
        x = net.maxpool(net.act(net.bn1(net.conv1(self.scale(x)))))  # (B, 64, S/4, S/4)
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))

    def stages(self) -> list[nn.Module]:
        """Stem, four stages, head."""
        net = self.backbone
        return [nn.Sequential(net.conv1, net.bn1), net.layer1, net.layer2, net.layer3, net.layer4, self.head]


def resnet18(**options: Any) -> ResNet:
    """Two basic blocks a stage: 11.2 M parameters before the head."""
    return ResNet(block="basic", layers=[2, 2, 2, 2], **options)


def resnet50(**options: Any) -> ResNet:
    """Three, four, six and three bottleneck blocks: 23.5 M parameters before the head."""
    return ResNet(block="bottleneck", layers=[3, 4, 6, 3], **options)


VGG_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


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
        self.head = nn.Linear(VGG_STAGES[-1][-1], num_classes)
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
    for stage in VGG_STAGES:
        for channels in stage:
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(inplace=True)]
            before = channels
        layers.append(nn.MaxPool2d(2))
    return layers
