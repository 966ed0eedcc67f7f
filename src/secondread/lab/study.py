"""The augmentation study: what each augmentation of a recipe is worth, alone and beside the others, on validation."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import Manifest
from secondread.errors import UsageError
from secondread.evidence.plots import GRID, INK, NEGATIVE, POSITIVE, THRESHOLD, as_png, new_figure
from secondread.files import write_bytes, write_json, write_text
from secondread.lab.folds import Fold, OnEpoch, compare_left_out, folds_of, logits_of
from secondread.lab.hospitals import Hospital
from secondread.lab.pages import study_page
from secondread.lab.runs import Runs
from secondread.stats.paired import compare_runs
from secondread.training.prepare import recorded_recipe
from secondread.training.recipe import Recipe
from secondread.training.train import recipe_for, versions


def difference_plot(rows: Sequence[tuple[str, Mapping[str, float | None]]], *, title: str, measure: str) -> bytes:
    """One line a recipe: its name and its difference from the reference, {value, low, high}. PNG."""
    figure, axes = new_figure(title, measure, "")
    figure.set_size_inches(7.2, 1.4 + 0.32 * len(rows))
    places = np.arange(len(rows))[::-1]
    for place, (_, found) in zip(places, rows, strict=True):
        value, low, high = (found[key] for key in ("value", "low", "high"))
        if value is None or low is None or high is None:
            continue
        axes.plot([low, high], [place, place], color=NEGATIVE, lw=1.5)
        axes.plot(value, place, "o", color=NEGATIVE)
    axes.axvline(0, color=INK, lw=1, ls=":")
    axes.set_yticks(places, [name for name, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    return as_png(figure)


def search_plot(
    trials: Sequence[Mapping[str, Any]], importances: Mapping[str, float], *, title: str, measure: str
) -> bytes:
    """Every trial's value and the best so far; below, how much each field mattered. PNG.

    trials: {number, state, value or None}; importances: field → share, perhaps empty.
    """
    figure, axes = new_figure(title, "trial", measure)
    _history(axes, trials)
    if importances:
        figure.clear()
        figure.set_size_inches(7.2, 5.2 + 0.25 * len(importances))
        heights = [4, 1 + 0.35 * len(importances)]
        above, below = figure.subplots(2, 1, height_ratios=heights)
        above.set(title=title, xlabel="trial", ylabel=measure)
        _history(above, trials)
        names = list(importances)[::-1]
        below.barh(names, [importances[name] for name in names], color=NEGATIVE)
        below.set(xlim=(0, 1), xlabel="importance: share of what makes the best trials best")
        for part in (above, below):
            part.grid(visible=True, color=GRID, lw=0.6)
            part.set_axisbelow(True)
            part.spines[["top", "right"]].set_visible(False)
    return as_png(figure)


def _history(axes: Any, trials: Sequence[Mapping[str, Any]]) -> None:
    whole = [trial for trial in trials if trial["state"] == "complete"]
    stopped = [trial for trial in trials if trial["state"] == "pruned" and trial["value"] is not None]
    numbers, values = [trial["number"] for trial in whole], [trial["value"] for trial in whole]
    axes.scatter(numbers, values, s=18, color=NEGATIVE, label="whole trial", zorder=2)
    if stopped:
        axes.scatter(
            [trial["number"] for trial in stopped],
            [trial["value"] for trial in stopped],
            s=18,
            color=POSITIVE,
            marker="x",
            label="stopped early",
            zorder=2,
        )
    axes.step(numbers, np.maximum.accumulate(values), where="post", color=THRESHOLD, lw=1, label="best so far")
    axes.legend(loc="lower right", frameon=False)


_FIELDS = ("zoom", "shift", "gamma", "noise", "erase", "mixup", "cutmix")  # augmentations that are fields of a recipe
_OFF: dict[str, Any] = {field.name: field.default for field in fields(Recipe) if field.name in (*_FIELDS, "stretch")}
_ALL = "all"


def augmentations_of(recipe: Recipe) -> tuple[str, ...]:
    """What the recipe changes images by: its named augmentations, then those of its fields that are on."""
    return (*recipe.augmentations, *(name for name in _FIELDS if getattr(recipe, name)))


def with_augmentations(recipe: Recipe, chosen: Sequence[str]) -> Recipe:
    """The recipe with those of its augmentations alone."""
    off = {name: _OFF[name] for name in _FIELDS if name not in chosen}
    if "zoom" in off:
        off["stretch"] = _OFF["stretch"]  # part of it
    return replace(recipe, augmentations=tuple(name for name in recipe.augmentations if name in chosen), **off)


def arms_of(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Name → augmentations: none, each alone, all but one, all; what would be the same twice is there once.

    Raises UsageError for a recipe without augmentations.
    """
    every = augmentations_of(recipe)
    if not every:
        raise UsageError(f"the recipe '{recipe.name}' has no augmentation to study; see `secondread models`")
    arms = {_ALL: every, "none": ()}
    arms |= {f"only {name}": (name,) for name in every}
    arms |= {f"all but {name}": tuple(other for other in every if other != name) for name in every}
    found: dict[tuple[str, ...], str] = {}
    for name, chosen in arms.items():
        found.setdefault(chosen, name)
    return {name: chosen for chosen, name in found.items()}


