"""Several bundles of a task as one: the mean of their calibrated logits and of their maps, in one ONNX file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import Manifest
from secondread.data.split import roles, with_validation
from secondread.errors import TrainingError, UsageError
from secondread.images import PrepareSpec
from secondread.reading import Bundle, write_bundle
from secondread.stats.metrics import roc_auc
from secondread.training.decide import decide_on_validation, map_zero, round_smallest
from secondread.training.export import run_onnx
from secondread.training.merge_onnx import merge_models
from secondread.training.prepare import val_rows
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
    margins: Mapping[str, float] | None = None,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Write one bundle that reads as the mean of several of its task, all trained on this manifest.

    The answer is the mean of the members' logits, each divided by its temperature, so that none speaks louder than
    validation lets it (Dietterich, MCS 2000); with `shares`, one for each, their weighted mean. The map is the mean of
    the maps that say of places whether they look diseased, or of all where none does; of members that find boxes see
    `merge_models`. Preprocessing may differ in size and field: where some see the whole image and others the lungs
    alone, the bundle makes both views, and shows the maps of the former. Calibration, operating points and, with
    `measure`, the evidence are made anew, as `train_bundle` makes them; margins: of its operating points.
    Raises UsageError for bundles that cannot be merged, TrainingError or BundleError.
    """
    _check(bundles, manifest)
    parts = _parts(shares, len(bundles))
    progress = progress or Progress()
    task = bundles[0].task
    spec, views = _spec_and_views(bundles)
    divided = with_validation(manifest, _val_from(bundles))
    val = prepared_part(divided.split("val"), "val", spec, cache_folder, progress)
    mapped = [bundle.maps_lesions and not view for bundle, view in zip(bundles, views, strict=True)]
    boxed = [bundle.boxes is not None for bundle in bundles]
    weights = [part / bundle.calibration.temperature for bundle, part in zip(bundles, parts, strict=True)]
    served = round_smallest(
        merge_models(
            [bundle.model_path.read_bytes() for bundle in bundles],
            sizes=[bundle.prepare_spec.size for bundle in bundles],
            weights=weights,
            mapped=mapped if any(mapped) else [not view for view in views],
            boxed=boxed,
            views=views,
        ),
        val,
    )
    sums: list[np.ndarray | float] = [0.0, 0.0]  # of what is said of the image, and of its cells
    for bundle, weight in zip(bundles, weights, strict=True):
        own = prepared_part(divided.split("val"), "val", bundle.prepare_spec, cache_folder, progress)
        output = "cam" if bundle.boxes else "logit"
        said = run_onnx(bundle.model_path.read_bytes(), own.images, outputs=[output])[0]
        sums[said.ndim > 1] = sums[said.ndim > 1] + weight * said
    apart = np.zeros(len(val)) + sums[0] + (np.max(sums[1], axis=(1, 2)) if any(boxed) else 0.0)
    together = served.logits(val.images)
    auc, lost = roc_auc(val.labels, together), roc_auc(val.labels, apart) - roc_auc(val.labels, together)
    if lost >= _LOST:
        raise TrainingError(f"one file loses {lost:.4f} of the members' validation AUC; train them at one input size")
    splits = _lesions_from(bundles)
    more = Manifest(val_rows(manifest, splits), manifest.folder)
    sets = [val, prepared_part(more, "thresholds", spec, cache_folder, progress)] if more.rows else [val]
    record = {
        "task": task.name,
        "name": name,
        "created": date.today().isoformat(),
        "model": {
            "architecture": " + ".join(bundle.model.architecture for bundle in bundles),
            "parameters": sum(bundle.model.parameters for bundle in bundles),
            "val_auc_lost_by_merging": round(lost, 6),
            "logit_difference_by_merging": float(np.abs(apart - together).max()),
            **served.facts,
        },
        "prepare": spec.to_dict(),
        "heatmap": _heatmap([bundle for bundle, view in zip(bundles, views, strict=True) if not view], len(bundles)),
        "data": {
            "fingerprint": manifest.fingerprint(),
            "splits": manifest.splits(),
            "thresholds_from": sorted(more.splits()),
            "rows": roles(divided, lesions_from=splits, thresholds_from=sorted(more.splits())),
        },
        "members": [_member(bundle, part) for bundle, part in zip(bundles, parts, strict=True)],
        "training": _training(bundles, splits, command) | {"best_val_auc": round(auc, 6)},
        **decide_on_validation(task, served, manifest, sets, calibration, margins),
        "default_operating_point": "screening",
        "gate": gate_for(task) if gate else None,
    }
    if any(mapped):
        record["heatmap"]["zero"] = map_zero(record)
    if any(boxed):
        record["boxes"] = {"label": task.positive_class}
    bundle = write_bundle(out, record=record, model=served.model, task_file=bundles[0].task_file)
    if measure:
        measure_bundle(bundle, manifest, command=command, progress=progress)
    return bundle


