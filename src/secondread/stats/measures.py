"""Every measure of a yes/no reading with its interval, each by the method that suits it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from secondread.errors import DataInvalid, UnknownName
from secondread.stats.bootstrap import Statistic, bootstrap, studentised_mean
from secondread.stats.calibration import weighted_calibration_error
from secondread.stats.delong import auc_interval
from secondread.stats.interval import Interval
from secondread.stats.metrics import weighted_average_precision, weighted_brier
from secondread.stats.rates import accuracy, f1, rates_at

RANK_MEASURES = ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc", "average_precision")
_RATIOS = ("lr_positive", "lr_negative")
_OF_PROBABILITIES = ("brier", "ece_mass", "ece_width")
MEASURES: tuple[str, ...] = (*RANK_MEASURES[:5], *_RATIOS, *RANK_MEASURES[5:], *_OF_PROBABILITIES)
HOW_INTERVALS_ARE_MADE = (
    "95 %, by group: rates exact on the effective number of images, what follows from two rates put together from both "
    "(Donner & Zou 2012), ROC AUC by DeLong with clusters on the logit scale, or by Newcombe's score interval where "
    "that is wider, the rest by a bootstrap of 2,000 resamples on the logit scale, or for the Brier score by the "
    "studentised bootstrap where that is wider"
)


def measure(
    y_true: np.ndarray,
    y_score: np.ndarray,
    *,
    threshold: float,
    groups: Sequence[str],
    measures: Sequence[str] = RANK_MEASURES,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> dict[str, Interval]:
    """name → value with its 95 % interval, images of one group (patient) taken together.

    y_true bool (n,), y_score float (n,), groups (n,). Positive is a score above the threshold.
    measures: any of MEASURES. `precision` is the predictive value at these images' own share of the diseased.
    What is not defined on these images, or the same whatever is answered, has no value and says why in `reason`.
    `brier`, `ece_mass` (ten bins of equal numbers) and `ece_width` (ten equal widths) need probabilities.
    Raises UnknownName, or DataInvalid for scores that are not probabilities where these are needed.
    """
    y_true, y_score = np.asarray(y_true, dtype=bool), np.asarray(y_score, dtype=np.float64)
    _check(measures, y_score)
    positive = y_score > threshold
    rates = rates_at(y_true, positive, groups)
    simple = {
        "accuracy": lambda: accuracy(y_true, positive, groups),
        "precision": lambda: rates.ppv(float(y_true.mean()) if len(y_true) else 0.0),
        "recall": lambda: rates.sensitivity,
        "f1": lambda: f1(y_true, positive, groups),
        "specificity": lambda: rates.specificity,
        "lr_positive": lambda: rates.lr_positive,
        "lr_negative": lambda: rates.lr_negative,
        "roc_auc": lambda: auc_interval(y_true, y_score, groups=groups),
    }
    resampled: dict[str, Statistic] = {
        "average_precision": lambda weights: weighted_average_precision(y_true, y_score, weights),
        "brier": lambda weights: weighted_brier(y_true, y_score, weights),
        "ece_mass": lambda weights: weighted_calibration_error(y_true, y_score, weights, strategy="mass"),
        "ece_width": lambda weights: weighted_calibration_error(y_true, y_score, weights, strategy="width"),
    }
    asked = {name: resampled[name] for name in measures if name in resampled}
    drawn = bootstrap(asked, groups, classes=y_true, n_resamples=n_resamples, random_state=random_state)
    if "brier" in drawn:
        seed = {"n_resamples": n_resamples, "random_state": random_state}
        drawn["brier"] = _widened(drawn["brier"], studentised_mean((y_true - y_score) ** 2, groups, **seed))
    found = {name: drawn[name] if name in drawn else simple[name]() for name in measures}
    return {name: _defined(name, interval, y_true, positive) for name, interval in found.items()}


def _widened(found: Interval, ends: tuple[float, float] | None) -> Interval:
    """To the wider, at each end, of an interval of a share and another one."""
    if ends is None or found.low is None or found.high is None:
        return found
    return replace(found, low=max(min(found.low, ends[0]), 0.0), high=min(max(found.high, ends[1]), 1.0))


_NEED_DISEASED = frozenset(("precision", "recall", "f1", *_RATIOS, "roc_auc", "average_precision"))
_NEED_HEALTHY = frozenset(("precision", "specificity", *_RATIOS, "roc_auc", "average_precision"))


def _defined(name: str, found: Interval, y_true: np.ndarray, positive: np.ndarray) -> Interval:
    """With the reason where there is no value. Without a healthy image average precision would be 1 for any order."""
    if not len(y_true):
        return replace(found, reason="no image was read") if found.value is None else found
    if name in _NEED_DISEASED and not y_true.any():
        return Interval(None, reason="no diseased image")
    if name in _NEED_HEALTHY and y_true.all():
        return Interval(None, reason="no healthy image")
    if found.value is not None:
        return found
    if name == "precision":
        return Interval(None, reason="no image is called positive")
    if name in _RATIOS:
        called = positive if name == "lr_positive" else ~positive
        what = "positive" if name == "lr_positive" else "negative"
        if called.any():
            return Interval(None, reason=f"infinite: no healthy image is called {what}")
        return Interval(None, reason=f"no image is called {what}")
    return found


def _check(measures: Sequence[str], y_score: np.ndarray) -> None:
    for name in measures:
        if name not in MEASURES:
            raise UnknownName.of("measure", name, MEASURES)
    if set(_OF_PROBABILITIES) & set(measures) and len(y_score) and not (y_score.min() >= 0 and y_score.max() <= 1):
        raise DataInvalid(f"{', '.join(sorted(_OF_PROBABILITIES))} need probabilities between 0 and 1; leave them out")