def study(
    runs: Runs,
    recipe: Recipe,
    *,
    out: Path,
    n_folds: int = 1,
    hospitals: Sequence[Hospital] = (),
    seeds: Sequence[int] = (0,),
    command: str = "",
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """Train every arm with every seed on every fold, and write study.json, study.md and study.png to `out`.

    hospitals: each arm is also trained without each of them, and measured on it: whether what helps at home carries
    over. What is done lies in `out`/runs, one file a run; calling again does what is left. No test split is read.
    Raises as `fit`, or TrainingError where `out` holds runs with other data or settings.
    """
    recipe = recipe_for(recipe, runs.model_name)
    arms, folds = arms_of(recipe), folds_of(runs.manifest, n_folds)
    recipes = {arm: with_augmentations(recipe, chosen) for arm, chosen in arms.items()}
    logits = np.stack([
        [
            np.concatenate([
                logits_of(runs, own, fold, out / "runs" / _name(arm, number, seed), seed, on_epoch=on_epoch)
                for number, fold in enumerate(folds, start=1)
            ])
            for seed in seeds
        ]
        for arm, own in recipes.items()
    ])  # fmt: skip  # (arms, seeds, n)
    table = {
        "task": runs.task.name,
        "model": runs.model_name,
        "recipe": recorded_recipe(recipe),
        "data_fingerprint": runs.fingerprint,
        "versions": versions(),
        "folds": n_folds,
        "seeds": list(seeds),
        "date": date.today().isoformat(),
        "command": command,
        **_measured(arms, folds, logits),
    }
    if hospitals:
        carried = compare_left_out(
            runs,
            recipes,
            hospitals,
            out=out / "runs",
            seeds=seeds,
            reference=_ALL,
            on_epoch=on_epoch,
        )
        table["arms"] = [arm | {"left_out": carried[arm["name"]]} for arm in table["arms"]]
    write_json(out / "study.json", table)
    write_bytes(out / "study.png", _plot(table))
    write_text(out / "study.md", study_page(table))
    return table


def _name(arm: str, fold: int, seed: int) -> str:
    return f"{arm.replace(' ', '-')}.fold{fold}.seed{seed}"


def _measured(arms: dict[str, tuple[str, ...]], folds: Sequence[Fold], logits: np.ndarray) -> dict[str, Any]:
    """What the validation rows say, arm by arm."""
    rows = [row for fold in folds for row in fold.measured]
    number = np.repeat(np.arange(len(folds)), [len(fold.measured) for fold in folds])
    val = Manifest(tuple(rows), Path())
    found = compare_runs(val.labels, logits, groups=val.groups, folds=number, reference=list(arms).index(_ALL))
    return {
        "n": len(rows),
        "n_positive": int(val.labels.sum()),
        "n_groups": len(set(val.groups)),
        "arms": [
            {"name": name, "augmentations": list(chosen)} | {key: one.to_dict() for key, one in measures.items()}
            for (name, chosen), measures in zip(arms.items(), found, strict=True)
        ],
    }


def _plot(table: dict[str, Any]) -> bytes:
    rows = [(arm["name"], arm["roc_auc_difference"]) for arm in table["arms"] if arm["name"] != _ALL]
    title = f"{table['task']}: {table['model']}, recipe {table['recipe']['name']}, {table['n']} validation images"
    return difference_plot(rows, title=title, measure="validation ROC AUC less that of all augmentations")
