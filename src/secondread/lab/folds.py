"""Networks of several recipes trained on the same rows, with several seeds: on validation, and at hospitals left out.

What is done lies in files, one a run; asking again does what is left. No test split is read.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import Manifest, Row
from secondread.errors import DataInvalid, TrainingError
from secondread.files import write_json
from secondread.lab.hospitals import Hospital
from secondread.lab.runs import Runs
from secondread.stats.paired import compare_runs
from secondread.training.fit import Epoch, predict_logits
from secondread.training.prepare import recorded_recipe
from secondread.training.recipe import Recipe

OnEpoch = Callable[[str, Epoch, int], None]  # run, epoch, epochs


@dataclass(frozen=True)
class Fold:
    """Training rows, the rows that choose the epoch, and those that measure: the same, or a hospital left out."""

    train: tuple[Row, ...]
    val: tuple[Row, ...]
    left_out: Hospital | None = None

    @property
    def measured(self) -> tuple[Row, ...]:
        """The rows that measure."""
        return self.val if self.left_out is None else self.left_out.measured


def folds_of(manifest: Manifest, n_folds: int, *, random_state: int = 0) -> tuple[Fold, ...]:
    """One: the manifest's own train and val. More: train and val together, divided by group, classes in proportion.

    Raises DataInvalid if a class has fewer groups than there are folds.
    """
    train, val = manifest.split("train"), manifest.split("val")
    if n_folds == 1:
        return (Fold(train.rows, val.rows),)
    from sklearn.model_selection import StratifiedGroupKFold

    pool = Manifest((*train.rows, *val.rows), manifest.folder)
    groups, labels = np.array(pool.groups), pool.labels
    if (fewest := min(len(set(groups[labels == label])) for label in (False, True))) < n_folds:
        raise DataInvalid(f"{n_folds} folds need as many groups of each class, and one has {fewest}; ask for fewer")
    parts = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state).split(labels, labels, groups)
    rows = [[tuple(pool.rows[place] for place in part) for part in pair] for pair in parts]
    return tuple(Fold(train, val) for train, val in rows)


def logits_of(
    runs: Runs, recipe: Recipe, fold: Fold, path: Path, seed: int, *, on_epoch: OnEpoch | None = None
) -> np.ndarray:
    """Logits of the rows that measure, float (n,): from the run's file `<path>.json`, or of a training that writes it.

    Raises as `Runs.fit`, or TrainingError where the file holds a run with other data or settings.
    """
    target = path.with_name(f"{path.name}.json")
    fingerprint = _fingerprint(runs, recipe, fold, seed)
    found = _found(target, fingerprint)
    if found is not None:
        return found
    state = path.with_name(f"{path.name}.run")  # of the run in progress
    tell = None if on_epoch is None else lambda epoch, epochs: on_epoch(path.name, epoch, epochs)
    result = runs.fit(
        fold.train,
        fold.val,
        recipe,
        random_state=seed,
        lesions=None if fold.left_out is None else fold.left_out.lesions(recipe.lesions_from),
        run_folder=state,
        fingerprint=fingerprint,
        on_epoch=tell,
    )
    assert result.val_logits is not None, "fit keeps the validation logits of its best epoch"
    measured = result.val_logits
    if fold.left_out is not None:
        measured = predict_logits(result.model, runs.prepared(fold.measured, recipe).images, bfloat16=recipe.bfloat16)
    logits = np.round(measured.astype(np.float64), 6)
    write_json(
        target,
        {
            "fingerprint": fingerprint,
            "recipe": recorded_recipe(recipe),
            "seed": seed,
            "epochs_run": len(result.history),
            "best_epoch": result.best_epoch,
            "seconds": round(sum(line.seconds for line in result.history), 1),
            "names": [row.name for row in fold.measured],
            "logits": logits.tolist(),
        },
    )
    shutil.rmtree(state, ignore_errors=True)
    return logits


def compare_left_out(
    runs: Runs,
    recipes: Mapping[str, Recipe | Callable[[Hospital], Recipe]],
    hospitals: Sequence[Hospital],
    *,
    out: Path,
    seeds: Sequence[int],
    reference: str,
    on_epoch: OnEpoch | None = None,
) -> dict[str, dict[str, Any]]:
    """Recipes at hospitals that taught nothing: name → {mean, hospitals: name → …}, each what `compare_runs` gives.

    recipes: name → the recipe, or what gives it for a hospital if its weights there are others. out: where the runs'
    files go. reference: the recipe that the others are held against; all differences are paired.
    """
    folds = {hospital.name: Fold(hospital.train, hospital.val, hospital) for hospital in hospitals}
    logits = {
        hospital.name: np.stack([
            [
                logits_of(
                    runs,
                    recipe(hospital) if callable(recipe) else recipe,
                    folds[hospital.name],
                    out / f"{name.replace(' ', '-')}.without-{hospital.name}.seed{seed}",
                    seed,
                    on_epoch=on_epoch,
                )
                for seed in seeds
            ]
            for name, recipe in recipes.items()
        ])
        for hospital in hospitals
    }  # fmt: skip  # hospital → (recipes, seeds, n)
    at = list(recipes).index(reference)
    parts = {hospital.name: Manifest(hospital.measured, runs.manifest.folder) for hospital in hospitals}
    alone = {
        name: compare_runs(part.labels, logits[name], groups=part.groups, reference=at) for name, part in parts.items()
    }
    together = compare_runs(
        np.concatenate([part.labels for part in parts.values()]),
        np.concatenate(list(logits.values()), axis=2),
        groups=[group for part in parts.values() for group in part.groups],
        reference=at,
        folds=np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()]),
    )
    return {
        name: {
            "mean": {key: one.to_dict() for key, one in together[number].items()},
            "hospitals": {
                hospital: {"n": len(parts[hospital]), **{key: one.to_dict() for key, one in found[number].items()}}
                for hospital, found in alone.items()
            },
        }
        for number, name in enumerate(recipes)
    }


def _fingerprint(runs: Runs, recipe: Recipe, fold: Fold, seed: int) -> str:
    names = [row.name for row in fold.measured]
    facts = [recorded_recipe(recipe), runs.model_name, seed, runs.fingerprint, names]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _found(path: Path, fingerprint: str) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        same, logits = table["fingerprint"] == fingerprint, np.array(table["logits"], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"'{path}' is damaged; delete it, and its run is done again") from error
    if not same:
        raise TrainingError(f"'{path}' holds a run with other data or settings; give the same ones or another --out")
    return logits
