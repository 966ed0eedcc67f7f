"""The whole way of a training run: manifest → prepared images → network → bundle with evidence."""

import hashlib
import json
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from secondread.data import Manifest, PreparedSet, prepared_cache
from secondread.data.split import MEASURED, roles, with_validation
from secondread.errors import TrainingError
from secondread.evidence.card import write_card
from secondread.evidence.plots import curves_plot
from secondread.files import write_bytes, write_json
from secondread.images import PrepareSpec
from secondread.models import check_model, has_pretrained
from secondread.models.lesion_lite import without_finder
from secondread.reading import Bundle, Reader, add_to_bundle, shipped_gate, write_bundle
from secondread.tasks import Task, extension_file
from secondread.training.boxes import boxes_for
from secondread.training.decide import decide_on_validation, map_zero, round_weights
from secondread.training.export import Exported, export_onnx
from secondread.training.fit import Epoch, FitResult, fit
from secondread.training.measure import evaluate
from secondread.training.prepare import lesion_maps, lesion_rows, new_network, val_rows
from secondread.training.recipe import Recipe, prepare_spec_of
from secondread.training.trained import load_trained, settings_of


@dataclass(frozen=True)
class Progress:
    """Where a caller hears of a run; any may be None."""

    on_prepare: Callable[[str, int, int], None] | None = None  # split, done, total
    on_epoch: Callable[[Epoch, int], None] | None = None
    on_step: Callable[[int, int, int, float], None] | None = None
    on_read: Callable[[str, int, int], None] | None = None


def train_bundle(
    task: Task,
    manifest: Manifest,
    recipe: Recipe,
    *,
    model_name: str,
    out: Path,
    name: str,
    random_state: int = 0,
    calibration: str = "temperature",
    command: str = "",
    fresh: bool = False,
    measure: bool = True,
    gate: bool = False,
    default_point: str | None = None,
    margins: Mapping[str, float] | None = None,
    task_file: Path | None = None,
    trained: Path | None = None,
    cache_folder: Path | None = None,
    progress: Progress = Progress(),
) -> Bundle:
    """Train a network on the manifest's `train` split and write a bundle to `out`.

    The best epoch comes from `val`, the calibration (a method of `fit_calibration`) and the operating points from `val`
    and the validation share of the collections in `lesions_from`; with `measure`, the other splits are read once and
    become the bundle's evidence. With `gate`, the shipped gate guards it: right for images like those it was
    trained on. default_point: which operating point decides where none is named; None: the seed paper's after its
    recipe, else screening. margins: see `choose_operating_points`. The run's state is kept in the folder `<out>.run`;
    calling again goes on from there, also with another calibration. trained: a file of `save_trained`, whose network is
    taken instead of training one; the record then says how and where that was done. A network without pretrained
    weights starts from scratch where the recipe would use them, see `recipe_for`; the bundle records the recipe as it
    was followed.
    Raises DataInvalid, TrainingError, BundleError or UnknownName.
    """
    check_model(model_name)  # before hours may go into preparing images
    recipe = recipe_for(recipe, model_name)
    spec = prepare_spec_of(task, recipe)
    divided = with_validation(manifest, recipe.val_from)
    rows = (*divided.split("train").rows, *lesion_rows(manifest, recipe.lesions_from))
    val = prepared_part(divided.split("val"), "val", spec, cache_folder, progress)
    run_folder = out.with_name(f"{out.name}.run")
    if fresh:
        (run_folder / "checkpoint.pt").unlink(missing_ok=True)
    model = new_network(model_name, spec, recipe, random_state=random_state)
    settings = settings_of(task, recipe, model_name, random_state)
    made = {"command": command, "versions": versions()}
    if trained is not None:
        result, record_there = load_trained(trained, model, settings=settings, fingerprint=manifest.fingerprint())
        made = {key: record_there[key] for key in made}
    else:
        train = prepared_part(Manifest(rows, manifest.folder), "train", spec, cache_folder, progress)
        result = fit(
            model,
            train,
            val,
            recipe,
            lesions=lesion_maps(manifest, train.rows, spec) if recipe.lesion_weight else None,
            boxes=boxes_for(recipe, manifest, train.rows, spec),
            n_labelled=len(divided.split("train")),
            random_state=random_state,
            run_folder=run_folder,
            fingerprint=_fingerprint(settings, manifest),
            on_epoch=progress.on_epoch,
            on_step=progress.on_step,
        )
    without_finder(result.model)  # drawing is learnt anew, by `draw_bundle`, from the network as it is kept
    exported = export_onnx(
        result.model, size=spec.size, channels=spec.channels, images=val.images, mirrored=recipe.mirrored
    )
    rounded = round_weights(exported.model, val)
    record = _record(task, name, spec, result, exported, settings, manifest, made)
    record["model"] |= rounded.facts
    more = Manifest(val_rows(manifest, recipe.lesions_from), manifest.folder)
    sets = [val, prepared_part(more, "thresholds", spec, cache_folder, progress)] if more.rows else [val]
    record |= decide_on_validation(task, rounded, manifest, sets, calibration, margins)
    record["data"]["thresholds_from"] = sorted(more.splits())
    record["data"]["rows"] = roles(
        divided, lesions_from=recipe.lesions_from, thresholds_from=record["data"]["thresholds_from"]
    )
    if getattr(result.model, "map_holds_logits", False):
        record["heatmap"]["zero"] = map_zero(record)
    if exported.box_difference is not None and recipe.box_weight:  # sides that were never taught are none
        record["boxes"] = {"label": task.positive_class}
    # a recipe other than the paper's is for a second reader, who must miss little: its point says where that is shown
    record["default_operating_point"] = default_point or ("paper" if recipe.name == "paper" else "screening")
    record["gate"] = gate_for(task) if gate else None
    bundle = write_bundle(out, record=record, model=rounded.model, task_file=task_file or extension_file(task.name))
    _write_curves(result, run_folder, title=f"{task.title}: {model_name}, recipe {recipe.name}")
    if measure:
        measure_bundle(bundle, manifest, command=command, progress=progress)
    return bundle


