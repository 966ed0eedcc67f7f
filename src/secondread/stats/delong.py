"""ROC areas: how sure one is, and whether the difference of two models on the same images is more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secondread.errors import OneClassOnly
from secondread.stats.interval import NOTHING, Interval
from secondread.stats.proportions import group_codes

_NO_VARIANCE = 1e-15  # what rounding leaves of none: two equal models would differ by 1e-9 standard errors


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


def delong_test(
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
    covariance of Obuchowski, Biometrics 1997, which is DeLong's where every group has one image; where groups have
    several, the reference is not the normal but the t distribution of the smaller class's groups. Two areas of 1 have
    no variance: their difference lies between what the intervals of the two leave open (Zou & Donner 2008). Models
    that put the images in the very same order do not differ.
    Raises OneClassOnly.
    """
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    y_true = np.asarray(y_true, dtype=bool)
    codes = np.arange(len(y_true)) if groups is None else group_codes(groups)
    aucs, covariance = auc_covariance(y_true, np.stack([score_a, score_b]), groups=codes)
    difference = float(aucs[0] - aucs[1])
    variance = max(float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), 0.0)
    error = float(np.sqrt(variance)) if variance > _NO_VARIANCE else 0.0
    z = difference / error if error else (0.0 if abs(difference) < 1e-12 else float(np.copysign(np.inf, difference)))
    alone = len(np.unique(codes)) == len(codes)
    freedom = max(min(len(np.unique(codes[y_true])), len(np.unique(codes[~y_true]))) - 1, 1)
    at = (1 + confidence) / 2
    reach = float(ndtri(at) if alone else stdtrit(freedom, at)) * error
    below, above = (reach, reach) if error else _open(y_true, (score_a, score_b), codes)
    return AucComparison(
        auc_a=float(aucs[0]),
        auc_b=float(aucs[1]),
        difference=difference,
        low=max(difference - below, -1.0),
        high=min(difference + above, 1.0),
        z=z,
        p=float(2 * (ndtr(-abs(z)) if alone else stdtr(freedom, -abs(z)))),
        confidence=confidence,
        n=len(y_true),
        n_groups=len(np.unique(codes)),
    )


def _open(y_true: np.ndarray, scores: tuple[np.ndarray, np.ndarray], codes: np.ndarray) -> tuple[float, float]:
    """How far a difference without variance may lie below and above; 0 for models that put the images in one order."""
    from scipy.stats import rankdata

    if np.array_equal(*(rankdata(one) for one in scores)):
        return 0.0, 0.0
    one, other = (auc_interval(y_true, score, groups=codes.astype(str).tolist()) for score in scores)
    ends = [(part.value or 0.0, part.low or 0.0, 1.0 if part.high is None else part.high) for part in (one, other)]
    (a, a_low, a_high), (b, b_low, b_high) = ends
    return float(np.hypot(a - a_low, b_high - b)), float(np.hypot(a_high - a, b - b_low))


def auc_interval(y_true: np.ndarray, y_score: np.ndarray, *, groups: Sequence[str] | None = None) -> Interval:
    """One model's ROC area with its 95 % interval; nothing where a class is missing, no bounds for one group of it.

    y_true: bool (n,); y_score: float (n,); groups: (n,), what belongs together. The wider, at each end, of two: that
    of DeLong on the logit scale, with Obuchowski's covariance by group and the t quantile of the smaller class; and the
    score interval of Newcombe (Statistics in Medicine 2006, part 2, method 5) on as many images of each class as these
    are worth. Near 1 the former rests on the few images that are out of order and covers 0.8 to 0.9 where it says 0.95;
    at 1 it has no width at all.
    """
    from scipy.special import expit, logit, stdtrit

    y_true = np.asarray(y_true, dtype=bool)
    n_positive, n_negative = int(y_true.sum()), int((~y_true).sum())
    if not n_positive or not n_negative:
        return NOTHING
    codes = np.arange(len(y_true)) if groups is None else group_codes(groups)
    in_positive, in_negative = len(np.unique(codes[y_true])), len(np.unique(codes[~y_true]))
    scores = np.asarray(y_score, dtype=np.float64)[None]
    areas, covariance = auc_covariance(y_true, scores, groups=codes)
    area, variance = float(areas[0]), float(covariance[0, 0])
    n, n_groups = len(y_true), len(np.unique(codes))
    if min(in_positive, in_negative) < 2:
        return Interval(area, n=n, n_groups=n_groups)
    alone = float(auc_covariance(y_true, scores, groups=np.arange(len(y_true)))[1][0, 0])
    most = max(n_positive / in_positive, n_negative / in_negative)
    ends = []
    if 0 < area < 1 and variance > _NO_VARIANCE:
        reach = float(stdtrit(min(in_positive, in_negative) - 1, 0.975)) * variance**0.5 / (area * (1 - area))
        ends.append((float(expit(logit(area) - reach)), float(expit(logit(area) + reach))))
        most = min(max(variance / alone, 1.0), most) if alone > _NO_VARIANCE else most
    ends.append(_score_interval(area, n_positive / most, n_negative / most))
    return Interval(area, min(low for low, _ in ends), max(high for _, high in ends), n=n, n_groups=n_groups)


def _score_interval(area: float, n_positive: float, n_negative: float) -> tuple[float, float]:
    """All areas θ that lie within 1.96 of their own standard errors, Hanley & McNeil's at θ, from the one seen."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z, middle = float(ndtri(0.975)), (n_positive + n_negative) / 2 - 1

    def excess(at: float) -> float:
        spread = at * (1 - at) * (1 + middle * (1 - at) / (2 - at) + middle * at / (1 + at))
        return (area - at) ** 2 - z * z * spread / (n_positive * n_negative)

    tiny = 1e-12
    near = min(max(area, tiny), 1 - tiny)
    low = float(brentq(excess, tiny, near)) if area > tiny and excess(tiny) > 0 else 0.0
    high = float(brentq(excess, near, 1 - tiny)) if area < 1 - tiny and excess(1 - tiny) > 0 else 1.0
    return low, high


def holm(p_values: Sequence[float]) -> list[float]:
    """p adjusted for so many tests: below α, with a chance of α at most of a single false one. Holm 1979."""
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted.tolist()


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
