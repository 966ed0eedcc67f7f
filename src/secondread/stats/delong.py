"""Two models on the same images: is the difference of their ROC areas more than chance?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secondread.errors import OneClassOnly
from secondread.stats.proportions import group_codes


@dataclass(frozen=True)
class AucComparison:
    """What DeLong's test says of two models."""

    auc_a: float
    auc_b: float
    difference: float  # a − b
    low: float  # interval of the difference
    high: float
    z: float
    p: float  # two-sided: how often chance alone would show as large a difference
    confidence: float
    n: int
    n_groups: int


def compare_auc(
    y_true: np.ndarray,
    score_a: np.ndarray,
    score_b: np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> AucComparison:
    """DeLong's test for two correlated ROC areas, for clustered data where `groups` says which images belong together.

    y_true: bool (n,); score_a, score_b: float (n,) of the same images in the same order; groups: (n,).
    DeLong et al., Biometrics 1988; in the fast form of Sun & Xu, IEEE Signal Processing Letters 2014; with groups the
    covariance of Obuchowski, Biometrics 1997, which is DeLong's where every group has one image.
    Raises OneClassOnly.
    """
    from scipy.special import ndtr, ndtri

    y_true = np.asarray(y_true, dtype=bool)
    codes = np.arange(len(y_true)) if groups is None else group_codes(groups)
    aucs, covariance = auc_covariance(y_true, np.stack([score_a, score_b]), groups=codes)
    difference = float(aucs[0] - aucs[1])
    # without the rounding, two equal models would differ by 1e-9 standard errors
    variance = max(float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), 0.0)
    error = float(np.sqrt(variance)) if variance > 1e-15 else 0.0
    z = difference / error if error else (0.0 if abs(difference) < 1e-12 else float(np.copysign(np.inf, difference)))
    reach = float(ndtri((1 + confidence) / 2)) * error
    return AucComparison(
        auc_a=float(aucs[0]),
        auc_b=float(aucs[1]),
        difference=difference,
        low=max(difference - reach, -1.0),
        high=min(difference + reach, 1.0),
        z=z,
        p=float(2 * ndtr(-abs(z))),
        confidence=confidence,
        n=len(y_true),
        n_groups=len(np.unique(codes)),
    )


def auc_covariance(y_true: np.ndarray, scores: np.ndarray, *, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ROC areas (n_models,) and their covariance (n_models, n_models).

    y_true: bool (n,); scores: float (n_models, n); groups: int (n,). Raises OneClassOnly.
    """
    n_positive, n_negative = int(y_true.sum()), int((~y_true).sum())
    if not n_positive or not n_negative:
        raise OneClassOnly("comparing ROC areas needs images of both classes")
    of_positives, of_negatives = _components(y_true, np.asarray(scores, dtype=np.float64))
    aucs = of_positives.mean(axis=1)
    sums_positive = _by_group(of_positives - aucs[:, None], groups[y_true], int(groups.max()) + 1)
    sums_negative = _by_group(of_negatives - aucs[:, None], groups[~y_true], int(groups.max()) + 1)
    in_positive, in_negative = len(np.unique(groups[y_true])), len(np.unique(groups[~y_true]))
    in_all = len(np.unique(groups))
    cross = sums_positive @ sums_negative.T * _unbiased(in_all) / (n_positive * n_negative)
    return aucs, (
        sums_positive @ sums_positive.T * _unbiased(in_positive) / n_positive**2
        + sums_negative @ sums_negative.T * _unbiased(in_negative) / n_negative**2
        + cross
        + cross.T
    )


def _components(y_true: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Structural components: the share of negatives below each positive, of positives above each negative; ties half.

    scores (n_models, n) → (n_models, n_positive), (n_models, n_negative). By midranks: O(n log n), not n_pos × n_neg.
    """
    from scipy.stats import rankdata

    positives, negatives = scores[:, y_true], scores[:, ~y_true]
    ranks = rankdata(scores, axis=1)
    below = ranks[:, y_true] - rankdata(positives, axis=1)
    above = positives.shape[1] - (ranks[:, ~y_true] - rankdata(negatives, axis=1))
    return below / negatives.shape[1], above / positives.shape[1]


def _by_group(values: np.ndarray, groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Sums over each group: (n_models, n) → (n_models, n_groups)."""
    return np.stack([np.bincount(groups, row, minlength=n_groups) for row in values])


def _unbiased(n: int) -> float:
    """n / (n − 1); with one group there is no telling how groups differ, so the variance is left as it is."""
    return n / (n - 1) if n > 1 else 1.0
