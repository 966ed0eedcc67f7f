"""DenseNet-121 (Huang et al. 2017): MONAI's network in torchvision's layout, with an exact map.

7×7 stride 2 → max pool → dense blocks of 6, 12, 24 and 16 layers, halved between → 1024 channels → mean → linear
"""

from monai.networks.nets.densenet import DenseNet121 as Backbone
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.models._cam import CamNetwork
from secondread.models._imagenet import ImageNetScale
from secondread.models._types import MapGeometry

FEATURES = 1024  # channels
STAGES = (  # the parts of MONAI's network that learn together
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
        self.backbone = Backbone(spatial_dims=2, in_channels=3, out_channels=num_classes).features
        self.head = nn.Linear(FEATURES, num_classes)
        # Each of the three 2×2 pools moves a cell's centre by half a cell: 0.5 + 2 + 4 + 8.
        self.geometry = MapGeometry(first_centre=14.5, stride=32.0)

    def features(self, x: Tensor) -> Tensor:
        """x: (B, 1 or 3, S, S) in 0–1 → (B, 1024, S/32, S/32)."""
        return F.relu(self.backbone(self.scale(x)))

    def stages(self) -> list[nn.Module]:
        """Stem, four dense blocks with the transition or norm that follows each, head."""
        parts = dict(self.backbone.named_children())
        return [*(nn.Sequential(*(parts[name] for name in names)) for names in STAGES), self.head]
