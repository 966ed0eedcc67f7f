"""Operating points: thresholds bound to one set of weights, with what they cost and find on validation data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from secondread.errors import OneClassOnly
from secondread.stats.calibration import Calibration
from secondread.stats.margins import moved
from secondread.stats.promises import Guarantee, Promise
from secondread.stats.proportions import group_codes, proportion
from secondread.stats.rates import rates_at
from secondread.stats.thresholds import STEPS

PAPER_THRESHOLD = 0.7  # of the network's own probability


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """The images that thresholds are chosen on (never those of the test split), and what a point is bound to."""

    y_true: np.ndarray  # bool (n,)
    probabilities: np.ndarray  # float (n,), calibrated
    groups: Sequence[str] | None  # (n,), what belongs together; None: every image is independent
    data: str  # which images, in words
    date: str
    weights_sha256: str
    sources: Sequence[str] | None = None  # (n,), the hospital or collection of each; None: one, without a name

    @cached_property
    def labels(self) -> np.ndarray:
        """bool (n,). Raises OneClassOnly."""
        labels = np.asarray(self.y_true, dtype=bool)
        if labels.all() or not labels.any():
            raise OneClassOnly("choosing an operating point needs images of both classes; add some of the missing one")
        return labels

    @cached_property
    def steps(self) -> np.ndarray:
        """Probabilities in whole millionths, as readings give them, int (n,)."""
        return np.rint(np.asarray(self.probabilities, dtype=np.float64) * STEPS).astype(np.int64)

    @cached_property
    def codes(self) -> np.ndarray:
        """Groups as numbers, int (n,)."""
        return np.arange(len(self.y_true)) if self.groups is None else group_codes(self.groups)


def choose_operating_points(
    on: ValidationSet,
    *,
    target_sensitivity: float,
    target_specificity: float,
    confidence: float = 0.9,
    worst_case: bool = False,
    paper_threshold: float = PAPER_THRESHOLD,
    margins: Mapping[str, float] | None = None,
) -> dict[str, dict[str, Any]]:
    """The operating points of a bundle by name, as its record holds them: paper, screening, confirm and triage.

    `screening` is the largest threshold whose sensitivity is at least its target, `confirm` the smallest whose
    specificity is: at every source of the images, as `Promise` says; what cannot be shown stands in `chosen_by` and
    `guarantee`. Screening never lies above confirm: where the first could, both promises are kept by all thresholds
    between the two, and they change places, each with more room than it asked for. `triage` is there where the two
    differ. worst_case: see `Promise`. paper_threshold: see `calibrated_paper_threshold`. margins: by name of the point,
    the logits that it is then moved, screening downwards and confirm upwards, see `stats.margins`. Raises OneClassOnly.
    """
    sensitivity = promised_sensitivity(on, target=target_sensitivity, confidence=confidence, worst_case=worst_case)
    specificity = promised_specificity(on, target=target_specificity, confidence=confidence, worst_case=worst_case)
    low, high = sorted((_threshold_below(on, sensitivity.cut), _threshold_above(on, -specificity.cut)))
    lower, higher = (
        (margins or {}).get(name, 0.0) if 0 < threshold < 1 else 0.0  # beyond, all answers are alike already
        for name, threshold in (("screening", low), ("confirm", high))
    )
    low, high = moved(low, -lower), moved(high, higher)
    screening = _promised(on, low, replace(sensitivity.at(_first_above(on, low)), margin=lower))
    confirm = _promised(on, high, replace(specificity.at(-_last_below(on, high)), margin=higher))
    points = {"paper": paper_point(on, threshold=paper_threshold), "screening": screening, "confirm": confirm}
    return points if low == high else points | {"triage": triage_point(on, screening=screening, confirm=confirm)}


def paper_point(on: ValidationSet, *, threshold: float = PAPER_THRESHOLD) -> dict[str, Any]:
    """The seed paper's threshold, measured here."""
    return _measure(on, threshold, f"fixed by the seed paper: the network's own probability above {PAPER_THRESHOLD:g}")


def calibrated_paper_threshold(calibration: Calibration) -> float:
    """Where the seed paper's threshold lies among calibrated probabilities, so that it decides as in the paper."""
    logit = np.log(PAPER_THRESHOLD / (1 - PAPER_THRESHOLD))
    calibrated = float(calibration.apply(np.array([logit]))[0])
    return round(min(max(calibrated, 0.0), 1 - 1 / STEPS), 6)  # below 1, so that what rounds to 1 is above it


def promised_sensitivity(
    on: ValidationSet, *, target: float, confidence: float = 0.9, worst_case: bool = False
) -> Promise:
    """Of the positives, whose margins are their probabilities in steps. Raises OneClassOnly."""
    return _promise(on, "sensitivity", on.labels, on.steps, target, confidence, worst_case)


def promised_specificity(
    on: ValidationSet, *, target: float, confidence: float = 0.9, worst_case: bool = False
) -> Promise:
    """The mirror image: of the negatives, whose margins are their probabilities in steps, negated."""
    return _promise(on, "specificity", ~on.labels, -on.steps, target, confidence, worst_case)


