"""Bootstrap intervals by group for every measure, vectorised over the resamples."""

from collections.abc import Sequence

import numpy as np

from secondread.errors import DataInvalid, UnknownName
from secondread.stats.calibration import weighted_calibration_error
from secondread.stats.metrics import METRICS, weighted_average_precision, weighted_brier, weighted_roc_auc

_CHUNK = 4_000_000  # weights held at once, so that 10,000 resamples of any number of images fit in memory
_WEIGHTED = {
    "roc_auc": weighted_roc_auc,
    "average_precision": weighted_average_precision,
    "brier": weighted_brier,
    "ece_mass": lambda y, p, weights: weighted_calibration_error(y, p, weights, strategy="mass"),
    "ece_width": lambda y, p, weights: weighted_calibration_error(y, p, weights, strategy="width"),
}
_OF_PROBABILITIES = {"brier", "ece_mass", "ece_width"}
_FOLDED = {"ece_mass", "ece_width"}  # resampling adds to them: their interval is widened to hold the value
MEASURES: tuple[str, ...] = (*METRICS, *_WEIGHTED)
RANK_MEASURES = ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc", "average_precision")


def bootstrap(
    y_true: np.ndarray,
    y_score: np.ndarray,
    *,
    threshold: float,
    groups: Sequence[str],
    measures: Sequence[str] = RANK_MEASURES,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> dict[str, dict[str, float | None]]:
    """Measures with their percentile intervals, resampling whole groups (patients), not images.

    y_true bool (n,), y_score float (n,), groups (n,): what must stay together. Positive is a score above the threshold.
    measures: any of MEASURES; `brier`, `ece_mass` (ten bins of equal numbers) and `ece_width` (ten equal widths) need
    probabilities. Returns name → {value, low, high}; None where one is not defined on these data or has no bound.
    Raises UnknownName, or DataInvalid for scores that are not probabilities where these are needed.
    """
    y_true, y_score = np.asarray(y_true, dtype=bool), np.asarray(y_score, dtype=np.float64)
    _check(measures, y_score)
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(group_of.max()) + 1
    rng = np.random.default_rng(random_state)
    point = _measure(measures, y_true, y_score, threshold, np.ones((1, len(y_true))))
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in point}
    rows = max(1, min(n_resamples, _CHUNK // max(1, len(y_true))))
    for start in range(0, n_resamples, rows):
        count = min(rows, n_resamples - start)
        weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=count)[:, group_of].astype(np.float64)
        for name, values in _measure(measures, y_true, y_score, threshold, weights).items():
            drawn[name].append(values)
    tail = 100 * (1 - confidence) / 2
    return {name: _summary(name, float(point[name][0]), np.concatenate(drawn[name]), tail) for name in point}


def _check(measures: Sequence[str], y_score: np.ndarray) -> None:
    for name in measures:
        if name not in MEASURES:
            raise UnknownName.of("measure", name, MEASURES)
    if _OF_PROBABILITIES & set(measures) and len(y_score) and not (y_score.min() >= 0 and y_score.max() <= 1):
        raise DataInvalid(f"{', '.join(sorted(_OF_PROBABILITIES))} need probabilities between 0 and 1; leave them out")


def _measure(
    measures: Sequence[str], y_true: np.ndarray, y_score: np.ndarray, threshold: float, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """name → value of every row of weights, float (n_resamples,)."""
    predicted = y_score > threshold
    cells = (y_true & predicted, ~y_true & predicted, ~y_true & ~predicted, y_true & ~predicted)
    tp, fp, tn, fn = (weights @ cell.astype(np.float64) for cell in cells)
    return {
        name: METRICS[name](tp, fp, tn, fn) if name in METRICS else _WEIGHTED[name](y_true, y_score, weights)
        for name in measures
    }


def _summary(name: str, value: float, drawn: np.ndarray, tail: float) -> dict[str, float | None]:
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(drawn):
        return {"value": None, "low": None, "high": None}
    # between a finite and an infinite draw there is nothing to interpolate
    method = "linear" if np.isfinite(drawn).all() else "inverted_cdf"
    low, high = np.percentile(drawn, [tail, 100 - tail], method=method)  # type: ignore[call-overload]
    if name in _FOLDED:
        low, high = min(low, value), max(high, value)
    return {key: _rounded(number) for key, number in (("value", value), ("low", low), ("high", high))}


def _rounded(number: float) -> float | None:
    """JSON has no infinity: a likelihood ratio without a bound is None."""
    return round(float(number), 6) if np.isfinite(number) else None
