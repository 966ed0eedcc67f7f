"""A search over a recipe's fields by validation AUC: Optuna's TPE with median pruning, resumable and killable."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from secondread.data import Manifest
from secondread.errors import DataInvalid, TrainingError
from secondread.files import write_bytes, write_json, write_text
from secondread.images import PrepareSpec
from secondread.lab.folds import compare_left_out
from secondread.lab.hospitals import Hospital
from secondread.lab.pages import search_page
from secondread.lab.runs import Runs
from secondread.lab.study import search_plot
from secondread.lab.trials import (
    SPREADS,
    STARTUP,
    Going,
    OnEpoch,
    Part,
    Trials,
    finished,
    one_by_one,
    recipe_of,
    rounded,
)
from secondread.stats.measures import HOW_INTERVALS_ARE_MADE
from secondread.training.prepare import new_network, recorded_recipe
from secondread.training.recipe import Recipe, changes_between, prepare_spec_of
from secondread.training.train import recipe_for, versions

_STORAGE = "trials.sqlite"  # its transactions survive a kill; of a journal a half-written line would stay


def search_space(recipe: Recipe, model: Any) -> dict[str, BaseDistribution]:
    """What may be searched for that recipe and network: field → distribution."""
    rate = recipe.learning_rate
    space: dict[str, BaseDistribution] = {
        "learning_rate": FloatDistribution(rate / 10, rate * 10, log=True),
        "weight_decay": FloatDistribution(1e-6, 0.2, log=True),
        "label_smoothing": FloatDistribution(0, 0.2),
        "mixup": FloatDistribution(0, 0.6),
        "zoom": FloatDistribution(0, 0.5),
        "gamma": FloatDistribution(0, 1.0),
        "noise": FloatDistribution(0, 20),
    }
    n_stages = len(model.stages())
    if recipe.optimizer == "adamw":  # adam has one learning rate for all
        space["stage_decay"] = FloatDistribution(0.5, 1.0)
    if recipe.pretrained or recipe.weights:  # stages without pretrained weights must learn
        space["frozen_stages"] = IntDistribution(0, max(1, n_stages // 2))
    if hasattr(model, "lesions"):
        space["lesion_weight"] = FloatDistribution(0, 2)
    return space


def start_of(recipe: Recipe, space: dict[str, BaseDistribution]) -> dict[str, float]:
    """The point of the space that is nearest to the recipe: the first trial."""
    point = {}
    for name, kind in space.items():
        value = getattr(recipe, name)
        if name in SPREADS:
            value = value[1] - 1 if value else 0.0
        assert isinstance(kind, FloatDistribution | IntDistribution), "the space has numbers alone"
        point[name] = min(max(value, kind.low), kind.high)
    return point


def parts_of(manifest: Manifest, *, leave_source_out: bool) -> tuple[Part, ...]:
    """The manifest's train and val; or one part for each source that has both classes in them, left out of training.

    The rows of a source that is left out are measured on; neither they nor others of their groups train or choose an
    epoch.
    Raises DataInvalid where fewer than two sources can be left out.
    """
    train, val = manifest.split("train"), manifest.split("val")
    if not leave_source_out:
        return (Part("val", train.rows, val.rows, val.rows),)
    pool = Manifest((*train.rows, *val.rows), manifest.folder)
    found = []
    for source in sorted({row.source for row in pool.rows} - {""}):
        measured = tuple(row for row in pool.rows if row.source == source)
        away = {group for row, group in zip(pool.rows, pool.groups, strict=True) if row.source == source}
        rest = [row for row, group in zip(pool.rows, pool.groups, strict=True) if group not in away]
        train_rows, val_rows = (tuple(row for row in rest if row.split == name) for name in ("train", "val"))
        part = Part(source, train_rows, val_rows, measured)
        if all(len({row.label for row in rows}) == 2 for rows in (part.train, part.val, part.measured)):
            found.append(part)
    if len(found) < 2:
        raise DataInvalid(
            f"{len(found)} of the sources can be left out: with both classes, and leaving both; "
            "search without --leave-source-out"
        )
    return tuple(found)


def search(
    runs: Runs,
    recipe: Recipe,
    *,
    out: Path,
    n_trials: int,
    timeout_minutes: float | None = None,
    leave_source_out: bool = False,
    hospitals: Sequence[Hospital] = (),
    seeds: Sequence[int] = (0, 1, 2),
    random_state: int = 0,
    command: str = "",
    on_epoch: OnEpoch | None = None,
    run: Callable[[Going, Trials], None] | None = None,
) -> dict[str, Any]:
    """Search until `out` holds that many trials, and write search.json, search.md and search.png to it.

    The value of a trial is the ROC AUC on validation images, or its mean over the sources left out; no test split is
    read. Calling again goes on: a trial that was cut off is done again, from its start, as if nothing had happened.
    timeout_minutes: no trial starts later. run: does the trials; if not said, one after the other, here. hospitals: in
    the end the best trial's recipe and the one that the search began with are trained without each of them, with each
    of `seeds`, and measured on it: whether what was found carries over.
    Akiba et al. 2019 (Optuna); Bergstra et al. 2011 (TPE).
    Raises as `fit`, DataInvalid, or TrainingError where `out` holds a search with other data or settings.
    """
    recipe = recipe_for(recipe, runs.model_name)
    parts = parts_of(runs.manifest, leave_source_out=leave_source_out)
    spec = prepare_spec_of(runs.task, recipe)
    space = search_space(recipe, new_network(runs.model_name, spec, recipe, random_state=random_state))
    data = runs.manifest.fingerprint()
    settings = {
        "task": runs.task.name,
        "model": runs.model_name,
        "recipe": recorded_recipe(recipe),
        "data_fingerprint": data,
        "leave_source_out": leave_source_out,
        "random_state": random_state,
    }
    found = _open(out, settings, spec, patience=recipe.epochs // 4)
    end = math.inf if timeout_minutes is None else time.monotonic() + 60 * timeout_minutes
    going = Going(found, space, start_of(recipe, space), random_state, n_trials, end, on_epoch)
    (run or one_by_one)(going, Trials(runs, recipe, parts, random_state))
    table = {
        **settings,
        "versions": versions(),
        "date": date.today().isoformat(),
        "command": command,
        **_summary(found, recipe, parts),
    }
    if hospitals and table["best"]:
        table["left_out"] = _carried(runs, recipe, table["best"]["params"], hospitals, out=out, seeds=seeds)
    write_json(out / "search.json", table)
    write_bytes(out / "search.png", _plot(table))
    write_text(out / "search.md", search_page(table, measure=_measure_name(table)))
    return table


def _open(out: Path, settings: dict[str, Any], spec: PrepareSpec, *, patience: int) -> optuna.Study:
    """The search that `out` holds, or a new one; what a kill left running is marked as failed.

    patience: epochs in which no trial is stopped early.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps([settings, spec.to_dict()], sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    found = optuna.create_study(
        storage=f"sqlite:///{out / _STORAGE}",
        study_name="search",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=patience),
        load_if_exists=True,
    )
    if found.user_attrs.setdefault("fingerprint", fingerprint) != fingerprint:
        raise TrainingError(f"'{out}' holds a search with other data or settings; give the same ones or another --out")
    found.set_user_attr("fingerprint", fingerprint)
    for trial in found.get_trials(states=[TrialState.RUNNING]):
        found.tell(trial.number, state=TrialState.FAIL)
    return found


