"""The trunk that the small networks from scratch share; what their blocks do tells them apart."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from secondread.models._cam import CamNetwork
from secondread.models._types import MapGeometry


class ResidualTrunk(CamNetwork):
    """conv 6×6 stride 2 → blocks, each but the first after a 2×2 max pool → mean → linear.

    Four blocks make cells of 16 pixels; kernels and pools are of even size where they stride, so the cells tile the
    input.
    """

    def __init__(
        self,
        block: Callable[[int, int], nn.Module],
        widths: Sequence[int],
        *,
        num_classes: int,
        in_chans: int,
        dropout: float,
    ):
        """block: (channels in, channels out) → a module that keeps the size. widths: of the stem, then each block."""
        super().__init__(dropout=dropout)
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, widths[0], 6, stride=2, padding=2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2) if depth else nn.Identity(), block(a, b))
            for depth, (a, b) in enumerate(pairwise(widths))
        )
        self.head = nn.Linear(widths[-1], num_classes)
        cell = 2.0 ** len(self.blocks)
        self.geometry = MapGeometry(first_centre=cell / 2, stride=cell)

    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → (B, widths[-1], S/16, S/16) with four blocks."""
        x = self.stem(x)  # (B, widths[0], S/2, S/2)
        for block in self.blocks:
            x = block(x)
        return x

    def stages(self) -> list[nn.Module]:
        """Stem, blocks, head."""
        return [self.stem, *self.blocks, self.head]
