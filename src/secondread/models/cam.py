"""A network that ends in a mean and a linear layer has an exact map (Zhou et al. 2016)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from secondread.models.contract import MapGeometry as MapGeometry

MEAN = (0.485, 0.456, 0.406)  # of red, green and blue in 0–1
STD = (0.229, 0.224, 0.225)


class ImageNetScale(nn.Module):
    """(x - mean) / std for each channel; a grey channel becomes three equal ones."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 1 or 3, H, W) in 0–1 → (B, 3, H, W)."""
        return (x - self.mean) / self.std


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
