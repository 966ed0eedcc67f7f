"""What every threshold finds and costs among 1,000 people, from the predictions in a bundle's evidence."""

from typing import Any

import numpy as np

from secondread.errors import UsageError
from secondread.reading import Bundle
from secondread.stats.proportions import clopper_pearson

_GRID = np.round(np.arange(0.01, 1.0, 0.01), 2)
_CONFIDENCE = 0.95
_JOINT = 1 - (1 - _CONFIDENCE) / 2  # of each rate, so that both hold together with _CONFIDENCE (Bonferroni)
_Z = 1.959964  # of a 95 % interval
_MIDDLE = (0.1, 0.9)  # rates whose intervals are near enough to symmetric to read a variance from
Interval = dict[str, float | None]


def costs(bundle: Bundle, *, prevalence: float | None, split: str) -> dict[str, Any]:
    """{bundle, split, n, n_positive, prevalence, rows}: a row for every hundredth and every operating point.

    prevalence: share of the diseased where the reader is used; None takes that of the split. A row is {threshold, name,
    sensitivity, specificity, ppv, npv, referrals_per_1000, missed_per_1000}, the last six each {value, low, high}.
    Intervals of the two rates are Clopper–Pearson's at 95 % on the number of images that the split is worth: images of
    one patient say less than as many of strangers, and how much less the evidence's intervals by group tell. What
    follows from both is monotone in each, so its bounds are taken at the corners of their joint 95 % box: it is wide
    rather than narrow.
    Raises UsageError for a prevalence that is no share, or a split without predictions of both classes.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError(f"a prevalence of {prevalence:g} is no share; give one between 0 and 1, as 0.02 for 2 %")
    positives, negatives = _scores(bundle, split)
    share = prevalence or len(positives) / (len(positives) + len(negatives))
    named = {point.threshold: point.name for point in bundle.operating_points.values()}
    worth = (
        len(positives) / _design_effect(bundle, split, "sensitivity", len(positives)),
        len(negatives) / _design_effect(bundle, split, "specificity", len(negatives)),
    )
    rows = [
        {"threshold": at, "name": named.get(at, "")} | _row(positives, negatives, worth, at, share)
        for at in sorted({*map(float, _GRID), *named})
    ]
    return {
        "bundle": bundle.id,
        "split": split,
        "n": len(positives) + len(negatives),
        "n_positive": len(positives),
        "prevalence": share,
        "rows": rows,
    }


def _scores(bundle: Bundle, split: str) -> tuple[np.ndarray, np.ndarray]:
    predictions = (bundle.evidence or {}).get("predictions", {})
    rows = [row for row in predictions.get(split, ()) if row[2] is not None]
    positives, negatives = (np.array([row[2] for row in rows if row[1] == label]) for label in (1, 0))
    if not len(positives) or not len(negatives):
        known = ", ".join(predictions) or "none"
        raise UsageError(
            f"{bundle.id} has no evidence of both classes in the split '{split}' (splits: {known}); "
            "run `secondread evaluate`"
        )
    return positives, negatives


def _design_effect(bundle: Bundle, split: str, rate: str, n: int) -> float:
    """By how much groups widen a rate's variance against that of n strangers (Kish 1965): the largest over the
    thresholds at which the evidence measured it, and 1 where it measured none."""
    results = (bundle.evidence or {}).get("results", {}).get(split, {})
    found = [row[rate] for row in results.get("thresholds", {}).get("rows", ())]
    effects = [
        ((at["high"] - at["low"]) / (2 * _Z)) ** 2 * n / (at["value"] * (1 - at["value"]))
        for at in found
        if at["value"] is not None and _MIDDLE[0] <= at["value"] <= _MIDDLE[1]
    ]
    return max([1.0, *effects])


def _row(
    positives: np.ndarray, negatives: np.ndarray, worth: tuple[float, float], threshold: float, share: float
) -> dict[str, Interval]:
    sensitivity, specificity = float((positives > threshold).mean()), float((negatives <= threshold).mean())
    sizes = list(zip((sensitivity, specificity), worth, strict=True))
    (se_low, se_high), (sp_low, sp_high) = (clopper_pearson(at * n, n, confidence=_JOINT) for at, n in sizes)
    alone_se, alone_sp = (clopper_pearson(at * n, n, confidence=_CONFIDENCE) for at, n in sizes)
    return {
        "sensitivity": _interval(sensitivity, *alone_se),
        "specificity": _interval(specificity, *alone_sp),
        "ppv": _interval(
            _ppv(sensitivity, specificity, share), _ppv(se_low, sp_low, share), _ppv(se_high, sp_high, share)
        ),
        "npv": _interval(
            _npv(sensitivity, specificity, share), _npv(se_low, sp_low, share), _npv(se_high, sp_high, share)
        ),
        "referrals_per_1000": _interval(
            _referred(sensitivity, specificity, share),
            _referred(se_low, sp_high, share),
            _referred(se_high, sp_low, share),
            digits=1,
        ),
        "missed_per_1000": _interval(*(1000 * share * (1 - rate) for rate in (sensitivity, se_high, se_low)), digits=1),
    }


def _ppv(sensitivity: float, specificity: float, share: float) -> float | None:
    called = share * sensitivity + (1 - share) * (1 - specificity)
    return share * sensitivity / called if called > 0 else None


def _npv(sensitivity: float, specificity: float, share: float) -> float | None:
    spared = share * (1 - sensitivity) + (1 - share) * specificity
    return (1 - share) * specificity / spared if spared > 0 else None


def _referred(sensitivity: float, specificity: float, share: float) -> float:
    return 1000 * (share * sensitivity + (1 - share) * (1 - specificity))


def _interval(value: float | None, low: float | None, high: float | None, *, digits: int = 6) -> Interval:
    def plain(number: float | None) -> float | None:
        return None if number is None else round(number, digits)

    return {"value": plain(value), "low": plain(low), "high": plain(high)}
