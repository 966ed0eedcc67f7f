"""Measures of a yes/no reading, from labels and scores, plain or weighted for many resamples at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from secondread.errors import OneClassOnly


@dataclass(frozen=True)
class Counts:
    """A confusion matrix at one threshold."""

    tp: int
    fp: int
    tn: int
    fn: int


def confusion(y_true: np.ndarray, y_pred: np.ndarray) -> Counts:
    """y_true, y_pred: bool (n_samples,)."""
    y_true, y_pred = np.asarray(y_true, dtype=bool), np.asarray(y_pred, dtype=bool)
    return Counts(
        tp=int((y_true & y_pred).sum()),
        fp=int((~y_true & y_pred).sum()),
        tn=int((~y_true & ~y_pred).sum()),
        fn=int((y_true & ~y_pred).sum()),
    )


def roc_auc(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Chance that a random positive outranks a random negative.

    y_true: bool (n_samples,); y_score: float (n_samples,). Hanley & McNeil 1982.
    Raises OneClassOnly if either class is missing.
    """
    value = float(weighted_roc_auc(y_true, y_score, np.ones((1, len(y_true))))[0])
    if np.isnan(value):
        raise OneClassOnly("ROC AUC needs positives and negatives")
    return value


def roc_points(y_true: np.ndarray, y_score: np.ndarray, *, most: int = 100) -> list[tuple[float, float]]:
    """(1 − specificity, sensitivity) at falling thresholds, from (0, 0) to (1, 1); of more than `most` an even choice.

    y_true: bool (n_samples,); y_score: float (n_samples,). Raises OneClassOnly if either class is missing.
    """
    y_true = np.asarray(y_true, dtype=bool)
    if y_true.all() or not y_true.any():
        raise OneClassOnly("a ROC curve needs positives and negatives")
    order = np.argsort(-np.asarray(y_score), kind="stable")
    ends = np.append(np.flatnonzero(np.diff(np.asarray(y_score)[order])), len(order) - 1)  # equal scores are one step
    tpr = np.concatenate([[0.0], np.cumsum(y_true[order])[ends] / y_true.sum()])
    fpr = np.concatenate([[0.0], np.cumsum(~y_true[order])[ends] / (~y_true).sum()])
    kept = np.unique(np.linspace(0, len(tpr) - 1, min(most, len(tpr))).round().astype(int))
    return [(float(x), float(y)) for x, y in zip(fpr[kept], tpr[kept], strict=True)]


def average_precision(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Precision averaged over recall, as a step function (no interpolation).

    y_true: bool (n_samples,); y_score: float (n_samples,). Raises OneClassOnly without a positive.
    """
    value = float(weighted_average_precision(y_true, y_score, np.ones((1, len(y_true))))[0])
    if np.isnan(value):
        raise OneClassOnly("average precision needs positives")
    return value


def weighted_roc_auc(y_true: np.ndarray, y_score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """ROC AUC of every row of weights at once; NaN where a class has no weight.

    y_true (n,), y_score (n,), weights (n_resamples, n) → (n_resamples,). Ties count half.
    """
    order, starts = _ranked(y_score)
    positives = weights[:, order] * np.asarray(y_true, dtype=bool)[order]
    negatives = weights[:, order] - positives
    positives, negatives = (np.add.reduceat(part, starts, axis=1) for part in (positives, negatives))
    below = np.cumsum(negatives, axis=1) - negatives
    wins = (positives * (below + negatives / 2)).sum(axis=1)
    return _ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def weighted_average_precision(y_true: np.ndarray, y_score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision of every row of weights at once; shapes as `weighted_roc_auc`."""
    order, starts = _ranked(-np.asarray(y_score))
    positives = np.add.reduceat(weights[:, order] * np.asarray(y_true, dtype=bool)[order], starts, axis=1)
    everyone = np.add.reduceat(weights[:, order], starts, axis=1)
    precision = _ratio(np.cumsum(positives, axis=1), np.cumsum(everyone, axis=1), empty=0.0)
    return _ratio((precision * positives).sum(axis=1), positives.sum(axis=1))


def brier(y_true: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared distance between probability and outcome: 0 best, 0.25 for always saying a half. Brier 1950.

    y_true: bool (n,); probabilities: float (n,). NaN without images.
    """
    return float(weighted_brier(y_true, probabilities, np.ones((1, len(y_true))))[0])


def weighted_brier(y_true: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The Brier score of every row of weights at once; shapes as `weighted_roc_auc`."""
    squares = (np.asarray(y_true, dtype=np.float64) - probabilities) ** 2
    return _ratio(weights @ squares, weights.sum(axis=1))


Cells = np.ndarray | np.float64 | int
Rates = Callable[[Cells, Cells, Cells, Cells], np.ndarray]
METRICS: dict[str, Rates] = {  # name → function of weighted tp, fp, tn, fn; NaN where it is not defined
    "accuracy": lambda tp, fp, tn, fn: _ratio(tp + tn, tp + fp + tn + fn),
    "precision": lambda tp, fp, tn, fn: _ratio(tp, tp + fp),
    "recall": lambda tp, fp, tn, fn: _ratio(tp, tp + fn),  # also called sensitivity
    "f1": lambda tp, fp, tn, fn: _ratio(2 * tp, 2 * tp + fp + fn),
    "specificity": lambda tp, fp, tn, fn: _ratio(tn, tn + fp),
    # how many times likelier this answer is with disease than without; infinite where it never comes without
    "lr_positive": lambda tp, fp, tn, fn: _likelihood_ratio(_ratio(tp, tp + fn), _ratio(fp, tn + fp)),
    "lr_negative": lambda tp, fp, tn, fn: _likelihood_ratio(_ratio(fn, tp + fn), _ratio(tn, tn + fp)),
}


def _ranked(y_score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order from the lowest score, and where each run of equal scores starts."""
    order = np.argsort(y_score, kind="stable")
    ranked = np.asarray(y_score)[order]
    return order, np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])


def _ratio(above: Cells, below: Cells, *, empty: float = np.nan) -> np.ndarray:
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, empty), where=below > 0)


def _likelihood_ratio(with_disease: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Infinite where only the second is 0; NaN where both are, or where a class is missing."""
    infinite = np.where((without == 0) & (with_disease > 0), np.inf, np.nan)
    return np.divide(with_disease, without, out=infinite, where=without > 0)
