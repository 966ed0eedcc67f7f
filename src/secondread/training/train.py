"""The whole way of a training run: manifest → prepared images → network → bundle with evidence."""

import hashlib
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secondread.data import Manifest, PreparedSet, prepared_cache
from secondread.errors import TrainingError
from secondread.evidence import PAPER_THRESHOLD, curves_plot, measure_operating_point
from secondread.images import PrepareSpec
from secondread.models import create_model
from secondread.reading import Bundle, Reader, add_to_bundle, shipped_gate, write_bundle
from secondread.tasks import Task
from secondread.training.card import write_card
from secondread.training.evaluate import evaluate
from secondread.training.export import Exported, export_onnx
from secondread.training.fit import Epoch, FitResult, fit
from secondread.training.recipes import Recipe, prepare_spec_of

# Read once, after everything is fixed: the test split, and hospitals never used to fit or choose anything.
_MEASURED = ("test", "external", "external-negatives", "localisation")


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
    command: str = "",
    fresh: bool = False,
    measure: bool = True,
    gate: bool = False,
    task_file: Path | None = None,
    cache_folder: Path | None = None,
    progress: Progress = Progress(),
) -> Bundle:
    """Train a network on the manifest's `train` split and write a bundle to `out`.

    The best epoch and the operating point come from `val`; with `measure`, the other splits are read once and become
    the bundle's evidence. With `gate`, the shipped gate guards it: right for images like those it was taught with.
    The run's state is kept in the folder `<out>.run`; calling again goes on from there.
    Raises DataInvalid, TrainingError, BundleError or UnknownName.
    """
    spec = prepare_spec_of(task)
    train, val = (_prepared(manifest, split, spec, cache_folder, progress) for split in ("train", "val"))
    run_folder = out.with_name(f"{out.name}.run")
    if fresh:
        (run_folder / "checkpoint.pt").unlink(missing_ok=True)
    with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator; it is put back
        torch.manual_seed(random_state)
        model = create_model(model_name, in_chans=task.channels, input_size=task.input_size)
    settings = {
        "recipe": recipe.to_dict(),
        "model": model_name,
        "random_state": random_state,
        "prepare": spec.to_dict(),
    }
    result = fit(
        model,
        train,
        val,
        recipe,
        random_state=random_state,
        run_folder=run_folder,
        fingerprint=_fingerprint(settings, manifest),
        on_epoch=progress.on_epoch,
        on_step=progress.on_step,
    )
    exported = export_onnx(result.model, size=spec.size, channels=spec.channels, images=val.images)
    record = _record(task, name, spec, result, exported, val, settings, manifest, command)
    record["gate"] = _gate_for(task) if gate else None
    bundle = write_bundle(out, record=record, model=exported.model, task_file=task_file)
    _write_curves(result, run_folder, title=f"{task.title}: {model_name}, recipe {recipe.name}")
    if measure:
        measure_bundle(bundle, manifest, command=command, progress=progress)
    return bundle


def measure_bundle(
    bundle: Bundle, manifest: Manifest, *, command: str, progress: Progress = Progress()
) -> dict[str, Any]:
    """Read the measured splits that the manifest has, once, and put evidence and card into the bundle."""
    splits = [split for split in _MEASURED if split in manifest.splits()]
    reader = Reader.load(bundle.folder)
    evidence = evaluate(bundle, manifest, splits, reader=reader, command=command, on_read=progress.on_read)
    add_to_bundle(bundle, evidence=evidence, card=write_card(bundle, evidence))
    return evidence


def _gate_for(task: Task) -> str:
    found = shipped_gate()
    if found is None or not found.knows(task):
        raise TrainingError(f"no shipped gate knows the task '{task.name}'; leave out --gate")
    return found.id


def _prepared(
    manifest: Manifest, split: str, spec: PrepareSpec, folder: Path | None, progress: Progress
) -> PreparedSet:
    tell = None if progress.on_prepare is None else lambda done, total: progress.on_prepare(split, done, total)  # type: ignore[misc]
    return prepared_cache(manifest.split(split), spec, folder=folder, progress=tell, on_bad="raise")


def _fingerprint(settings: dict[str, Any], manifest: Manifest) -> str:
    text = json.dumps([settings, manifest.fingerprint(), torch.__version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _record(
    task: Task,
    name: str,
    spec: PrepareSpec,
    result: FitResult,
    exported: Exported,
    val: PreparedSet,
    settings: dict[str, Any],
    manifest: Manifest,
    command: str,
) -> dict[str, Any]:
    """What bundle.json says, but for format and hashes."""
    assert result.val_logits is not None, "fit keeps the validation logits of its best epoch"
    extent = result.model.geometry.extent(exported.cells)  # type: ignore[union-attr, operator]
    share = [round(float(side) / spec.size, 6) for side in extent]
    probabilities = 1 / (1 + np.exp(-result.val_logits.astype(np.float64)))
    point = measure_operating_point(
        val.labels,
        np.round(probabilities, 6),
        threshold=PAPER_THRESHOLD,
        chosen_by="fixed by the seed paper: positive above 0.7",
        data=f"val split, {manifest.fingerprint()[:12]}",
        date=date.today().isoformat(),
        weights_sha256=hashlib.sha256(exported.model).hexdigest(),
    )
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
            "method": "gradient × activation at the last pool",
            "extent": [share[0], share[0], share[1], share[1]],
        },
        "temperature": 1.0,
        "calibration": "none: the probability is the network's own, as in the seed paper",
        "operating_points": {"paper": point},
        "default_operating_point": "paper",
        "data": {"fingerprint": manifest.fingerprint(), "splits": manifest.splits()},
        "training": {
            "command": command,
            "recipe": settings["recipe"],
            "random_state": settings["random_state"],
            "epochs_run": len(result.history),
            "best_epoch": result.best_epoch,
            "best_val_auc": round(best.val_auc, 6),
            "seconds": round(sum(line.seconds for line in result.history), 1),
            "device": result.device,
            "versions": _versions(),
        },
    }


def _versions() -> dict[str, str]:
    names = ("secondread", "torch", "onnx", "onnxruntime", "numpy", "opencv-python-headless", "pillow")
    return {"python": platform.python_version(), "platform": sys.platform, **{name: version(name) for name in names}}


def _write_curves(result: FitResult, folder: Path, *, title: str) -> None:
    history = [asdict(line) for line in result.history]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.json").write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
    (folder / "curves.png").write_bytes(curves_plot(history, best_epoch=result.best_epoch, title=title))
