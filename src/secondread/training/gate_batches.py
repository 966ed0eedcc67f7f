"""What a gate in training sees: pictures drawn by their shares, some made inverted or turned, all varied."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from secondread.training.gate_data import INVERTED, OTHER, TURNED, Pictures, tasks_of, upright
from secondread.training.gate_vary import ANY, UPRIGHT, Vary, invert, turn

_TASKS_DRAWN = 0.55  # share of a batch that is tasks' own pictures
_OTHER_DRAWN = 0.12  # share of it that is no medicine
_INVERTED_DRAWN, _TURNED_DRAWN = 0.12, 0.3  # shares of a task's own pictures; turned where the task's films stand
_WRONG_INVERTED = 0.1


class Batches:
    """Draws pictures by their shares, makes some of them inverted or turned, and varies all."""

    def __init__(self, taught: Pictures, kinds: Sequence[str], *, batch: int, device: torch.device, random_state: int):
        tasks = tasks_of(taught)
        self.images = torch.from_numpy(taught.images).to(device)
        self.extents = torch.from_numpy(taught.extents).to(device)
        self.kinds = torch.tensor([kinds.index(kind) for kind in taught.kinds], device=device)
        self.shares = torch.from_numpy(_shares(taught, tasks)).to(device)
        self.inverted, self.turned = kinds.index(INVERTED), kinds.index(TURNED)
        self.own = torch.from_numpy(np.isin(taught.kinds, tasks)).to(device)
        self.stands = torch.from_numpy(np.isin(taught.kinds, upright(tasks))).to(device)
        self.vary = Vary(random_state=random_state, device=device)
        self.batch = batch

    def draw(self) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) in 0–1 and the index of each picture's kind."""
        at = torch.multinomial(self.shares, self.batch, replacement=True, generator=self.vary.generator)
        images, extents = as_input(self.images[at]), self.extents[at]
        own, stands, chance = self.own[at], self.stands[at], self.vary.uniform(self.batch)
        is_inverted = torch.where(own, chance < _INVERTED_DRAWN, chance < _WRONG_INVERTED)
        is_turned = stands & (chance > 1 - _TURNED_DRAWN)
        images = torch.where(
            is_inverted[:, None, None, None],
            invert(images, extents, self.vary.uniform(self.batch) < 0.4),
            images,
        )
        images, extents = turned(images, extents, is_turned, self.vary)
        targets = torch.where(is_inverted & own, self.inverted, self.kinds[at])
        targets = torch.where(is_turned, self.turned, targets)
        return self.vary(images, extents, torch.where(stands, UPRIGHT, ANY)), targets


def turned(images: Tensor, extents: Tensor, chosen: Tensor, vary: Vary) -> tuple[Tensor, Tensor]:
    """The chosen ones upside down or on a side, mirrored or not; and what of each is no padding."""
    ways = torch.tensor([1, 2, 3, 5, 6, 7], device=images.device)
    way = torch.where(chosen, ways[(vary.uniform(len(images)) * len(ways)).long().clamp(max=len(ways) - 1)], 0)
    return turn(images, way), torch.where((way % 2 == 1)[:, None], extents.flip(1), extents)


def _shares(taught: Pictures, tasks: Sequence[str]) -> np.ndarray:
    """How often each picture is drawn; they sum to 1. Sources and kinds count by the square root of their size."""
    names = np.array([f"{kind}/{shows}/{source}" for kind, shows, source in
                      zip(taught.kinds, taught.shows, taught.sources, strict=True)])  # fmt: skip
    _, of, counts = np.unique(names, return_inverse=True, return_counts=True)
    shares = 1 / np.sqrt(counts[of])
    standing = upright(tasks)
    weights = {task: 1.5 if task in standing else 1.0 for task in tasks}
    for task in tasks:
        own = taught.kinds == task
        shares[own] *= _TASKS_DRAWN * weights[task] / sum(weights.values()) / shares[own].sum()
    other = taught.kinds == OTHER
    medical = ~np.isin(taught.kinds, [*tasks, OTHER])
    for rows, share in ((other, _OTHER_DRAWN), (medical, 1 - _TASKS_DRAWN - _OTHER_DRAWN)):
        if rows.any():
            shares[rows] *= share / shares[rows].sum()
    return np.asarray(shares / shares.sum(), np.float32)


def as_input(images: Tensor) -> Tensor:
    """uint8 (n, side, side, 3) → (n, 3, side, side) in 0–1, as GateNet takes it."""
    return images.permute(0, 3, 1, 2).float() / 255
