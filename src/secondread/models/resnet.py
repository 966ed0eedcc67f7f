"""ResNet-18 and ResNet-50 (He et al. 2016): MONAI's network in torchvision's layout, with an exact map.

7×7 stride 2 → max pool → four stages of residual blocks, 64 to 512 (2048) channels → mean → linear
"""

from typing import Any

from monai.networks.nets.resnet import ResNet as Backbone
from torch import Tensor, nn

from secondread.models._cam import CamNetwork
from secondread.models._imagenet import ImageNetScale
from secondread.models._types import MapGeometry

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
        self.backbone = Backbone(
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