def guarantee_at(on: ValidationSet, guarantee: Guarantee, *, threshold: float) -> Guarantee:
    """The same promise, told apart by the sources of these images, at a threshold that was chosen before."""
    positive = guarantee.on == "sensitivity"
    told = (promised_sensitivity if positive else promised_specificity)(
        on, target=guarantee.target, confidence=guarantee.confidence, worst_case=guarantee.worst_case
    )
    cut = _first_above(on, threshold) if positive else -_last_below(on, threshold)
    return replace(told.at(cut), margin=guarantee.margin)


def triage_point(on: ValidationSet, *, screening: dict[str, Any], confirm: dict[str, Any]) -> dict[str, Any]:
    """Three answers: negative up to screening's threshold, positive above confirm's, uncertain between.

    Its sensitivity is the share of positives not called negative, its specificity that of negatives not called
    positive; `uncertain` is the share of images in the band. Each promise holds with its own confidence, both at once
    with `confidence_together` (Bonferroni).
    """
    low, high = screening["threshold"], confirm["threshold"]
    band = (on.steps / STEPS > low) & (on.steps / STEPS <= high)
    promises = {point["guarantee"]["on"]: point["guarantee"] for point in (screening, confirm)}
    missing = sum(1 - promise["confidence"] for promise in promises.values())
    chosen_by = f"uncertain between screening and confirm. {screening['chosen_by']}. {confirm['chosen_by']}"
    return _measure(on, high, chosen_by) | {
        "low": low,
        "high": high,
        "sensitivity": screening["sensitivity"],
        "uncertain": proportion(band, None if on.groups is None else on.codes).to_dict(),
        "guarantee": {
            "holds": all(promise["holds"] for promise in promises.values()),
            "confidence_together": round(max(1 - missing, 0.0), 6),
            **promises,
        },
    }


def measure_operating_point(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    *,
    threshold: float,
    chosen_by: str,
    data: str,
    date: str,
    weights_sha256: str,
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """A threshold bound to one set of weights, with sensitivity and specificity on the data it was measured on.

    y_true: bool (n,); probabilities: float (n,) calibrated. Positive is above the threshold.
    chosen_by, data: in words, for the record. groups: (n,), what belongs together.
    Intervals: Clopper–Pearson, 95 %, on the effective number of images where groups are given.
    """
    rates = rates_at(y_true, np.asarray(probabilities) > threshold, groups)
    return {
        "threshold": threshold,
        "chosen_by": chosen_by,
        "data": data,
        "date": date,
        "weights_sha256": weights_sha256,
        "n": len(y_true),
        "sensitivity": rates.sensitivity.to_dict(),
        "specificity": rates.specificity.to_dict(),
    }


def _measure(on: ValidationSet, threshold: float, chosen_by: str) -> dict[str, Any]:
    return measure_operating_point(
        on.labels,
        on.steps / STEPS,
        threshold=threshold,
        chosen_by=chosen_by,
        data=on.data,
        date=on.date,
        weights_sha256=on.weights_sha256,
        groups=on.groups,
    )


def _promise(
    on: ValidationSet, rate: str, here: np.ndarray, margins: np.ndarray, target: float, confidence: float, worst: bool
) -> Promise:
    return Promise(
        rate,
        margins[here],
        on.codes[here],
        sources=None if on.sources is None else np.asarray(on.sources)[here].tolist(),
        others=margins[~here],
        target=target,
        confidence=confidence,
        worst_case=worst,
    )


def _promised(on: ValidationSet, threshold: float, guarantee: Guarantee) -> dict[str, Any]:
    words = [replace(guarantee, margin=0.0).in_words()]
    if not guarantee.holds:
        words.append(f"where it is not shown the threshold follows the observed {guarantee.on}")
    chosen_by = "; ".join(filter(None, [*words, guarantee.margin_in_words]))
    return _measure(on, threshold, chosen_by) | {"guarantee": guarantee.to_dict()}


def _threshold_below(on: ValidationSet, cut: int) -> float:
    """Halfway from a probability in steps to the next lower one; below 0 where it is 0 itself."""
    below = int(on.steps[on.steps < cut].max(initial=0))
    return (below + cut) // 2 / STEPS if cut > 0 else -1 / STEPS


def _threshold_above(on: ValidationSet, last: int) -> float:
    """Halfway from a probability in steps to the next higher one."""
    above = int(on.steps[on.steps > last].min(initial=STEPS))
    return (above + last) // 2 / STEPS


def _first_above(on: ValidationSet, threshold: float) -> int:
    """The lowest probability in steps that is positive at a threshold: what is at least this is above it."""
    return int(on.steps[on.steps / STEPS > threshold].min(initial=STEPS + 1))


def _last_below(on: ValidationSet, threshold: float) -> int:
    """The highest one that is negative there."""
    return int(on.steps[on.steps / STEPS <= threshold].max(initial=-1))
