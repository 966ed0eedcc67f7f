"""What validation images decide of a trained network: the rounding of its weights, calibration, operating points."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from secondread.data import Manifest, PreparedSet
from secondread.stats.calibration import Calibration, fit_calibration
from secondread.stats.metrics import roc_auc
from secondread.stats.operating_points import ValidationSet, calibrated_paper_threshold, choose_operating_points
from secondread.tasks import Task
from secondread.training.compress import in_half, in_int8
from secondread.training.export import run_onnx

_LARGE = 1_000_000  # bytes of a network whose weights are kept as float16
_NOTICED = 0.002  # validation AUC that the rounding may not cost


@dataclass(frozen=True, eq=False)
class ModelFile:
    """The network as it will be shipped."""

    model: bytes
    facts: dict[str, Any]

    def logits(self, images: np.ndarray) -> np.ndarray:
        """images: uint8 (n, size, size, channels) → float32 (n,)."""
        return run_onnx(self.model, images, outputs=["logit"])[0]


def round_weights(model: bytes, val: PreparedSet) -> ModelFile:
    """A large network's weights as float16, unless the validation AUC shows the rounding."""
    return _rounded(model, val, {"float16": in_half})


def round_smallest(model: bytes, val: PreparedSet) -> ModelFile:
    """A large network's weights as int8, else as float16, else as they are: the first that validation does not show."""
    return _rounded(model, val, {"int8": in_int8, "float16": in_half})


def _rounded(model: bytes, val: PreparedSet, ways: Mapping[str, Callable[[bytes], bytes]]) -> ModelFile:
    exact = ModelFile(model, {"weights": "float32"})
    if len(model) < _LARGE:
        return exact
    logits = exact.logits(val.images)
    for name, way in ways.items():
        rounded = ModelFile(way(model), {})
        after = rounded.logits(val.images)
        lost = roc_auc(val.labels, logits) - roc_auc(val.labels, after)
        if lost < _NOTICED:
            facts = {
                "weights": name,
                "val_auc_lost_by_rounding": round(lost, 6),
                "logit_difference_by_rounding": float(np.abs(logits - after).max()),
            }
            return ModelFile(rounded.model, facts)
    return exact


def decide_on_validation(
    task: Task,
    network: ModelFile,
    manifest: Manifest,
    sets: Sequence[PreparedSet],
    method: str,
    margins: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Calibration and operating points, as a bundle's record holds them.

    sets: the images that decide: validation, and those of `val_rows`. They serve both, as calibration keeps their
    order. margins: see `choose_operating_points`.
    """
    logits = np.concatenate([network.logits(part.images) for part in sets])
    labels = np.concatenate([part.labels for part in sets])
    rows = [row for part in sets for row in part.rows]
    calibration = fit_calibration(method, logits, labels)
    shared = [split for split in dict.fromkeys(row.split for row in rows) if split != "val"]
    decided_on = " and ".join(["val split", *(f"a share of {split}" for split in shared)])
    points = choose_operating_points(
        ValidationSet(
            labels,
            np.round(calibration.apply(logits), 6),  # as readings give them
            Manifest(tuple(rows), manifest.folder).groups,
            data=f"{decided_on}, {manifest.fingerprint()[:12]}",
            date=date.today().isoformat(),
            weights_sha256=hashlib.sha256(network.model).hexdigest(),
            sources=[row.source for row in rows],
        ),
        target_sensitivity=task.target_sensitivity,
        target_specificity=task.target_specificity,
        paper_threshold=calibrated_paper_threshold(calibration),
        margins=margins,
    )
    return {**calibration.to_record(), "operating_points": points}


def map_zero(decided: Mapping[str, Any]) -> float:
    """Where a map of logits begins to speak for disease: at the screening point.

    A smooth maximum lies below the greatest of its cells, so an image that is positive there shows a place (nearly
    always, where it is the mean of an image's and its mirror image's).
    """
    threshold = decided["operating_points"]["screening"]["threshold"]
    return round(float(Calibration.from_record(decided).undo(np.array([threshold]))[0]), 6)
