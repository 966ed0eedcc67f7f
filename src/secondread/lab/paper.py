"""The seed paper's figures beside the same network on an honest split, and on a split that leaks."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from secondread.data import Manifest, PreparedSet, prepared_cache
from secondread.evidence.evidence import Prediction, summarise
from secondread.evidence.measured import read_predictions
from secondread.evidence.report import PAPER_CLAIMS
from secondread.lab.leakage import leaking_manifest, share_leaked, unseen_folds
from secondread.models import create_model
from secondread.reading import list_bundles, load_bundle
from secondread.stats.bootstrap import grouped_means
from secondread.stats.delong import delong_test
from secondread.stats.measures import HOW_INTERVALS_ARE_MADE
from secondread.stats.operating_points import PAPER_THRESHOLD
from secondread.tasks import Task
from secondread.training.fit import Epoch, fit, predict_logits
from secondread.training.recipe import Recipe, prepare_spec_of
from secondread.training.train import versions

MODEL = "lenet"
OnEpoch = Callable[[str, Epoch, int], None]  # run, epoch, epochs


@dataclass(frozen=True)
class _Run:
    """How every network here is trained, and where its images are prepared."""

    task: Task
    recipe: Recipe
    random_state: int
    cache: Path
    on_epoch: OnEpoch | None

    def train(self, manifest: Manifest, name: str) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # initial weights draw from the global generator; it is put back
            torch.manual_seed(self.random_state)
            model = create_model(MODEL, in_chans=self.task.channels, input_size=self.task.input_size)
        tell = None if self.on_epoch is None else lambda epoch, epochs: self.on_epoch(name, epoch, epochs)  # type: ignore[misc]
        train, val = self._prepared(manifest, "train"), self._prepared(manifest, "val")
        return fit(model, train, val, self.recipe, random_state=self.random_state, on_epoch=tell).model

    def predict(
        self, model: nn.Module, manifest: Manifest, groups: Mapping[str, str], split: str = "test"
    ) -> list[Prediction]:
        """groups: original, or the image's own name → what belongs together."""
        logits = predict_logits(model, np.array(self._prepared(manifest, split).images)).astype(np.float64)
        probabilities = np.round(1 / (1 + np.exp(-logits)), 6)
        return [
            Prediction(row.name, row.label, row.source, groups.get(row.note) or groups[row.name], float(value))
            for row, value in zip(manifest.split(split).rows, probabilities, strict=True)
        ]

    def _prepared(self, manifest: Manifest, split: str) -> PreparedSet:
        spec = prepare_spec_of(self.task)
        return prepared_cache(manifest.split(split), spec, folder=self.cache, on_bad="raise")


def compare_splits(
    task: Task,
    manifest: Manifest,
    recipe: Recipe,
    *,
    copies: int,
    folds: int,
    random_state: int,
    command: str,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """{claims, honest, leaking, unseen, lift, …} for one task; all networks are trained alike.

    honest: trained on `train`, measured on `test`, which share no group. leaking: trained and measured on a random
    split of `train` with copies, see `leaking_manifest`; leaking_on_honest_test: the same network on `test`. unseen:
    the very images of the leaking test, read by networks that have seen no image of their groups, see `unseen_folds`.
    best: the shipped bundle `best` on `test`, at two operating points.
    lift: leaking less unseen, {accuracy, roc_auc}, each {value, low, high}, paired and by group: leakage alone.
    Copies are written to a temporary folder and removed. Raises DataInvalid, TrainingError or UsageError.
    """
    groups = {row.name: group for row, group in zip(manifest.rows, manifest.groups, strict=True)}
    with tempfile.TemporaryDirectory(prefix="secondread-") as folder:
        run = _Run(task, recipe, random_state, Path(folder) / "cache", on_epoch)
        leaking = leaking_manifest(manifest, copies=copies, random_state=random_state, folder=Path(folder) / "images")
        honest_model, leaking_model = run.train(manifest, "honest"), run.train(leaking, "leaking")
        seen, unseen = run.predict(leaking_model, leaking, groups), _unseen(run, leaking, groups, folds)
        found = {
            "honest": run.predict(honest_model, manifest, groups),
            "leaking": seen,
            "unseen": unseen,
            "leaking_on_honest_test": run.predict(leaking_model, manifest, groups),
            "leaking_on_its_training_images": run.predict(leaking_model, leaking, groups, "train"),
        }
    return {
        "task": task.name,
        "date": date.today().isoformat(),
        "command": command,
        "random_state": random_state,
        "copies": copies,
        "folds": folds,
        "recipe": recipe.to_dict(),
        "model": MODEL,
        "threshold": PAPER_THRESHOLD,
        "data_fingerprint": manifest.fingerprint(),
        "versions": versions(),
        "n_train": {"honest": len(manifest.split("train")), "leaking": len(leaking.split("train"))},
        "share_leaked": round(share_leaked(leaking), 6),
        "claims": PAPER_CLAIMS.get(task.name),
        "intervals": HOW_INTERVALS_ARE_MADE,
        **{name: summarise(predictions, PAPER_THRESHOLD) for name, predictions in found.items()},
        "lift": _lift(seen, unseen),
        "best": best_bundle(task, manifest),
    }


def best_bundle(task: Task, manifest: Manifest) -> dict[str, Any] | None:
    """The shipped bundle `best` on the honest test split, at its operating points, from its evidence; None without."""
    groups = {row.name: group for row, group in zip(manifest.rows, manifest.groups, strict=True)}
    name = f"{task.name}/best"
    if name not in list_bundles():
        return None
    bundle = load_bundle(name)
    if bundle.evidence is None or bundle.evidence["data"]["fingerprint"] != manifest.fingerprint():
        return None
    said = [replace(row, group=groups[row.path]) for row in read_predictions(bundle.evidence, "test")]
    points = {point: bundle.operating_points[point].threshold for point in ("paper", "screening")}
    intervals = {"intervals": bundle.evidence["intervals"]}
    return {
        "bundle": bundle.id,
        **intervals,
        **{point: summarise(said, threshold) for point, threshold in points.items()},
    }


def _unseen(run: _Run, leaking: Manifest, groups: Mapping[str, str], folds: int) -> list[Prediction]:
    """In the order of the leaking test split."""
    found: dict[str, Prediction] = {}
    parts = unseen_folds(leaking, groups, folds=folds, random_state=run.random_state)
    for number, part in enumerate(parts, start=1):
        if "test" in part.splits():
            model = run.train(part, f"unseen {number}/{folds}")
            found |= {prediction.path: prediction for prediction in run.predict(model, part, groups)}
    return [found[row.name] for row in leaking.split("test").rows]


def _lift(seen: list[Prediction], unseen: list[Prediction]) -> dict[str, dict[str, float | None]]:
    y_true = np.array([one.label for one in seen], dtype=bool)
    groups = [one.group for one in seen]
    scores = [np.array([one.probability for one in part], dtype=np.float64) for part in (seen, unseen)]
    right = [(score > PAPER_THRESHOLD) == y_true for score in scores]
    difference = (right[0].astype(np.float64) - right[1])[:, None]
    auc = delong_test(y_true, *scores, groups=groups)
    return {
        "accuracy": grouped_means(difference, groups, bounds=(-1.0, 1.0))[0].to_dict(),
        "roc_auc": {
            "value": round(auc.difference, 6),
            "low": round(auc.low, 6),
            "high": round(auc.high, 6),
        },
    }
