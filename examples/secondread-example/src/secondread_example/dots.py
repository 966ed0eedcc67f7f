"""A small network whose map is exact: convolutions, a mean over places, one linear layer."""

from torch import Tensor, nn

from secondread.models.cam import CamNetwork, MapGeometry

_WIDTHS = (16, 24, 32, 48)


class Dots(CamNetwork):
    """in_chans: 1 or 3. input_size: any of 32 pixels or more; the map has a cell for every 8 pixels."""

    def __init__(self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 64) -> None:
        super().__init__(dropout=0.1)
        layers, before = [], in_chans
        for number, width in enumerate(_WIDTHS):
            stride = 1 if number == 0 else 2
            layers.append(
                nn.Sequential(
                    nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                )
            )
            before = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(before, num_classes)
        # Each 3×3 convolution of stride 2 looks at pixels 2i - 1 to 2i + 1, so a cell lies on pixel 8i, whose centre
        # is at 8i + 0.5 from the edge.
        self.geometry = MapGeometry(first_centre=0.5, stride=8.0)

    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → (B, 48, S / 8, S / 8)."""
        return self.layers(x - 0.5)

    def stages(self) -> list[nn.Module]:
        """The four layers and the head."""
        return [*self.layers, self.head]
