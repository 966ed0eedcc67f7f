"""Networks that end in a mean over places and one linear layer: their map is an exact sum (Zhou et al. 2016)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from secondread.models._types import MapGeometry


class CamNetwork(nn.Module, ABC):
    """features → mean over places → dropout → linear. A subclass makes `features`, `head`, `geometry` and `stages`.

    logit = bias + sum over cells of (weights · features of the cell) / cells, so each cell's share is known exactly.
    """

    geometry: MapGeometry
    head: nn.Linear

    def __init__(self, *, dropout: float = 0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → last feature map (B, channels, rows, columns)."""

    @abstractmethod
    def stages(self) -> list[nn.Module]:
        """The network's parts from input to head; together they hold every parameter."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → logits (B, num_classes)."""
        return self._logits(self.features(x))

    def forward_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (B,) and class-activation map (B, rows, columns), whose cells add up to the logit minus its bias."""
        features = self.features(x)  # (B, channels, rows, columns)
        shares = torch.einsum("bchw,c->bhw", features, self.head.weight[0])
        return self._logits(features)[:, 0], shares / (shares.shape[1] * shares.shape[2])

    def _logits(self, features: Tensor) -> Tensor:
        return self.head(self.dropout(features.mean(dim=(2, 3))))
