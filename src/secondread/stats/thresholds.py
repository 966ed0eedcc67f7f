"""Thresholds: the furthest with a proven promise, the balanced one, and what each of them costs and finds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from secondread.errors import UsageError
from secondread.stats.interval import Interval
from secondread.stats.proportions import (
    effective_size,
    group_codes,
    intraclass_correlation,
    lower_bound,
    normal_scores,
)
from secondread.stats.rates import rates_at

STEPS = 1_000_000  # probabilities are given with six decimals; whole numbers of these compare without surprises


@dataclass(frozen=True)
class Guarantee:
    """That a rate is at least the target, with this confidence, in images like those it was proven on."""

    on: str  # sensitivity or specificity
    target: float
    confidence: float
    holds: bool
    lower_bound: float  # one-sided, at the chosen threshold
    n: int  # images of the class that the rate is about
    n_effective: float  # what they are worth in independent images
    n_needed: int  # images of such groups below which not even a faultless model could prove it
    worst_case: bool  # images of one group were counted as wholly alike, whatever was seen of their likeness
    other: float | None  # where a cut is proven: the share of the other class that lies on its own side of it

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a bundle's record."""
        return asdict(self)

    def in_words(self) -> str:
        """For `chosen_by`, the card and the command line."""
        sure = f"with {100 * self.confidence:g} % confidence"
        if self.holds:
            return f"{self.on} at least {self.target:g} {sure}"
        if self.other is not None:
            other = "specificity" if self.on == "sensitivity" else "sensitivity"
            return (
                f"not proven {sure} that {self.on} is at least {self.target:g}, but where {other} is "
                f"{self.other:.3f}, no better than a coin; chosen by the observed {self.on} instead"
            )
        return (
            f"not proven {sure} that {self.on} is at least {self.target:g}: {self.n} images are worth "
            f"{self.n_effective:.1f} independent ones, and {self.n_needed} such images are needed at least; "
            f"chosen by the observed {self.on} instead"
        )


def furthest_cut(
    margins: np.ndarray,
    groups: np.ndarray,
    *,
    on: str,
    target: float,
    confidence: float,
    worst_case: bool = False,
    others: np.ndarray | None = None,
) -> tuple[int, Guarantee]:
    """The largest cut for which `margin >= cut` is proven to hold for a share `target` of images; and the proof.

    margins: int (n,), of the images of one class; groups: int (n,), what belongs together. others: int (m,), margins of
    the other class; None: the proof alone counts.

    The cuts are tested from the safest (all images pass) onwards, and the first that cannot be proven ends it: testing
    in a fixed order needs no correction for the number of tests (Learn then Test: Angelopoulos, Bates, Candès, Jordan &
    Lei 2021). That the cuts are the margins seen does no harm, as the share falls with the cut: to end beyond the true
    boundary, the test at the boundary itself must have erred, and it does so with a chance of 1 − confidence at most
    (Bates et al., Journal of the ACM 2021). Each test is a one-sided Clopper–Pearson bound, exact for independent
    images. Images of one group are not: they count as `effective_size`, with the likeness of groups taken from the
    margins' ranks or from the passes at this very cut, whichever is larger. This presumes that groups differ by
    degrees: a rare kind of patient who is always missed, and whom the validation set may not hold, is beyond it.
    With `worst_case`, images of one group count as wholly alike, which holds against that too, for many more groups.
    Where no cut is proven, the largest whose observed share reaches the target is returned, with `holds` False. So it
    is where the proven cut is no better than a coin that lets the target share pass: few images can prove a rate only
    where all of them pass, and a single one far off takes the cut with it.
    """
    likeness = 1.0 if worst_case else intraclass_correlation(normal_scores(margins), groups)
    cuts = np.unique(margins)
    proofs = [_prove(margins >= cuts[0], groups, likeness, confidence)]
    while len(proofs) < len(cuts) and proofs[-1].bound >= target:
        proofs.append(_prove(margins >= cuts[len(proofs)], groups, likeness, confidence))
    proven = sum(proof.bound >= target for proof in proofs)
    other = float(np.mean(others < cuts[proven - 1])) if proven and others is not None else None
    holds = proven > 0 and (other is None or other > 1 - target)
    if holds:
        cut, proof = cuts[proven - 1], proofs[proven - 1]
    else:
        cut = max(cut for cut in cuts if np.mean(margins >= cut) >= target)
        proof = _prove(margins >= cut, groups, likeness, confidence)
    return int(cut), Guarantee(
        on=on,
        target=target,
        confidence=confidence,
        holds=holds,
        lower_bound=round(proof.bound, 6),
        n=len(margins),
        n_effective=round(proof.size, 1),
        n_needed=int(np.ceil(images_needed(target, confidence) * len(margins) / proofs[0].size - 1e-9)),
        worst_case=worst_case,
        other=None if other is None else round(other, 6),
    )


def images_needed(target: float, confidence: float) -> int:
    """The fewest independent images that can prove a rate, all of them passing: target ** n ≤ 1 − confidence."""
    return int(np.ceil(np.log(1 - confidence) / np.log(target) - 1e-9))


@dataclass(frozen=True)
class _Proof:
    size: float  # in independent images
    bound: float


def _prove(passes: np.ndarray, groups: np.ndarray, likeness: float, confidence: float) -> _Proof:
    size = effective_size(passes, groups, confidence=confidence, least_correlation=likeness)
    return _Proof(size, lower_bound(float(passes.mean()) * size, size, confidence=confidence))


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
