"""What a site's scores without outcomes say: how common disease is, or where thresholds move; and when nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from secondread.errors import UsageError
from secondread.evidence.evidence import Scored
from secondread.evidence.likelihood import calibrated_at
from secondread.evidence.measured import measured_predictions
from secondread.reading import Bundle
from secondread.stats.drift import Reference, ScoreDrift, Scores, score_drift
from secondread.stats.interval import Interval
from secondread.stats.label_shift import matched_threshold, prevalence_interval
from secondread.stats.proportions import group_codes, proportion

LEAST = 50  # images below which nothing is said
BLIND = 0.2  # of the drift test: where chance alone explains a larger distance, it would see no shift
APART = 0.1  # of two estimates: by calibrated probabilities, and by the mixture of the evidence's scores that fits best
LEVEL = 0.05  # greatest chance that scores of the same kind are refused
_SPLIT = "test"
_NOT_HERE = "not measured: the threshold was moved by scores without outcomes"


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Scores of a site's images."""

    name: str  # where they are from, in words
    probabilities: np.ndarray  # float (n,), as readings give them
    groups: tuple[str, ...] | None  # (n,), patients; None: every image is independent


@dataclass(frozen=True)
class LabelShift:
    """How common disease is there, if nothing else differs from what the bundle was calibrated to."""

    prevalence: Interval
    calibrated_at: float
    drift: ScoreDrift
    objections: tuple[str, ...]  # why it must not be believed


def label_shift(bundle: Bundle, site: Unlabelled) -> LabelShift:
    """The estimate, and what speaks against it. Raises UsageError where the bundle's evidence or record lacks what it
    takes, or there are less than 50 images.
    """
    check_enough(site)
    share = calibrated_at(bundle)
    if share is None:
        raise UsageError(f"{bundle.id} does not say which share was diseased where it was calibrated; evaluate it")
    drift = score_drift(Scores.of(site.probabilities, site.groups), reference_of(bundle, _SPLIT), level=LEVEL)
    found = prevalence_interval(site.probabilities, site.groups, calibrated_at=share)
    said = []
    if drift.alarm:
        said.append(
            f"no share of the diseased explains these scores (distance {drift.distance:.2f}, chance explains "
            f"{drift.allowed:.2f}): more than the share differs here, and the estimate would be wrong"
        )
    elif drift.allowed is not None and drift.allowed > BLIND:
        said.append(
            f"nothing could be seen to differ besides the share: with so few images here and in the evidence, chance "
            f"explains a distance of {drift.allowed:.2f}, and {BLIND:g} is the most at which the test tells anything"
        )
    if drift.share is not None and found.value is not None and abs(drift.share - found.value) > APART:
        said.append(
            f"the scores lie as if {drift.share:.2f} were diseased, the probabilities say {found.value:.2f}: "
            "they are not calibrated well enough to tell"
        )
    return LabelShift(found, share, drift, tuple(said))


def check_enough(site: Unlabelled) -> None:
    """Raise UsageError for less than 50 images, or scores that are all alike."""
    n = len(site.probabilities)
    if n < LEAST:
        raise UsageError(f"{n} scores are too few to say anything without outcomes; {LEAST} are the least")
    if len(np.unique(site.probabilities)) == 1:
        raise UsageError("every image has the same score, so nothing can be said: read the images with this bundle")


def moved_thresholds(bundle: Bundle, site: Unlabelled, *, prevalence: float) -> dict[str, float]:
    """Operating point → the threshold above which as many of the site's images lie as should; bands are left out.

    Raises UsageError as `label_shift`.
    """
    check_enough(site)
    home = Scored.of(measured_predictions(bundle, _SPLIT))
    if len(set(home.y_true.tolist())) < 2:
        raise UsageError(f"{bundle.id} has no evidence of both classes in the split '{_SPLIT}'; evaluate it first")
    moved = {
        point.name: matched_threshold(
            site.probabilities,
            positives=home.probabilities[home.y_true],
            negatives=home.probabilities[~home.y_true],
            threshold=point.threshold,
            prevalence=prevalence,
        )
        for point in bundle.operating_points.values()
        if point.low is None
    }
    if not moved:
        raise UsageError(f"every operating point of {bundle.id} is a band, and only a single threshold can be moved")
    return moved


def moved_default(points: Mapping[str, Any]) -> str:
    """Of the points that were moved, the one that decides where the bundle's own is a band: screening, or the first."""
    return "screening" if "screening" in points else next(iter(points))


def moved_record(
    bundle: Bundle, site: Unlabelled, thresholds: Mapping[str, float], *, prevalence: float, name: str, date: str
) -> dict[str, Any]:
    """What bundle.json of a bundle with these thresholds says, but for format and hashes. Nothing is promised of it."""
    record = dict(bundle.record)
    unknown = {"value": None, "low": None, "high": None, "reason": _NOT_HERE}
    data = f"{site.name}, {len(site.probabilities)} images without outcomes"
    how = f"moved so that as many are flagged as should be where {prevalence:g} are diseased (quantiles, no outcomes)"
    points: dict[str, Any] = {}
    for point, threshold in thresholds.items():
        old = record["operating_points"][point]
        kept = {key: old[key] for key in ("weights_sha256",)}
        points[point] = kept | {
            "threshold": threshold,
            "chosen_by": how,
            "data": data,
            "date": date,
            "n": len(site.probabilities),
            "sensitivity": unknown,
            "specificity": unknown,
        }
    low, high = (points[key]["threshold"] if key in points else None for key in ("screening", "confirm"))
    if "triage" in record["operating_points"] and low is not None and high is not None and low < high:
        points["triage"] = points["confirm"] | {"low": low, "high": high}
    default = record["default_operating_point"]
    fitted = {key: value for key, value in record.items() if key not in ("sha256", "format", "version", "series")}
    return {
        **fitted,
        "name": name,
        "created": date,
        "operating_points": points,
        "default_operating_point": default if default in points else moved_default(points),
        "recalibrated_from": {
            "bundle": bundle.id,
            "sha256": record["sha256"],
            "data": data,
            "n": len(site.probabilities),
            "n_positive": None,
            "n_groups": len(set(site.groups)) if site.groups else len(site.probabilities),
            "method": "quantiles",
            "prevalence": prevalence,
            "date": date,
        },
    }


def reference_of(bundle: Bundle, split: str) -> Reference:
    """What a bundle's evidence says of one split. Raises UsageError where it has none."""
    rows = measured_predictions(bundle, split)
    read = [row for row in rows if row.probability is not None]
    positives, negatives = (
        Scores.of(
            [row.probability for row in read if row.label == label and row.probability is not None],
            [row.group for row in read if row.label == label],
        )
        for label in (1, 0)
    )
    refused = np.array([row.probability is None for row in rows], dtype=bool)
    return Reference(positives, negatives, proportion(refused, group_codes([row.group for row in rows])))
