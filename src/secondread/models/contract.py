"""What every network can do. Nothing here needs torch, so that networks can be listed without it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class MapGeometry:
    """Where the cells of a class-activation map lie on the input: x and y alike, in input pixels."""

    first_centre: float  # of cell 0, counted from the edge of the input
    stride: float  # from one cell's centre to the next

    def extent(self, cells: int) -> tuple[float, float]:
        """From the outer edge of the first cell to that of the last, in input pixels."""
        start = self.first_centre - self.stride / 2
        return start, start + cells * self.stride


class Classifier(Protocol):
    """A network that answers one question and shows where the answer came from."""

    geometry: MapGeometry

    def __call__(self, x: "Tensor") -> "Tensor":
        """x: float (batch, channels, size, size) in 0–1 → logits (batch, num_classes)."""
        ...

    def forward_map(self, x: "Tensor") -> "tuple[Tensor, Tensor]":
        """Logits (batch,) and class-activation map (batch, rows, columns) from one forward pass."""
        ...

    def stages(self) -> "list[nn.Module]":
        """Parts from input to head, for freezing and learning rates by depth; each parameter is in exactly one."""
        ...