def recipe_for(recipe: Recipe, model_name: str) -> Recipe:
    """The recipe as that network can follow it: one without pretrained weights starts from scratch, so none of its
    stages is spared."""
    if not recipe.pretrained or has_pretrained(model_name):
        return recipe
    if recipe.weights:
        return replace(recipe, pretrained=False)
    return replace(recipe, pretrained=False, frozen_stages=0, frozen_epochs=0, stage_decay=1.0)


def measure_bundle(
    bundle: Bundle, manifest: Manifest, *, command: str, progress: Progress = Progress()
) -> dict[str, Any]:
    """Read the measured splits that the manifest has, once, and put evidence and card into the bundle."""
    splits = [split for split in MEASURED if split in manifest.splits()]
    reader = Reader.load(bundle.folder)
    evidence = evaluate(bundle, manifest, splits, reader=reader, command=command, on_read=progress.on_read)
    add_to_bundle(bundle, evidence=evidence, card=write_card(bundle, evidence))
    return evidence


def gate_for(task: Task) -> str:
    """The id of the shipped gate. Raises TrainingError where it does not know the task."""
    found = shipped_gate()
    if found is None or not found.knows(task):
        raise TrainingError(f"no shipped gate knows the task '{task.name}'; leave out --gate")
    return found.id


def prepared_part(
    manifest: Manifest, name: str, spec: PrepareSpec, folder: Path | None, progress: Progress
) -> PreparedSet:
    """A part of the manifest as the model sees it; `name` is what the progress calls it. Raises DataInvalid."""
    tell = None if progress.on_prepare is None else lambda done, total: progress.on_prepare(name, done, total)  # type: ignore[misc]
    return prepared_cache(manifest, spec, folder=folder, progress=tell, on_bad="raise")


def _fingerprint(settings: dict[str, Any], manifest: Manifest) -> str:
    text = json.dumps([settings, manifest.fingerprint(), torch.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _record(
    task: Task,
    name: str,
    spec: PrepareSpec,
    result: FitResult,
    exported: Exported,
    settings: dict[str, Any],
    manifest: Manifest,
    made: dict[str, Any],
) -> dict[str, Any]:
    """What bundle.json says, but for format and hashes."""
    extent = result.model.geometry.extent(exported.cells)  # type: ignore[union-attr, operator]
    share = [round(float(side) / spec.size, 6) for side in extent]
    best = result.history[result.best_epoch - 1]
    return {
        "task": task.name,
        "name": name,
        "created": date.today().isoformat(),
        "model": {
            "architecture": settings["model"],
            "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
            "logit_difference_from_torch": exported.logit_difference,
        },
        "prepare": spec.to_dict(),
        "heatmap": {
            "method": getattr(result.model, "map_method", "class-activation map"),
            "extent": [share[0], share[0], share[1], share[1]],
        },
        "data": {"fingerprint": manifest.fingerprint(), "splits": manifest.splits()},
        "training": {
            "command": made["command"],
            "recipe": settings["recipe"],
            "random_state": settings["random_state"],
            "epochs_run": len(result.history),
            "best_epoch": result.best_epoch,
            "best_val_auc": round(best.val_auc, 6),
            "seconds": round(sum(line.seconds for line in result.history), 1),
            "device": result.device,
            "versions": made["versions"],
        },
    }


def versions() -> dict[str, str]:
    """Of all that a model's numbers hang on."""
    names = ("secondread", "torch", "onnx", "onnxruntime", "numpy", "opencv-python-headless", "pillow")
    return {"python": platform.python_version(), "platform": sys.platform, **{name: version(name) for name in names}}


def _write_curves(result: FitResult, folder: Path, *, title: str) -> None:
    history = [asdict(line) for line in result.history]
    write_json(folder / "history.json", history)
    write_bytes(folder / "curves.png", curves_plot(history, best_epoch=result.best_epoch, title=title))
