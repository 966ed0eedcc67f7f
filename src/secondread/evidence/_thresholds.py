"""What every threshold costs and finds: the table a programme chooses from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from secondread.errors import UsageError
from secondread.evidence._intervals import bootstrap
from secondread.evidence._metrics import confusion

GRID = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_RATES = ("recall", "specificity", "lr_positive", "lr_negative")
Interval = dict[str, float | None]


def threshold_table(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    *,
    groups: Sequence[str],
    named: Mapping[str, float],
    prevalence: float | None = None,
) -> dict[str, Any]:
    """{prevalence, prevalence_is, rows}: a row for every named threshold and every one of GRID, from the lowest.

    y_true: bool (n,); probabilities: float (n,); named: operating point → threshold; prevalence: share of the diseased
    where the reader is to be used, by default that of these images. A row is {name, threshold, sensitivity,
    specificity, lr_positive, lr_negative, ppv, npv, flagged_per_1000}, all between the first two and the last
    {value, low, high}. Predictive values follow from the likelihood ratios at the prevalence, and rise and fall with
    them, so their intervals carry over.
    Raises UsageError for a prevalence that is no share.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError(f"a prevalence of {prevalence:g} is no share; give one between 0 and 1, as 0.02 for 2 %")
    y_true, probabilities = np.asarray(y_true, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    own = float(y_true.mean()) if len(y_true) else 0.0
    share = own if prevalence is None else prevalence
    chosen = [(value, name) for name, value in named.items()]
    chosen += [(value, "") for value in GRID if value not in named.values()]
    if not len(y_true):
        chosen = []
    rows = [_row(y_true, probabilities, groups, threshold, name, share) for threshold, name in sorted(chosen)]
    said = "of this split" if prevalence is None else "as given"
    return {"prevalence": round(share, 6), "prevalence_is": said, "rows": rows}


def _row(
    y_true: np.ndarray, probabilities: np.ndarray, groups: Sequence[str], threshold: float, name: str, share: float
) -> dict[str, Any]:
    found = bootstrap(y_true, probabilities, threshold=threshold, groups=groups, measures=_RATES)
    counts = confusion(y_true, probabilities > threshold)
    sensitivity, specificity = found["recall"], found["specificity"]
    faultless = counts.fp == 0 < counts.tp and counts.tn > 0  # the likelihood ratio has no bound
    return {
        "name": name,
        "threshold": threshold,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "lr_positive": found["lr_positive"],
        "lr_negative": found["lr_negative"],
        "ppv": _predictive(found["lr_positive"], share, unbounded=faultless),
        "npv": _flipped(_predictive(found["lr_negative"], share, unbounded=counts.tn == 0 < counts.fn)),
        "flagged_per_1000": _flagged(sensitivity["value"], specificity["value"], share),
    }


def _predictive(ratio: Interval, share: float, *, unbounded: bool) -> Interval:
    """Chance of disease after an answer with this likelihood ratio: prior odds times ratio. None for shares 0 and 1."""
    if not 0 < share < 1 or (ratio["value"] is None and not unbounded):
        return {"value": None, "low": None, "high": None}
    odds = share / (1 - share)
    return {key: 1.0 if at is None else round(odds * at / (1 + odds * at), 6) for key, at in ratio.items()}


def _flipped(found: Interval) -> Interval:
    """The chance of no disease, from that of disease."""
    flipped = {key: None if at is None else round(1 - at, 6) for key, at in found.items()}
    return {"value": flipped["value"], "low": flipped["high"], "high": flipped["low"]}


def _flagged(sensitivity: float | None, specificity: float | None, share: float) -> float | None:
    """Of 1,000 people, how many are called positive. With one class only, that class decides."""
    parts = [(share, sensitivity), (1 - share, None if specificity is None else 1 - specificity)]
    if any(weight > 0 and rate is None for weight, rate in parts):
        return None
    return round(1000 * sum(weight * rate for weight, rate in parts if rate is not None), 1)
