"""Counts of scores: all that a site tells of its validation images, and what calibration and points are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secondread.errors import DataInvalid
from secondread.stats.calibration import Calibration
from secondread.stats.metrics import roc_auc

# Logits from −12 to 12 in steps of a tenth, and what lies outside: a probability is known to 2.5 % of its odds' range.
LOGIT_EDGES = np.round(np.linspace(-12, 12, 241), 6)
_BEYOND = 0.5  # how far outside the last edge the images beyond it are taken to lie


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many diseased and healthy images fell between the edges, first those at or below the lowest."""

    edges: np.ndarray  # float (k,), rising
    positive: np.ndarray  # int (k + 1,)
    negative: np.ndarray  # int (k + 1,)

    @classmethod
    def of(cls, values: np.ndarray, y_true: np.ndarray, edges: np.ndarray) -> "Histogram":
        """values: float (n,); y_true: bool (n,). A value on an edge belongs to the bin below it."""
        bins = np.searchsorted(edges, values, side="left")
        y_true = np.asarray(y_true, dtype=bool)
        counts = [np.bincount(bins[chosen], minlength=len(edges) + 1) for chosen in (y_true, ~y_true)]
        return cls(np.asarray(edges, dtype=np.float64), *counts)

    @classmethod
    def from_counts(cls, edges: np.ndarray, positive: Sequence[int], negative: Sequence[int]) -> "Histogram":
        """Of what a message says. Raises DataInvalid for counts that are none or of another length."""
        arrays = [np.asarray(counts) for counts in (positive, negative)]
        for counts in arrays:
            if counts.shape != (len(edges) + 1,) or counts.dtype.kind not in "iu" or (counts < 0).any():
                raise DataInvalid("a site sent something that is no histogram of scores; leave it out and look at it")
        return cls(np.asarray(edges, dtype=np.float64), *arrays)

    def __len__(self) -> int:
        return int(self.positive.sum() + self.negative.sum())

    def values(self, *, low: float | None = None, high: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """A value, the middle of its bin, and a label for each image counted: float (n,), bool (n,).

        low, high: where the outer bins end; by default half a unit beyond the last edges.
        """
        ends = np.concatenate(
            [
                [self.edges[0] - 2 * _BEYOND if low is None else low],
                self.edges,
                [self.edges[-1] + 2 * _BEYOND if high is None else high],
            ]
        )
        middles = (ends[:-1] + ends[1:]) / 2
        values = np.concatenate([np.repeat(middles, counts) for counts in (self.positive, self.negative)])
        labels = np.repeat([True, False], [int(self.positive.sum()), int(self.negative.sum())])
        return values, labels


def logit_histogram(logits: np.ndarray, y_true: np.ndarray) -> Histogram:
    """What a site tells of its validation images: logits float (n,), labels bool (n,)."""
    return Histogram.of(np.asarray(logits, dtype=np.float64), y_true, LOGIT_EDGES)


def probability_edges(calibration: Calibration, thresholds: Sequence[float]) -> np.ndarray:
    """Edges for calibrated probabilities in which no bin holds a threshold inside: decisions come out exactly."""
    edges = np.concatenate([np.round(calibration.apply(LOGIT_EDGES), 6), np.asarray(thresholds, dtype=np.float64)])
    return np.unique(edges[(edges >= 0) & (edges < 1)])


def pooled(sites: Mapping[str, Histogram]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits float (n,), labels bool (n,) and the site of each image, over all sites in the order of their names."""
    parts = [(name, *sites[name].values()) for name in sorted(sites)]
    if not parts:
        return np.zeros(0), np.zeros(0, dtype=bool), []
    names = [name for name, values, _ in parts for _ in range(len(values))]
    return np.concatenate([values for _, values, _ in parts]), np.concatenate([labels for *_, labels in parts]), names


def pooled_auc(sites: Mapping[str, Histogram]) -> float | None:
    """Of all sites' validation images together; None without both classes."""
    logits, labels, _ = pooled(sites)
    return roc_auc(labels, logits) if labels.any() and not labels.all() else None


def pooled_loss(sites: Mapping[str, Histogram]) -> float | None:
    """Mean binary cross-entropy of all sites' validation images; None without any."""
    logits, labels, _ = pooled(sites)
    return float(np.mean(np.logaddexp(0, logits) - labels * logits)) if len(labels) else None
