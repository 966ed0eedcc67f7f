"""Intervals for measured numbers: exact for one proportion, bootstrap by group for everything else."""

from collections.abc import Sequence

import numpy as np

from secondread.evidence._metrics import METRICS, weighted_average_precision, weighted_roc_auc

_CHUNK = 4_000_000  # weights held at once, so that 10,000 resamples of any number of images fit in memory


def clopper_pearson(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion. Clopper & Pearson 1934. (0, 1) when n is 0."""
    from scipy.stats import beta

    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(beta.ppf(1 - tail, successes + 1, n - successes))
    return low, high


def bootstrap(
    y_true: np.ndarray,
    y_score: np.ndarray,
    *,
    threshold: float,
    groups: Sequence[str],
    n_resamples: int = 2000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, dict[str, float | None]]:
    """Every metric with its percentile interval, resampling whole groups (patients), not images.

    y_true bool (n,), y_score float (n,), groups (n,): what must stay together. Positive is a score above the threshold.
    Returns name → {value, low, high}; None where a metric is not defined on these data.
    """
    y_true, y_score = np.asarray(y_true, dtype=bool), np.asarray(y_score, dtype=np.float64)
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(group_of.max()) + 1
    rng = np.random.default_rng(random_state)
    point = _all_metrics(y_true, y_score, threshold, np.ones((1, len(y_true))))
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in point}
    rows = max(1, min(n_resamples, _CHUNK // max(1, len(y_true))))
    for start in range(0, n_resamples, rows):
        count = min(rows, n_resamples - start)
        weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=count)[:, group_of].astype(np.float64)
        for name, values in _all_metrics(y_true, y_score, threshold, weights).items():
            drawn[name].append(values)
    tail = 100 * (1 - confidence) / 2
    return {name: _summary(float(point[name][0]), np.concatenate(drawn[name]), tail) for name in point}


def _all_metrics(
    y_true: np.ndarray, y_score: np.ndarray, threshold: float, weights: np.ndarray
) -> dict[str, np.ndarray]:
    predicted = y_score > threshold
    cells = (y_true & predicted, ~y_true & predicted, ~y_true & ~predicted, y_true & ~predicted)
    tp, fp, tn, fn = (weights @ cell.astype(np.float64) for cell in cells)
    rates = {name: rate(tp, fp, tn, fn) for name, rate in METRICS.items()}
    return rates | {
        "roc_auc": weighted_roc_auc(y_true, y_score, weights),
        "average_precision": weighted_average_precision(y_true, y_score, weights),
    }


def _summary(value: float, drawn: np.ndarray, tail: float) -> dict[str, float | None]:
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(drawn):
        return {"value": None, "low": None, "high": None}
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return {"value": round(value, 6), "low": round(float(low), 6), "high": round(float(high), 6)}