def _summary(found: optuna.Study, recipe: Recipe, parts: tuple[Part, ...]) -> dict[str, Any]:
    trials = [_as_row(number, trial, recipe) for number, trial in enumerate(finished(found))]
    whole = [row for row in trials if row["state"] == "complete"]
    best = max(whole, key=lambda row: (row["value"], -row["number"]), default=None)
    return {
        "parts": [{"name": part.name, "n_train": len(part.train), "n": len(part.measured)} for part in parts],
        "intervals": HOW_INTERVALS_ARE_MADE,
        "n_trials": len(trials),
        "best": best,
        "importances": _importances(found),
        "trials": trials,
    }


def _carried(
    runs: Runs,
    recipe: Recipe,
    params: dict[str, float],
    hospitals: Sequence[Hospital],
    *,
    out: Path,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """The recipe as it was and the best trial's, at hospitals that taught neither."""
    best = recipe_of(recipe, params)
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:8]  # another best, other files
    return {
        "seeds": list(seeds),
        **compare_left_out(
            runs,
            {"as it was": recipe, "best": best},
            hospitals,
            out=out / "left-out" / digest,
            seeds=seeds,
            reference="as it was",
        ),
    }


def _as_row(number: int, trial: FrozenTrial, recipe: Recipe) -> dict[str, Any]:
    """A trial as search.json keeps it; of one that was stopped early, the highest AUC it had reached."""
    pruned = trial.state == TrialState.PRUNED
    value = max(trial.intermediate_values.values(), default=None) if pruned else trial.value
    failed = trial.user_attrs.get("failed", "")
    return {
        "number": number,
        "state": "pruned" if pruned else "failed" if failed else "complete",
        "value": None if failed or value is None else round(value, 6),
        "areas": trial.user_attrs.get("areas", {}),
        "set": changes_between(recipe, recipe_of(recipe, trial.params)),
        "params": {name: rounded(value) for name, value in trial.params.items()},
        **({"failed": failed} if failed else {}),
    }


def _importances(found: optuna.Study) -> dict[str, float]:
    """Field → share (Watanabe et al. 2023, PED-ANOVA); nothing where there are too few different trials."""
    values = {trial.value for trial in found.get_trials(states=[TrialState.COMPLETE])}
    if len(values) < STARTUP or not all(value is not None and math.isfinite(value) for value in values):
        return {}
    shares = optuna.importance.get_param_importances(found)
    return {name: round(share, 4) for name, share in shares.items() if math.isfinite(share)}


def _measure_name(table: dict[str, Any]) -> str:
    return "mean ROC AUC of sources left out" if table["leave_source_out"] else "validation ROC AUC"


def _plot(table: dict[str, Any]) -> bytes:
    title = f"{table['task']}: {table['model']}, recipe {table['recipe']['name']}, {table['n_trials']} trials"
    return search_plot(table["trials"], table["importances"], title=title, measure=_measure_name(table))
