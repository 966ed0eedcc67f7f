"""Every measure of a yes/no reading with its interval, each by the method that suits it."""

from collections.abc import Sequence

import numpy as np

from secondread.errors import DataInvalid, UnknownName
from secondread.stats.bootstrap import Statistic, bootstrap
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
    "that is wider, the rest by a bootstrap of 2,000 resamples on the logit scale"
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
    sizes = [len(set(np.asarray(groups)[y_true == label].tolist())) for label in (True, False)]
    fewest = min((size for size in sizes if size), default=0)
    drawn = bootstrap(asked, groups, least_groups=fewest, n_resamples=n_resamples, random_state=random_state)
    return {name: drawn[name] if name in drawn else simple[name]() for name in measures}


def _check(measures: Sequence[str], y_score: np.ndarray) -> None:
    for name in measures:
        if name not in MEASURES:
            raise UnknownName.of("measure", name, MEASURES)
    if set(_OF_PROBABILITIES) & set(measures) and len(y_score) and not (y_score.min() >= 0 and y_score.max() <= 1):
        raise DataInvalid(f"{', '.join(sorted(_OF_PROBABILITIES))} need probabilities between 0 and 1; leave them out")
