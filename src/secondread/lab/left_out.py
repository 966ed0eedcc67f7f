"""A hospital left out, for every kind of system alike: what one that it taught nothing says of its images."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secondread.data import Manifest, Row
from secondread.evidence.evidence import Prediction, Scored
from secondread.lab.hospitals import Hospital
from secondread.stats.calibration import fit_calibration
from secondread.stats.delong import auc_covariance, auc_interval, delong_test
from secondread.stats.interval import NOTHING, Interval
from secondread.stats.proportions import group_codes

Curve = list[list[float]]  # epoch, loss, validation loss, validation AUC, seconds


@dataclass(frozen=True)
class LeftOut:
    """What one system, taught by the other hospitals alone, says of the rows that chose and of the hospital's own."""

    val: list[Prediction]
    measured: list[Prediction]
    training: Mapping[str, Any]  # seconds and the like
    curve: Curve = field(default_factory=list)
    area: Interval | None = None  # where no image's score is known, only what was measured


def key_of(hospital: Hospital) -> str:
    """Which rows teach, choose and measure: by it a kept result is known to be of them."""
    names = [[row.name for row in rows] for rows in (hospital.train, hospital.val, hospital.measured)]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def names_of(hospital: str) -> tuple[str, str]:
    """Under which names a result keeps the predictions: of the hospital's own rows, and of those that chose."""
    return f"{hospital} left out", f"{hospital} left out, val"


def said_of(
    hospital: Hospital, scores: tuple[np.ndarray, np.ndarray], training: Mapping[str, Any], *, method: str = "platt"
) -> LeftOut:
    """scores: of the rows that chose (n_val,) and of those measured (n,); `method` of `fit_calibration` makes them
    probabilities, on the rows that chose."""
    parts = [Manifest(rows, hospital.elsewhere.folder) for rows in (hospital.val, hospital.measured)]
    calibration = fit_calibration(method, scores[0], parts[0].labels)
    val, measured = (predictions_of_rows(part, calibration.apply(one)) for part, one in zip(parts, scores, strict=True))
    history = training.get("history", ())
    told = {key: value for key, value in training.items() if key != "history"}
    return LeftOut(val, measured, told, curve_of(history))


def predictions_of_rows(part: Manifest, probabilities: np.ndarray) -> list[Prediction]:
    """One for each row; NaN: refused."""
    values = [None if np.isnan(value) else round(float(value), 6) for value in probabilities]
    triples = zip(part.rows, part.groups, values, strict=True)
    return [Prediction(row.name, row.label, row.source, group, value) for row, group, value in triples]


def curve_of(history: Sequence[Mapping[str, Any]]) -> Curve:
    """A learning curve as a result keeps it, of what `fit` or a run's history.json tells."""
    return [
        [line["epoch"], *(round(line[key], 5) for key in ("loss", "val_loss", "val_auc")), round(line["seconds"], 2)]
        for line in history
    ]


def groups_of(rows: Sequence[Row], hospital: Hospital) -> tuple[str, ...]:
    """What belongs together, for each of the rows."""
    return Manifest(tuple(rows), hospital.elsewhere.folder).groups


def area_of(rows: Sequence[Prediction]) -> Interval:
    """ROC area of the images that were read."""
    scored = Scored.of(rows)
    return auc_interval(scored.y_true, scored.probabilities, groups=scored.groups)


def against(own: Sequence[Prediction], other: Sequence[Prediction]) -> dict[str, Any]:
    """DeLong's test on the images that both have read: {difference, low, high, p, error, freedom, n, n_groups}.

    error: the difference's standard error; freedom: of the t distribution that it is held against, None for the normal.
    """
    theirs = {row.path: row.probability for row in other}
    both = [row for row in own if row.probability is not None and theirs[row.path] is not None]
    scored = Scored.of(both)
    others = np.array([theirs[row.path] for row in both], dtype=np.float64)
    test = delong_test(scored.y_true, scored.probabilities, others, groups=scored.groups)
    codes = group_codes(scored.groups)
    _, covariance = auc_covariance(scored.y_true, np.stack([scored.probabilities, others]), groups=codes)
    variance = max(float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), 0.0)
    alone = test.n_groups == test.n
    fewest = min(len(np.unique(codes[scored.y_true == label])) for label in (False, True))
    return {
        **{key: round(getattr(test, key), 6) for key in ("difference", "low", "high", "p")},
        "error": round(variance**0.5, 6),
        "freedom": None if alone else max(fewest - 1, 1),
        "n": test.n,
        "n_groups": test.n_groups,
    }


def mean_area(areas: Sequence[Interval]) -> Interval:
    """Mean of the areas at several hospitals, which share no image; its interval is of theirs (Donner & Zou 2012)."""
    ends = [(area.value, area.low, area.high) for area in areas]
    if not ends or any(end is None for three in ends for end in three):
        return NOTHING
    values, lows, highs = np.array(ends, dtype=np.float64).T
    below, above = (float(np.sqrt(((values - end) ** 2).sum())) / len(values) for end in (lows, highs))
    value = float(values.mean())
    return Interval(value, value - below, value + above)


def mean_difference(tests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean difference over hospitals that share no image: {difference, low, high, p}, from their standard errors.

    The t distribution is that of the hospital with the fewest groups, where any has groups of several images.
    """
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    value = float(np.mean([test["difference"] for test in tests]))
    error = float(np.sqrt(sum(test["error"] ** 2 for test in tests))) / len(tests)
    freedom = min((test["freedom"] for test in tests if test["freedom"] is not None), default=None)
    reach = error * float(ndtri(0.975) if freedom is None else stdtrit(freedom, 0.975))
    z = -abs(value) / error if error else (0.0 if value == 0 else -np.inf)
    p = 2 * float(ndtr(z) if freedom is None else stdtr(freedom, z))
    rounded = {"difference": value, "low": max(value - reach, -1.0), "high": min(value + reach, 1.0), "p": p}
    return {key: round(one, 6) for key, one in rounded.items()}
