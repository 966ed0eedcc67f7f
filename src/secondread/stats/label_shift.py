"""A site's scores without outcomes: how common disease is there, and the threshold that flags as many as it should.

**Label shift** (`em_prevalence`). Only the share of the diseased differs: the diseased score as they did where the
model was calibrated, and so do the healthy. The share of greatest likelihood follows from the calibrated probabilities
alone, by expectation maximisation (Saerens, Latinne & Decaestecker, Neural Computation 2002). Sensitivity and
specificity at a threshold are what they were; only what an answer means changes. So it mends probabilities and
predictive values, and cannot mend a specificity that is lower at a site. The same holds of a conformal threshold for
the diseased: weighed for label shift it is the one of before.

**Quantiles** (`matched_threshold`). Scores are higher or lower at the site, in the same order: every threshold moves to
the score above which as many images lie as should at a known share of the diseased. That share must come from elsewhere
(a register, an earlier year), as scores that have moved tell it wrongly.
"""

from collections.abc import Sequence

import numpy as np

from secondread.stats.interval import Interval
from secondread.stats.proportions import group_codes

_LEAST = 1e-6  # probabilities are given with six decimals
_TOLERANCE, _MOST_STEPS = 1e-7, 5_000


def em_prevalence(
    probabilities: np.ndarray, *, calibrated_at: float, weights: np.ndarray | None = None
) -> np.ndarray | float:
    """The share of the diseased that explains these probabilities best, if nothing else differs.

    probabilities: float (n,), calibrated where a share `calibrated_at` was diseased. weights: float (draws, n), how
    often each image counts; then one share each, float (draws,).
    """
    inside = np.clip(np.asarray(probabilities, dtype=np.float64), _LEAST, 1 - _LEAST)
    ratio = inside / (1 - inside) * (1 - calibrated_at) / calibrated_at  # how many times likelier with disease
    counts = np.ones((1, len(inside))) if weights is None else np.asarray(weights, dtype=np.float64)
    total = counts.sum(axis=1)
    share = np.full(len(counts), calibrated_at)
    for _ in range(_MOST_STEPS):
        odds = share[:, None] * ratio
        after = (counts * (odds / (odds + 1 - share[:, None]))).sum(axis=1) / total
        done = np.abs(after - share).max() < _TOLERANCE
        share = after
        if done:
            break
    return float(share[0]) if weights is None else share


def prevalence_interval(
    probabilities: np.ndarray,
    groups: Sequence[str] | None = None,
    *,
    calibrated_at: float,
    n_resamples: int = 500,
    random_state: int = 0,
) -> Interval:
    """`em_prevalence` with the 95 % percentile interval of whole groups drawn anew.

    It holds what the site's images leave open, not what those of the calibration did: read it as too narrow.
    """
    n = len(probabilities)
    codes = np.arange(n) if groups is None else group_codes(groups)
    n_groups = int(codes.max()) + 1
    rng = np.random.default_rng(random_state)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), n_resamples).astype(np.float64)
    shares = em_prevalence(probabilities, calibrated_at=calibrated_at, weights=drawn[:, codes])
    low, high = np.quantile(shares, (0.025, 0.975))
    value = float(em_prevalence(probabilities, calibrated_at=calibrated_at))
    return Interval(value, min(float(low), value), max(float(high), value), n=n, n_groups=n_groups)


def matched_threshold(
    scores: np.ndarray,
    *,
    positives: np.ndarray,
    negatives: np.ndarray,
    threshold: float,
    prevalence: float,
) -> float:
    """The threshold above which as many of the site's images lie as should, where so many are diseased.

    scores: float (n,), of the site; positives, negatives: scores of known images of either class; threshold: of these.
    """
    share = prevalence * np.mean(positives > threshold) + (1 - prevalence) * np.mean(negatives > threshold)
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    n_above = round(share * len(ordered))
    if n_above <= 0:
        return float(min(ordered[-1], 1 - _LEAST))
    if n_above >= len(ordered):
        return float(max(ordered[0] - _LEAST, 0.0))
    below, above = ordered[-n_above - 1], ordered[-n_above]
    return float(round((below + above) / 2, 6))
