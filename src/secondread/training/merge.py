"""Several bundles of a task as one bundle: the mean of their calibrated logits and of their maps."""

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import Manifest
from secondread.errors import TrainingError, UsageError
from secondread.evidence import roc_auc
from secondread.reading import Bundle, write_bundle
from secondread.training.decide import decide_on_validation, map_zero, serve_smallest
from secondread.training.export import run_onnx
from secondread.training.merge_models import merge_models
from secondread.training.runs import checked_rows
from secondread.training.train import Progress, gate_for, measure_bundle, prepared_part, versions

_LOST = 0.002  # validation AUC that one file may cost against the members asked one by one


def merge_bundles(
    bundles: Sequence[Bundle],
    manifest: Manifest,
    *,
    out: Path,
    name: str,
    shares: Sequence[float] | None = None,
    calibration: str = "temperature",
    command: str = "",
    measure: bool = True,
    gate: bool = False,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Write one bundle that reads as the mean of several of its task, all trained on this manifest.

    The answer is the mean of the members' logits, each divided by its temperature, so that none speaks louder than
    validation lets it (Dietterich, MCS 2000); with `shares`, one for each, their weighted mean. The map is the mean of
    the maps that say of places whether they look diseased, or of all where none does. Preprocessing may differ in its
    size alone. Calibration, operating points and, with `measure`, the evidence are made anew, as `train_bundle` makes
    them.
    Raises UsageError for bundles that cannot be merged, TrainingError or BundleError.
    """
    _check(bundles, manifest)
    parts = _parts(shares, len(bundles))
    progress = progress or Progress()
    task = bundles[0].task
    spec = max((bundle.prepare_spec for bundle in bundles), key=lambda spec: spec.size)
    val = prepared_part(manifest.split("val"), "val", spec, cache_folder, progress)
    mapped = [bundle.maps_lesions for bundle in bundles]
    weights = [part / bundle.record["temperature"] for bundle, part in zip(bundles, parts, strict=True)]
    served = serve_smallest(
        merge_models(
            [bundle.model_path.read_bytes() for bundle in bundles],
            sizes=[bundle.prepare_spec.size for bundle in bundles],
            weights=weights,
            mapped=mapped if any(mapped) else [True] * len(bundles),
        ),
        val,
    )
    apart = np.zeros(len(val))
    for bundle, weight in zip(bundles, weights, strict=True):
        own = prepared_part(manifest.split("val"), "val", bundle.prepare_spec, cache_folder, progress)
        apart += weight * run_onnx(bundle.model_path.read_bytes(), own.images, outputs=["logit"])[0]
    together = served.logits(val.images)
    auc, lost = roc_auc(val.labels, together), roc_auc(val.labels, apart) - roc_auc(val.labels, together)
    if lost >= _LOST:
        raise TrainingError(f"one file loses {lost:.4f} of the members' validation AUC; train them at one input size")
    splits = _lesions_from(bundles)
    checked = Manifest(checked_rows(manifest, splits), manifest.folder)
    sets = [val, prepared_part(checked, "thresholds", spec, cache_folder, progress)] if checked.rows else [val]
    record = {
        "task": task.name,
        "name": name,
        "created": date.today().isoformat(),
        "model": {
            "architecture": " + ".join(bundle.record["model"]["architecture"] for bundle in bundles),
            "parameters": sum(bundle.record["model"]["parameters"] for bundle in bundles),
            "val_auc_lost_by_merging": round(lost, 6),
            "logit_difference_by_merging": float(np.abs(apart - together).max()),
            **served.facts,
        },
        "prepare": spec.to_dict(),
        "heatmap": _heatmap(bundles),
        "data": {
            "fingerprint": manifest.fingerprint(),
            "splits": manifest.splits(),
            "thresholds_from": sorted(checked.splits()),
        },
        "members": [_member(bundle, part) for bundle, part in zip(bundles, parts, strict=True)],
        "training": _training(bundles, splits, command) | {"best_val_auc": round(auc, 6)},
        **decide_on_validation(task, served, manifest, sets, calibration),
        "default_operating_point": "screening",
        "gate": gate_for(task) if gate else None,
    }
    if any(mapped):
        record["heatmap"]["zero"] = map_zero(record)
    own_task = bundles[0].folder / "task.toml"
    bundle = write_bundle(out, record=record, model=served.model, task_file=own_task if own_task.is_file() else None)
    if measure:
        measure_bundle(bundle, manifest, command=command, progress=progress)
    return bundle


def _check(bundles: Sequence[Bundle], manifest: Manifest) -> None:
    if len(bundles) < 2:
        raise UsageError("merging takes two bundles or more")
    first, fingerprint = bundles[0], manifest.fingerprint()
    for bundle in bundles:
        if bundle.task.name != first.task.name:
            raise UsageError(f"{bundle.id} and {first.id} read for different tasks; a merged bundle reads for one")
        if bundle.record["data"]["fingerprint"] != fingerprint:
            raise UsageError(
                f"{bundle.id} was trained on other data than this manifest's, perhaps on its test images; "
                "give the manifest it was trained on"
            )
        if {**bundle.record["prepare"], "size": 0} != {**first.record["prepare"], "size": 0}:
            raise UsageError(f"{bundle.id} and {first.id} prepare images otherwise; they may differ in size alone")
        if "isotonic" in bundle.record or "bias" in bundle.record:
            raise UsageError(f"{bundle.id} is calibrated by more than a temperature; give the bundle as it was trained")
    extents = {tuple(bundle.record["heatmap"]["extent"]) for bundle in bundles if bundle.maps_lesions}
    if len(extents) > 1:
        raise UsageError("the bundles' maps cover different parts of the image; merge networks of one kind")


def _parts(shares: Sequence[float] | None, n: int) -> list[float]:
    """Of one whole, alike if not asked otherwise."""
    shares = [1.0] * n if shares is None else shares
    if len(shares) != n or not all(math.isfinite(share) and share > 0 for share in shares):
        raise UsageError(f"{n} bundles take {n} shares, each above 0")
    return [share / sum(shares) for share in shares]


def _lesions_from(bundles: Sequence[Bundle]) -> list[str]:
    """The collections of one label that taught any of them by their lesions."""
    return sorted(
        {split for bundle in bundles for split in bundle.record["training"]["recipe"].get("lesions_from", ())}
    )


def _heatmap(bundles: Sequence[Bundle]) -> dict[str, Any]:
    shown = [bundle for bundle in bundles if bundle.maps_lesions] or list(bundles)
    method = "; ".join(dict.fromkeys(bundle.record["heatmap"]["method"] for bundle in shown))
    without = (
        f" (the other {len(bundles) - len(shown)} of the networks name no places)" if len(shown) < len(bundles) else ""
    )
    return {
        "method": f"mean of {len(shown)} maps{without}: {method}" if len(shown) > 1 else f"{method}{without}",
        "extent": shown[0].record["heatmap"]["extent"],
    }


def _member(bundle: Bundle, part: float) -> dict[str, Any]:
    """What the merged bundle keeps of one of those it was made of."""
    kept = ("model", "prepare", "training", "temperature")
    return {"bundle": bundle.id, "share": round(part, 6), **{key: bundle.record[key] for key in kept}}


def _training(bundles: Sequence[Bundle], splits: list[str], command: str) -> dict[str, Any]:
    """As a trained bundle has it, where it can be said of several."""
    runs = [bundle.record["training"] for bundle in bundles]
    return {
        "command": command,
        "recipe": {
            "name": f"mean of {len(bundles)}",
            "pretrained": any(run["recipe"].get("pretrained") for run in runs),
            "lesions_from": splits,
        },
        "random_state": None,
        "epochs_run": sum(run["epochs_run"] for run in runs),
        "best_epoch": None,
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        "device": " and ".join(dict.fromkeys(run["device"] for run in runs)),
        "versions": versions(),
    }
