"""A bundle's record fitted anew to a site: calibration and operating points; the weights stay as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from secondread.evidence._calibration import apply_calibration, fit_calibration, without_calibration
from secondread.evidence._metrics import brier
from secondread.evidence._operating_points import (
    ValidationSet,
    calibrated_paper_threshold,
    choose_operating_points,
    measure_operating_point,
)
from secondread.evidence._reliability import expected_calibration_error
from secondread.evidence._site import SiteScores

_HASHES = ("sha256", "format", "version")  # written anew with the bundle


@dataclass(frozen=True)
class Targets:
    """What a task asks of its operating points."""

    sensitivity: float
    specificity: float
    confidence: float = 0.9
    worst_case: bool = False  # images of one group count as wholly alike: see `furthest_cut`


def recalibrated_record(
    record: Mapping[str, Any], site: SiteScores, *, bundle_id: str, name: str, method: str, targets: Targets, date: str
) -> dict[str, Any]:
    """What bundle.json of the new bundle says, but for format and hashes; it says what it was recalibrated from.

    method: see `fit_calibration`. One set of scores serves calibration and thresholds alike: calibration keeps the
    order of the images, and the guarantees of the thresholds rest on that order alone.
    Raises UnknownName, OneClassOnly or DataInvalid.
    """
    fitted = fit_calibration(method, site.logits, site.y_true)
    fitted["calibration"] += f", on the scores of a site ({site.name})"
    points = choose_operating_points(
        ValidationSet(
            site.y_true,
            probabilities_of(fitted, site),
            site.groups,
            data=f"{site.name}, {site.sha256[:12]}",
            date=date,
            weights_sha256=record["model"]["sha256"],
        ),
        target_sensitivity=targets.sensitivity,
        target_specificity=targets.specificity,
        confidence=targets.confidence,
        worst_case=targets.worst_case,
        paper_threshold=calibrated_paper_threshold(fitted),
    )
    default = record["default_operating_point"]
    return {
        **without_calibration({key: value for key, value in record.items() if key not in _HASHES}),
        **fitted,
        "name": name,
        "created": date,
        "operating_points": points,
        "default_operating_point": default if default in points else "screening",
        "recalibrated_from": {
            "bundle": bundle_id,
            "sha256": record["sha256"],
            "data": site.name,
            "fingerprint": site.sha256,
            "n": len(site.y_true),
            "n_positive": int(site.y_true.sum()),
            "n_groups": len(set(site.groups)) if site.groups else len(site.y_true),
            "method": method,
            "confidence": targets.confidence,
            "worst_case": targets.worst_case,
            "date": date,
        },
    }


def probabilities_of(record: Mapping[str, Any], site: SiteScores) -> np.ndarray:
    """What a bundle with this record reads on the site's images, float (n,) of six decimals."""
    return np.asarray(np.round(apply_calibration(record, site.logits), 6))


def at_the_site(record: Mapping[str, Any], site: SiteScores) -> dict[str, Any]:
    """How a record does on the site's images: {brier, ece, operating_points: {name: measured point}}.

    Of the record that was fitted to them it speaks too well; of the one before, as it is.
    """
    probabilities = probabilities_of(record, site)
    return {
        "brier": round(brier(site.y_true, probabilities), 6),
        "ece": round(expected_calibration_error(site.y_true, probabilities), 6),
        "operating_points": {
            name: measure_operating_point(
                site.y_true,
                probabilities,
                threshold=point["threshold"],
                chosen_by=point["chosen_by"],
                data=site.name,
                date=point["date"],
                weights_sha256=point["weights_sha256"],
                groups=site.groups,
            )
            for name, point in record["operating_points"].items()
            if "low" not in point  # triage is screening and confirm again
        },
    }
