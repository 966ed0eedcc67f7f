"""Thresholds: the balanced one, and what each of them costs and finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secondread.errors import UsageError
from secondread.stats.interval import Interval
from secondread.stats.proportions import group_codes
from secondread.stats.rates import rates_at

STEPS = 1_000_000  # probabilities are given with six decimals; whole numbers of these compare without surprises


def balanced_threshold(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The score above which sensitivity + specificity is largest (Youden, Cancer 1950), midway between two images.

    y_true: bool (n,); y_score: float (n,). Of several equally good, the middle one.
    """
    steps = np.unique(y_score)
    between = np.concatenate([[steps[0] - 1e-6], (steps[1:] + steps[:-1]) / 2])
    above = y_score[None, :] > between[:, None]  # (n_thresholds, n)
    gain = above[:, y_true].mean(axis=1) - above[:, ~y_true].mean(axis=1)
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    return round(float(between[best[len(best) // 2]]), 6)


GRID = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
FINE_GRID = tuple(round(0.01 * step, 2) for step in range(1, 100))


@dataclass(frozen=True)
class ThresholdRow:
    """What one threshold finds and costs, where the disease is as common as the table says."""

    name: str  # of the operating point that has it, or ''
    threshold: float
    sensitivity: Interval
    specificity: Interval
    lr_positive: Interval
    lr_negative: Interval
    ppv: Interval
    npv: Interval
    flagged: Interval  # share of people called positive
    missed: Interval  # share of people who are diseased and called negative


def check_prevalence(prevalence: float | None) -> None:
    """Raises UsageError for a prevalence that is no share."""
    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError(f"a prevalence of {prevalence:g} is no share; give one between 0 and 1, as 0.02 for 2 %")


def threshold_rows(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    *,
    groups: Sequence[str],
    named: Mapping[str, float],
    prevalence: float,
    grid: Sequence[float] = GRID,
) -> list[ThresholdRow]:
    """A row for every named threshold and every one of the grid, from the lowest; none without images.

    y_true: bool (n,); probabilities: float (n,); groups: (n,), what belongs together; named: operating point →
    threshold; prevalence: share of the diseased where the reader is to be used.
    """
    y_true, probabilities = np.asarray(y_true, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    codes = group_codes(groups)
    chosen = [(value, name) for name, value in named.items()]
    chosen += [(value, "") for value in grid if value not in named.values()]
    rows = []
    for threshold, name in sorted(chosen) if len(y_true) else ():
        rates = rates_at(y_true, probabilities > threshold, codes)
        rows.append(
            ThresholdRow(
                name,
                threshold,
                rates.sensitivity,
                rates.specificity,
                rates.lr_positive,
                rates.lr_negative,
                rates.ppv(prevalence),
                rates.npv(prevalence),
                rates.flagged(prevalence),
                rates.missed(prevalence),
            )
        )
    return rows


def threshold_table(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    *,
    groups: Sequence[str],
    named: Mapping[str, float],
    prevalence: float | None = None,
) -> dict[str, Any]:
    """{prevalence, prevalence_is, rows}, as the evidence file holds it: `threshold_rows` on GRID.

    named: operating point → threshold; prevalence: by default that of these images. A row is {name, threshold,
    sensitivity, specificity, lr_positive, lr_negative, ppv, npv, flagged_per_1000}, all between the first two and the
    last as `Interval.to_dict`. Raises UsageError for a prevalence that is no share.
    """
    check_prevalence(prevalence)
    own = float(np.mean(y_true)) if len(y_true) else 0.0
    share = own if prevalence is None else prevalence
    rows = threshold_rows(y_true, probabilities, groups=groups, named=named, prevalence=share)
    said = "of this split" if prevalence is None else "as given"
    return {"prevalence": round(share, 6), "prevalence_is": said, "rows": [_as_evidence(row) for row in rows]}


def _as_evidence(row: ThresholdRow) -> dict[str, Any]:
    kept = ("sensitivity", "specificity", "lr_positive", "lr_negative", "ppv", "npv")
    flagged = None if row.flagged.value is None else round(1000 * row.flagged.value, 1)
    return {
        "name": row.name,
        "threshold": row.threshold,
        **{name: getattr(row, name).to_dict() for name in kept},
        "flagged_per_1000": flagged,
    }
