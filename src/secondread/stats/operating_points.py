"""Operating points: thresholds bound to one set of weights, with what they cost and find on validation data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from secondread.errors import OneClassOnly
from secondread.stats.calibration import Calibration
from secondread.stats.proportions import group_codes, proportion
from secondread.stats.rates import rates_at
from secondread.stats.thresholds import STEPS, furthest_cut

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
) -> dict[str, dict[str, Any]]:
    """The operating points of a bundle by name, as its record holds them: paper, screening, confirm and triage.

    A point whose promise cannot be proven is there too, and says so in `chosen_by` and `guarantee`.
    `triage` is there where screening's threshold is below confirm's. worst_case: see `furthest_cut`.
    paper_threshold: see `calibrated_paper_threshold`. Raises OneClassOnly.
    """
    screening = screening_point(on, target=target_sensitivity, confidence=confidence, worst_case=worst_case)
    confirm = confirm_point(on, target=target_specificity, confidence=confidence, worst_case=worst_case)
    triage = triage_point(on, screening=screening, confirm=confirm)
    points = {"paper": paper_point(on, threshold=paper_threshold), "screening": screening, "confirm": confirm}
    return points if triage is None else points | {"triage": triage}


def paper_point(on: ValidationSet, *, threshold: float = PAPER_THRESHOLD) -> dict[str, Any]:
    """The seed paper's threshold, measured here."""
    return _measure(on, threshold, f"fixed by the seed paper: the network's own probability above {PAPER_THRESHOLD:g}")


def calibrated_paper_threshold(calibration: Calibration) -> float:
    """Where the seed paper's threshold lies among calibrated probabilities, so that it decides as in the paper."""
    logit = np.log(PAPER_THRESHOLD / (1 - PAPER_THRESHOLD))
    calibrated = float(calibration.apply(np.array([logit]))[0])
    return round(min(max(calibrated, 0.0), 1 - 1 / STEPS), 6)  # below 1, so that what rounds to 1 is above it


def screening_point(
    on: ValidationSet, *, target: float, confidence: float = 0.9, worst_case: bool = False
) -> dict[str, Any]:
    """The largest threshold whose sensitivity is at least the target, with this confidence: see `furthest_cut`.

    Where the images are too few to prove it, or prove it only where hardly anyone is called negative,
    `guarantee.holds` is False and `chosen_by` says so. Raises OneClassOnly.
    """
    here = on.labels
    cut, guarantee = furthest_cut(
        on.steps[here],
        on.codes[here],
        on="sensitivity",
        target=target,
        confidence=confidence,
        worst_case=worst_case,
        others=on.steps[~here],
    )
    below = int(on.steps[on.steps < cut].max(initial=0))
    # halfway to the next probability seen; below 0 where a positive image has probability 0
    threshold = (below + cut) // 2 / STEPS if cut > 0 else -1 / STEPS
    return _measure(on, threshold, guarantee.in_words()) | {"guarantee": guarantee.to_dict()}


def confirm_point(
    on: ValidationSet, *, target: float, confidence: float = 0.9, worst_case: bool = False
) -> dict[str, Any]:
    """The smallest threshold whose specificity is at least the target, with this confidence; as `screening_point`."""
    here = ~on.labels
    cut, guarantee = furthest_cut(
        -on.steps[here],
        on.codes[here],
        on="specificity",
        target=target,
        confidence=confidence,
        worst_case=worst_case,
        others=-on.steps[~here],
    )
    above = int(on.steps[on.steps > -cut].min(initial=STEPS))
    return _measure(on, (above - cut) // 2 / STEPS, guarantee.in_words()) | {"guarantee": guarantee.to_dict()}


def triage_point(
    on: ValidationSet, *, screening: Mapping[str, Any], confirm: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Three answers: negative up to screening's threshold, positive above confirm's, uncertain between; or None.

    Its sensitivity is the share of positives not called negative, its specificity that of negatives not called
    positive; `uncertain` is the share of images in the band. None where no image would be. Each promise
    holds with its own confidence, both at once with `confidence_together` (Bonferroni).
    """
    low, high = screening["threshold"], confirm["threshold"]
    if low >= high:
        return None
    band = (on.steps / STEPS > low) & (on.steps / STEPS <= high)
    promises = {point["guarantee"]["on"]: point["guarantee"] for point in (screening, confirm)}
    missing = sum(1 - promise["confidence"] for promise in promises.values())
    chosen_by = f"uncertain between screening and confirm: {screening['chosen_by']}; {confirm['chosen_by']}"
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
