"""The boxes of a network that finds lesions: from the scores and sides of its cells to places on the image."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from secondread.images.prepare import Box

_MOST_CELLS = 500  # the strongest are looked at; more answer only where a network says yes everywhere
_SAME = 0.5  # two boxes that share this much of what both cover are one finding: the stronger
_AGREES = 0.6  # cells whose boxes share this much with a finding's have a say in where its sides lie
_LEAST_SIDE = 1.0  # pixel


@dataclass(frozen=True)
class Finding:
    """One place that looks diseased.

    box: x, y, width, height in pixels of the image as decoded; logit: as the network gives it.
    """

    box: tuple[float, float, float, float]
    logit: float

    def to_dict(self, *, score: float, label: str) -> dict[str, Any]:
        """One element of a reading's `findings`. score: the logit as a calibrated probability."""
        return {"box": [round(side, 1) for side in self.box], "score": score, "label": label}


def findings_of(
    scores: np.ndarray,
    reach: np.ndarray,
    *,
    extent: Box,
    shown: Box,
    size: int,
    image_size: tuple[int, int],
    above: float,
    most: int = 20,
) -> list[Finding]:
    """The strongest first; none below `above` (a logit), and one at least where any score is above it.

    scores: float (rows, columns), logits. reach: float (4, rows, columns), how far left, top, right and bottom of a
    cell's box are from its centre, in pixels of the input of `size` pixels a side. extent: where the cells lie on the
    input, in shares of its side. shown: what the input shows of the image, in pixels of the image; image_size: (width,
    height). Non-maximum suppression; the sides are the mean of those that agree, each as sure as its cell.
    """
    chosen = np.flatnonzero(scores.ravel() > above)
    if not len(chosen):
        return []
    order = np.argsort(-scores.ravel()[chosen], kind="stable")[:_MOST_CELLS]
    chosen = chosen[order]
    logits = scores.ravel()[chosen].astype(np.float64)
    boxes = _on_input(scores.shape, extent, size, reach, chosen)
    found = []
    for number, box in suppressed(boxes, logits)[:most]:
        found.append(Finding(_on_image(box, shown, size, image_size), float(logits[number])))
    return found


def suppressed(boxes: np.ndarray, logits: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(number of the cell, its box): float (n, 4) left, top, right, bottom, the strongest first, as they are given."""
    chance = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    left = np.ones(len(boxes), dtype=bool)
    kept = []
    for number in range(len(boxes)):
        if not left[number]:
            continue
        shared = overlaps(boxes[number], boxes)
        agree = shared >= _AGREES
        kept.append((number, np.average(boxes[agree], axis=0, weights=chance[agree] + 1e-12)))
        left &= shared < _SAME
    return kept


def overlaps(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Shared area over the area of both: float (4,) and (n, 4) → (n,), 0 to 1; of a box with itself 1."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = np.clip(others[:, 2:] - others[:, :2], 0, None).prod(axis=1)
    both = np.clip(one[2:] - one[:2], 0, None).prod() + areas - shared
    return np.where((others == one).all(axis=1), 1.0, shared / np.maximum(both, 1e-9))


def _on_input(shape: tuple[int, ...], extent: Box, size: int, reach: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    rows, columns = np.divmod(chosen, shape[1])
    x = (extent[0] + (columns + 0.5) * (extent[2] - extent[0]) / shape[1]) * size
    y = (extent[1] + (rows + 0.5) * (extent[3] - extent[1]) / shape[0]) * size
    left, top, right, bottom = reach.reshape(4, -1)[:, chosen].astype(np.float64)
    return np.stack([x - left, y - top, x + right, y + bottom], axis=1)


def _on_image(box: np.ndarray, shown: Box, size: int, image_size: tuple[int, int]) -> Box:
    """x, y, width, height; cut off at the image's border, of which a pixel is left even where all of it lay outside."""
    sides = []
    for axis, length in enumerate(image_size):
        start, scale = shown[axis], (shown[axis + 2] - shown[axis]) / size
        low, high = (float(start + side * scale) for side in (box[axis], box[axis + 2]))
        low = min(max(low, 0.0), length - _LEAST_SIDE)
        sides.append((low, max(min(high, length), low + _LEAST_SIDE) - low))
    (x, width), (y, height) = sides
    return x, y, width, height
