"""A capsule network with routing by agreement (Sabour, Frosst & Hinton 2017), small enough for 64–128 pixels.

three 4×4 convolutions of stride 2 (32, 64, 128 channels) → primary capsules: conv 4×4 stride 2 to 8 types of 8
dimensions a place → three rounds of routing → one 16-dimensional capsule a class. 0.43 M parameters at 128 pixels.

A yes/no question has two capsules, for absence and presence. Lengths lie in 0–1; their scaled difference is the
logit, so that cross-entropy takes the place of the margin loss. The reconstruction network is left out.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from secondread.errors import UsageError
from secondread.models.cam import MapGeometry

WIDTHS = (32, 64, 128)  # stem
TYPES, PRIMARY = 8, 8  # primary capsules at each place, dimensions of each
DIMENSIONS = 16  # of a class capsule
ROUNDS = 3  # of routing
SCALE = 10.0  # logit of two lengths that differ by 1; learned from there
CELL = 16  # pixels


class CapsuleNet(nn.Module):
    """Made for one size of input: each place has its own transformation to the class capsules.

    Raises UsageError for an input below 32 pixels.
    """

    def __init__(self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 128):
        super().__init__()
        cells = input_size // CELL
        if cells < 2:
            raise UsageError(f"capsule needs an input of at least {2 * CELL} pixels, not {input_size}")
        self.binary = num_classes == 1
        self.stem = nn.ModuleList(
            nn.Sequential(_halving(a, b), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairwise((in_chans, *WIDTHS))
        )
        self.primary = _halving(WIDTHS[-1], TYPES * PRIMARY)
        self.routing = Routing(TYPES * cells * cells, 2 if self.binary else num_classes)
        self.geometry = MapGeometry(first_centre=CELL / 2, stride=float(CELL))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → logits (B, num_classes)."""
        return self._logits(self._shares(x).sum(dim=2))

    def forward_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (B,) and what the primary capsules of each place add to it (B, rows, columns); they add up to it.

        The length of a class capsule is the sum of its inputs' components along it: coupling × prediction · direction.
        """
        shares = self._shares(x)  # (B, classes, capsules)
        added = shares[:, 1] - shares[:, 0] if self.binary else shares[:, 0]
        side = x.shape[2] // CELL
        places = added.unflatten(1, (TYPES, side, side)).sum(dim=1)
        return self._logits(shares.sum(dim=2))[:, 0], self.routing.scale * places

    def stages(self) -> list[nn.Module]:
        """Three convolutions, primary capsules, class capsules."""
        return [*self.stem, self.primary, self.routing]

    def _shares(self, x: Tensor) -> Tensor:
        for layer in self.stem:
            x = layer(x)
        places = self.primary(x).unflatten(1, (TYPES, PRIMARY))  # (B, types, dimensions, rows, columns)
        return self.routing(squash(places.permute(0, 1, 3, 4, 2).flatten(1, 3)))

    def _logits(self, lengths: Tensor) -> Tensor:
        """lengths: (B, classes) → (B, num_classes)."""
        return self.routing.scale * (lengths[:, 1:] - lengths[:, :1] if self.binary else lengths)


class Routing(nn.Module):
    """Each capsule predicts every class capsule; predictions that agree with the outcome count for more."""

    def __init__(self, capsules: int, classes: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(capsules, classes, DIMENSIONS, PRIMARY) * 0.1)
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def forward(self, capsules: Tensor) -> Tensor:
        """capsules: (B, n, 8) → each one's share of the length of each class capsule (B, classes, n). Procedure 1."""
        predictions = torch.einsum("nkde,bne->bknd", self.weight, capsules)  # (B, classes, n, 16)
        fixed = predictions.detach()  # only the last round is learned through
        agreement = torch.zeros_like(fixed[..., 0])  # (B, classes, n)
        for _ in range(ROUNDS - 1):
            outcome = squash((agreement.softmax(dim=1)[..., None] * fixed).sum(dim=2))  # (B, classes, 16)
            agreement = agreement + (fixed * outcome[:, :, None]).sum(dim=3)
        weighed = agreement.softmax(dim=1)[..., None] * predictions
        total = weighed.sum(dim=2)  # (B, classes, 16)
        # length of squash(s) = |s|² / (1 + |s|²) = sum over capsules of (weighed · s) / (1 + |s|²)
        return (weighed * total[:, :, None]).sum(dim=3) / (1 + total.square().sum(dim=2, keepdim=True))


def squash(vectors: Tensor) -> Tensor:
    """Vectors along the last axis, shortened to a length of |s|² / (1 + |s|²). Equation 1."""
    squares = vectors.square().sum(dim=-1, keepdim=True)
    return vectors * torch.sqrt(squares + 1e-8) / (1 + squares)  # the root has no slope at 0


def _halving(in_chans: int, out_chans: int) -> nn.Conv2d:
    """Stride 2 with an even kernel, so that cells tile the input."""
    return nn.Conv2d(in_chans, out_chans, 4, stride=2, padding=1)
