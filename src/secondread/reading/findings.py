"""The boxes of a network that finds lesions: from the scores and sides of its cells to places on the image, drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from secondread.images.prepare import Box

_MOST_CELLS = 500  # the strongest are looked at; more answer only where a network says yes everywhere
_SAME = 0.3  # boxes that share this much of what both cover, or of which one is centred in the other, are one finding
_AGREES = 0.6  # cells whose boxes share this much with a finding's have a say in where its sides lie
_LEAST_SIDE = 1.0  # pixel


@dataclass(frozen=True)
class Focus:
    """One place that looks diseased, as the network gives it.

    box: x, y, width, height in pixels of the image as decoded.
    """

    box: Box
    logit: float


@dataclass(frozen=True)
class Finding:
    """One place that looks diseased.

    box: x, y, width, height in pixels of the image as decoded; score: calibrated, on the scale of the reading's
    probability, 6 decimals; label: the task's positive class.
    """

    box: Box
    score: float
    label: str

    def to_dict(self) -> dict[str, Any]:
        """One element of a reading's `findings`."""
        return {"box": [round(side, 1) for side in self.box], "score": self.score, "label": self.label}


@dataclass(frozen=True)
class Findings:
    """What a network that finds boxes found on one image, the strongest first: that one's score is the probability.

    kept: all with a score above `lowest`, and the strongest in any case. lowest: of the thresholds of the bundle.
    """

    kept: tuple[Finding, ...]
    lowest: float

    @classmethod
    def of(
        cls, foci: Sequence[Focus], scores: np.ndarray, *, label: str, probability: float, lowest: float
    ) -> "Findings":
        """foci, the strongest first, with their calibrated scores; the strongest one's is the probability itself."""
        rounded = [probability, *(min(float(one), probability) for one in scores[1:])]
        found = [Finding(one.box, score, label) for one, score in zip(foci, rounded, strict=True)]
        return cls((found[0], *(one for one in found[1:] if one.score > lowest)), lowest)

    def reaching(self, threshold: float | None) -> tuple[Finding, ...]:
        """Those with a score above a threshold, or above the bundle's lowest where that is lower; None: of no point.

        One at least where the probability is above it, so that no positive is without a box, and none where it is not.
        """
        least = self.lowest if threshold is None else min(self.lowest, threshold)
        return tuple(one for one in self.kept if one.score > least)


def drawn_from(thresholds: Mapping[str, float], threshold: float | None, low: float | None) -> tuple[float, float]:
    """Above which score a box is drawn: dotted, in doubt, and solid, sure.

    Dotted above `screening`, or above the point that decides where that is lower, so that a positive has a box to look
    at; solid above `confirm`. thresholds: of the bundle's points, by name; threshold, low: of the one that decides.
    """
    decides = float((threshold if low is None else low) or 0.0)
    dotted = min(decides, thresholds.get("screening", decides))
    return dotted, max(dotted, thresholds.get("confirm", float(threshold or 0.0)))


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
) -> list[Focus]:
    """The strongest first; none below `above` (a logit), and one at least where any score is above it.

    scores: float (rows, columns), logits. reach: float (4, rows, columns), how far left, top, right and bottom of a
    cell's box are from its centre, in pixels of the input of `size` pixels a side. extent: where the cells lie on the
    input, in shares of its side. shown: what the input shows of the image, in pixels of the image; image_size: (width,
    height). Non-maximum suppression, after which a weaker box may reach into a stronger one but not lie in it: separate
    foci. The sides are the mean of those that agree, each as sure as its cell.
    """
    chosen = np.flatnonzero(scores.ravel() > above)
    if not len(chosen):
        return []
    order = np.argsort(-scores.ravel()[chosen], kind="stable")[:_MOST_CELLS]
    chosen = chosen[order]
    logits = scores.ravel()[chosen].astype(np.float64)
    boxes = _on_input(scores.shape, extent, size, reach, chosen)
    return [
        Focus(_on_image(box, shown, size, image_size), float(logits[number]))
        for number, box in suppressed(boxes, logits, most=most)
    ]


def suppressed(boxes: np.ndarray, logits: np.ndarray, *, most: int) -> list[tuple[int, np.ndarray]]:
    """(number of the cell, its box): float (n, 4) left, top, right, bottom, the strongest first, as they are given."""
    chance = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    left = np.ones(len(boxes), dtype=bool)
    kept = []
    for number in range(len(boxes)):
        if not left[number]:
            continue
        shared = overlaps(boxes[number], boxes)
        agree = shared >= _AGREES
        box = np.average(boxes[agree], axis=0, weights=chance[agree] + 1e-12)
        kept.append((number, box))
        left &= (shared < _SAME) & ~((box[:2] <= middles) & (middles <= box[2:])).all(axis=1)
        if len(kept) == most:
            break
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
    sides = np.nan_to_num(reach.reshape(4, -1)[:, chosen].astype(np.float64))  # anybody may have made the network
    left, top, right, bottom = np.clip(sides, 0, 2 * size)
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


_LINE = (255, 209, 102)  # RGB, as on the pages
_UNDER = 0.6  # how dark the shade under a line is


def with_boxes(pixels: np.ndarray, boxes: Sequence[tuple[Box, bool]], *, width: int) -> np.ndarray:
    """A picture with thin numbered boxes: uint8 (height, width, 3) RGB, as every server-drawn picture has them.

    boxes: each with whether its line is solid; else it is dotted. width: of the image that they are of, pixels.
    """
    if not boxes:
        return pixels
    scale, longest = pixels.shape[1] / width, max(pixels.shape[:2])
    thin, size = max(1, round(longest / 480)), max(0.5, longest / 1000)
    shade, lines = np.zeros(pixels.shape[:2], np.uint8), np.zeros(pixels.shape[:2], np.uint8)
    corners = [[(round(x * scale), round(y * scale)), (round((x + w) * scale), round((y + h) * scale))]
               for (x, y, w, h), _ in boxes]  # fmt: skip
    for (start, end), (_, solid) in zip(corners, boxes, strict=True):
        cv2.rectangle(shade, start, end, 255, thin + 2, cv2.LINE_AA)
        if solid:
            cv2.rectangle(lines, start, end, 255, thin, cv2.LINE_AA)
        else:
            _dotted(lines, start, end, thin)
    drawn = pixels * (1 - _UNDER * shade[:, :, None] / 255)
    drawn += (np.array(_LINE) - drawn) * lines[:, :, None] / 255
    drawn = np.round(drawn).astype(np.uint8)
    for number, ((left, top), (_, bottom)) in enumerate(corners, start=1):
        room = round(26 * size)
        at = (left, top - round(8 * size) if top > room else bottom + room)
        for colour, thickness in (((0, 0, 0), thin + 3), (_LINE, thin)):
            cv2.putText(drawn, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)
    return drawn


def _dotted(lines: np.ndarray, start: tuple[int, int], end: tuple[int, int], thin: int) -> None:
    """A rectangle whose sides are dots, four times as far apart as they are wide."""
    (left, top), (right, bottom) = start, end
    for x in range(left, right + 1, 5 * thin + 2):
        for y in (top, bottom):
            cv2.circle(lines, (x, y), thin, 255, cv2.FILLED, cv2.LINE_AA)
    for y in range(top, bottom + 1, 5 * thin + 2):
        for x in (left, right):
            cv2.circle(lines, (x, y), thin, 255, cv2.FILLED, cv2.LINE_AA)
