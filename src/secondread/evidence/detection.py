"""How good boxes are: average precision as COCO counts it, and sensitivity against false boxes an image (FROC).

Intervals are by group: whole patients (or blocks) are drawn, with all their images and boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secondread.reading.findings import overlaps
from secondread.stats.bootstrap import Statistic, bootstrap

LEVELS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())  # of overlap, over which COCO takes the mean
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false boxes an image (Bandos et al. 2009; LUNA16)
NEAR = 0.3  # overlap at which a reader's eye is led to the place, where borders are drawn as loosely as on bones
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Found:
    """The boxes of one image, drawn by people and found. Both float (n, 4): left, top, right, bottom in its pixels."""

    truth: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray  # (n,), any scale that orders all boxes of all images
    group: str = ""


@dataclass(frozen=True, eq=False)
class Matched:
    """All boxes that were found in a set of images, the surest first, at one level of overlap."""

    image: np.ndarray  # int (m,): number of the image
    hit: np.ndarray  # bool (m,): the first to overlap a drawn box
    n_truth: np.ndarray  # int (n_images,)

    @classmethod
    def of(cls, images: Sequence[Found], level: float) -> "Matched":
        """As COCO matches: the surest first, each to the drawn box it overlaps most among those that are left."""
        number, hit, score = [], [], []
        for at, one in enumerate(images):
            order = np.argsort(-one.scores, kind="stable")
            free = np.ones(len(one.truth), dtype=bool)
            for box, value in zip(one.boxes[order], one.scores[order], strict=True):
                shared = np.where(free, overlaps(box, one.truth), 0) if len(one.truth) else np.zeros(0)
                best = int(shared.argmax()) if len(shared) else -1
                found = best >= 0 and shared[best] >= level
                if found:
                    free[best] = False
                number.append(at)
                hit.append(found)
                score.append(value)
        order = np.argsort(-np.array(score, dtype=np.float64), kind="stable")
        truth = np.array([len(one.truth) for one in images])
        return cls(np.array(number, dtype=int)[order], np.array(hit, dtype=bool)[order], truth)

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """weights (n_resamples, n_images) → (n_resamples,): mean precision at 101 recalls, COCO's interpolation."""
        found, false = self._counted(weights)
        recall = found / np.maximum(weights @ self.n_truth, 1e-12)[:, None]
        precision = found / np.maximum(found + false, 1e-12)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        padded = np.pad(envelope, ((0, 0), (0, 1)))  # precision 0 at recalls that are not reached
        at = [np.searchsorted(row + 1e-12, _RECALLS, side="left") for row in recall]
        return np.array([row[places].mean() for row, places in zip(padded, at, strict=True)])

    def sensitivity_at(self, weights: np.ndarray, rate: float) -> np.ndarray:
        """weights (n_resamples, n_images) → (n_resamples,): share of drawn boxes found, `rate` false ones an image."""
        found, false = self._counted(weights)
        allowed = false <= rate * weights.sum(axis=1)[:, None] + 1e-9
        most = np.where(allowed, found, 0).max(axis=1, initial=0)
        return most / np.maximum(weights @ self.n_truth, 1e-12)

    def _counted(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = weights[:, self.image]
        return np.cumsum(own * self.hit, axis=1), np.cumsum(own * ~self.hit, axis=1)


SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}  # pixels, as COCO's


def boxes_table(images: Sequence[Found], *, n_resamples: int = 1000) -> dict[str, Any]:
    """`detection_table` of all images, and by the size of what was drawn: small, medium, large."""
    by_size = {
        name: detection_table(only_truth(images, smallest=low, largest=high), n_resamples=n_resamples)
        for name, (low, high) in SIZES.items()
    }
    return detection_table(images, n_resamples=n_resamples) | {
        "by_size": {name: table for name, table in by_size.items() if table["n_boxes"]}
    }


def detection_table(images: Sequence[Found], *, n_resamples: int = 1000) -> dict[str, Any]:
    """n, boxes, ap50, ap (mean over LEVELS), froc at 0.5 and at NEAR: rate → sensitivity; each {value, low, high}."""
    levels = {level: Matched.of(images, level) for level in (NEAR, *LEVELS)}
    groups = [one.group or str(number) for number, one in enumerate(images)]
    statistics: dict[str, Statistic] = {
        "ap50": levels[LEVELS[0]].average_precision,
        "ap": lambda weights: np.mean([levels[level].average_precision(weights) for level in LEVELS], axis=0),
    }
    for level in (LEVELS[0], NEAR):
        for rate in RATES:
            statistics[f"{level:g} {rate:g}"] = _sensitivity(levels[level], rate)
    found = bootstrap(statistics, groups, n_resamples=n_resamples)
    return {
        "n": len(images),
        "n_boxes": int(sum(len(one.truth) for one in images)),
        "ap50": found["ap50"].to_dict(),
        "ap": found["ap"].to_dict(),
        "froc": {
            f"{level:g}": {f"{rate:g}": found[f"{level:g} {rate:g}"].to_dict() for rate in RATES}
            for level in (LEVELS[0], NEAR)
        },
    }


def _sensitivity(matched: Matched, rate: float) -> Statistic:
    return lambda weights: matched.sensitivity_at(weights, rate)


def only_truth(images: Sequence[Found], *, smallest: float, largest: float) -> list[Found]:
    """The same images with drawn boxes of that area alone, in pixels; boxes found on the others count for nothing.

    As COCO ignores: neither hit nor false where they overlap, by half, a drawn box of another size.
    """
    kept = []
    for one in images:
        area = np.clip(one.truth[:, 2:] - one.truth[:, :2], 0, None).prod(axis=1)
        own = (area >= smallest) & (area < largest)
        others = one.truth[~own]
        free = np.array([not len(others) or overlaps(box, others).max() < LEVELS[0] for box in one.boxes], dtype=bool)
        kept.append(Found(one.truth[own], one.boxes[free], one.scores[free], one.group))
    return kept