def _check(bundles: Sequence[Bundle], manifest: Manifest) -> None:
    if len(bundles) < 2:
        raise UsageError("merging takes two bundles or more")
    first, fingerprint = _whole_first(bundles)[0], manifest.fingerprint()
    for bundle in bundles:
        if bundle.task.name != first.task.name:
            raise UsageError(f"{bundle.id} and {first.id} read for different tasks; a merged bundle reads for one")
        if bundle.data.fingerprint != fingerprint:
            raise UsageError(
                f"{bundle.id} was trained on other data than this manifest's, perhaps on its test images; "
                "give the manifest it was trained on"
            )
        if len(bundle.prepare_spec.views) > 1:
            raise UsageError(
                f"{bundle.id} already reads two views of an image; merge the bundles that it was made of "
                "(`secondread build` trains those of a shipped one)"
            )
        if not _alike(bundle.prepare_spec, first.prepare_spec):
            raise UsageError(
                f"{bundle.id} and {first.id} prepare images otherwise; they may differ in size and field alone"
            )
        if bundle.calibration.knots is not None or bundle.calibration.bias is not None:
            raise UsageError(f"{bundle.id} is calibrated by more than a temperature; give the bundle as it was trained")
    if len({bundle.prepare_spec.size for bundle in bundles if bundle.boxes}) > 1:
        raise UsageError("bundles that find boxes can be merged at one input size alone: their cells must be the same")
    if any(bundle.boxes and bundle.prepare_spec.field == "lungs" for bundle in bundles):
        raise UsageError("boxes of the lungs alone lie elsewhere than those of whole images; merge it without boxes")
    extents = {bundle.heatmap.extent for bundle in bundles if bundle.maps_lesions or bundle.boxes}
    if len(extents) > 1:
        raise UsageError("the bundles' maps cover different parts of the image; merge networks of one kind")


def _whole_first(bundles: Sequence[Bundle]) -> list[Bundle]:
    return sorted(bundles, key=lambda bundle: bundle.prepare_spec.field != "whole")


def _alike(spec: PrepareSpec, first: PrepareSpec) -> bool:
    """But for what members may differ in; a border is trimmed of whole images alone."""
    border = spec.trim_border if spec.field == first.field else first.trim_border
    return replace(spec, size=first.size, field=first.field, trim_border=border) == first


def _spec_and_views(bundles: Sequence[Bundle]) -> tuple[PrepareSpec, list[int]]:
    """How the merged bundle prepares images, and which of its views each member sees."""
    specs = [bundle.prepare_spec for bundle in bundles]
    made = replace(_whole_first(bundles)[0].prepare_spec, size=max(spec.size for spec in specs))
    if len({spec.field for spec in specs}) == 1:
        return made, [0] * len(specs)
    return replace(made, field="whole and lungs"), [int(spec.field == "lungs") for spec in specs]


def _parts(shares: Sequence[float] | None, n: int) -> list[float]:
    """Of one whole, alike if not asked otherwise."""
    shares = [1.0] * n if shares is None else shares
    if len(shares) != n or not all(math.isfinite(share) and share > 0 for share in shares):
        raise UsageError(f"{n} bundles take {n} shares, each above 0")
    return [share / sum(shares) for share in shares]


def _lesions_from(bundles: Sequence[Bundle]) -> list[str]:
    """The collections of one label that any of them was trained on by their lesions."""
    return sorted({split for bundle in bundles for split in bundle.training.recipe.get("lesions_from", ())})


def _val_from(bundles: Sequence[Bundle]) -> list[str]:
    """The sources of whose training rows a fifth validates. Raises UsageError where members do not agree on them: what
    validates one would have taught another."""
    found = {tuple(sorted(bundle.training.recipe.get("val_from", ()))) for bundle in bundles}
    if len(found) > 1:
        raise UsageError("the bundles were validated on other images (val_from); merge those that agree on it")
    return list(found.pop())


def _heatmap(bundles: Sequence[Bundle], n: int) -> dict[str, Any]:
    """bundles: those of the n whose maps may be shown."""
    shown = [bundle for bundle in bundles if bundle.boxes] or [bundle for bundle in bundles if bundle.maps_lesions]
    shown = shown or list(bundles)
    method = "; ".join(dict.fromkeys(bundle.heatmap.method for bundle in shown))
    without = f" (of the other {n - len(shown)} of {n} networks none is shown)" if len(shown) < n else ""
    return {
        "method": f"mean of {len(shown)} maps{without}: {method}" if len(shown) > 1 else f"{method}{without}",
        "extent": list(shown[0].heatmap.extent),
    }


def _member(bundle: Bundle, part: float) -> dict[str, Any]:
    """What the merged bundle keeps of one of those it was made of."""
    kept = ("model", "prepare", "training", "temperature")
    return {"bundle": bundle.id, "share": round(part, 6), **{key: bundle.record[key] for key in kept}}


def _training(bundles: Sequence[Bundle], splits: list[str], command: str) -> dict[str, Any]:
    """As a trained bundle has it, where it can be said of several."""
    runs = [bundle.training for bundle in bundles]
    return {
        "command": command,
        "recipe": {
            "name": f"mean of {len(bundles)}",
            "pretrained": any(run.recipe.get("pretrained") for run in runs),
            "lesions_from": splits,
            **({"val_from": val_from} if (val_from := _val_from(bundles)) else {}),
        },
        "random_state": None,
        "epochs_run": sum(run.epochs_run for run in runs),
        "best_epoch": None,
        "seconds": round(sum(run.seconds for run in runs), 1),
        "device": " and ".join(dict.fromkeys(run.device for run in runs)),
        "versions": versions(),
    }
