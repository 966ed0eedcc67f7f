"""Leaving a hospital out: each in turn teaches nothing, and what the others taught is measured on it.

Recipes are chosen by the mean over the hospitals left out. A hospital is measured on its rows of `train` and `val`
alone, so that its test rows, and every external collection, stay unread until all is chosen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import Manifest
from secondread.errors import UsageError
from secondread.files import write_json, write_text
from secondread.lab.hospitals import Hospital, hospitals_of
from secondread.lab.pages import holdout_page
from secondread.lab.runs import Runs, Scores
from secondread.stats.calibration import Calibration, fit_calibration
from secondread.stats.delong import auc_interval
from secondread.stats.margins import POINTS, beyond_threshold, least_margin
from secondread.stats.operating_points import ValidationSet, choose_operating_points
from secondread.stats.rates import rates_at
from secondread.tasks import Task
from secondread.training.build import BundlePlan, MemberPlan
from secondread.training.fit import Epoch
from secondread.training.prepare import recorded_recipe
from secondread.training.train import recipe_for, versions

_SEED_STEP = 1000  # between the random states of one member's repeats

OnEpoch = Callable[[str, Epoch, int], None]  # run, epoch, epochs


@dataclass(frozen=True)
class Run:
    """One network's training without one hospital."""

    hospital: str
    member: int
    seed: int

    def name(self, plan: BundlePlan) -> str:
        """For folders and progress."""
        return f"{plan.name}-{self.hospital}-{plan.members[self.member].name or self.member}-{self.seed}"


def lesions_of(plan: BundlePlan) -> list[str]:
    """The collections that any of its networks learns from by their lesions, as a merged bundle has them."""
    recipes = (recipe_for(member.recipe_for(plan.task), member.model) for member in plan.members)
    return sorted({name for recipe in recipes for name in recipe.lesions_from})


def fit_without(
    runs: Runs,
    hospital: Hospital,
    member: MemberPlan,
    *,
    seed: int,
    lesions_from: Sequence[str] | None = None,
    run_folder: Path | None = None,
    on_epoch: Callable[[Epoch, int], None] | None = None,
) -> Scores:
    """One member trained on the other hospitals. seed: of the repeat, 0 being the plan's own random state.

    lesions_from: of its plan. Raises as `Runs.without`.
    """
    recipe = recipe_for(member.recipe_for(runs.task), member.model)
    state = member.random_state + _SEED_STEP * seed
    return runs.without(
        hospital, recipe, random_state=state, lesions_from=lesions_from, run_folder=run_folder, on_epoch=on_epoch
    )


@dataclass(frozen=True, eq=False)
class Without:
    """What the mean of a plan's members says at the hospital that none of them saw.

    The mean is that of a merged bundle: logits divided by their temperature on what decides, weighed by the shares.
    """

    task: Task
    hospital: Hospital
    members: Sequence[Scores]
    shares: Sequence[float]
    lesions_from: Sequence[str] = ()

    @cached_property
    def deciding(self) -> Manifest:
        """The rows that calibration and thresholds come from, as a bundle's do: validation, and what checks."""
        return Manifest((*self.hospital.val, *self.hospital.checks(self.lesions_from)), self.hospital.elsewhere.folder)

    @cached_property
    def measured(self) -> Manifest:
        """The rows of the hospital left out."""
        return Manifest(self.hospital.measured, self.hospital.elsewhere.folder)

    @cached_property
    def logits(self) -> tuple[np.ndarray, np.ndarray]:
        """Of what decides (n_deciding,) and of what is measured (n_measured,)."""
        parts = np.array(self.shares) / sum(self.shares)
        scaled: list[tuple[np.ndarray, np.ndarray]] = []
        for scores in self.members:
            deciding = np.concatenate([scores.val, scores.checks])
            own = fit_calibration("temperature", deciding, self.deciding.labels).temperature
            scaled.append((deciding / own, scores.measured / own))
        deciding, measured = (np.tensordot(parts, [pair[place] for pair in scaled], axes=1) for place in (0, 1))
        return deciding, measured

    @cached_property
    def calibration(self) -> Calibration:
        """Of the mean."""
        return fit_calibration("temperature", self.logits[0], self.deciding.labels)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of the hospital left out, float (n_measured,)."""
        return self.calibration.apply(self.logits[1])

    def thresholds(self, margins: Mapping[str, float] | None = None) -> dict[str, float]:
        """Of screening and confirm, chosen on the other hospitals as a bundle's are."""
        on = ValidationSet(
            self.deciding.labels == 1,
            np.round(self.calibration.apply(self.logits[0]), 6),
            self.deciding.groups,
            data="",
            date=date.today().isoformat(),
            weights_sha256="",
            sources=[row.source for row in self.deciding.rows],
        )
        points = choose_operating_points(
            on,
            target_sensitivity=self.task.target_sensitivity,
            target_specificity=self.task.target_specificity,
            margins=margins,
        )
        return {name: points[name]["threshold"] for name in POINTS}

    def beyond(self, point: str) -> np.ndarray:
        """How far, in logits, its positives lie above screening's threshold, or its negatives below confirm's."""
        apart = beyond_threshold(self.probabilities, self.thresholds()[point])
        positive = self.measured.labels == 1
        return apart[positive] if point == "screening" else -apart[~positive]


def measure_without(without: Without, margins: Mapping[str, float] | None = None) -> dict[str, Any]:
    """How the mean of the members does at the hospital that none of them saw, each also alone.

    margins: of the plan's operating points.
    """
    labels, groups = without.measured.labels == 1, without.measured.groups
    n_val = len(without.hospital.val)
    val = Manifest(without.hospital.val, without.hospital.elsewhere.folder)

    def at(threshold: float) -> dict[str, Any]:
        rates = rates_at(labels, without.probabilities > threshold, groups)
        return {
            "threshold": threshold,
            "sensitivity": rates.sensitivity.to_dict(),
            "specificity": rates.specificity.to_dict(),
        }

    return {
        "n_train": len(without.hospital.train),
        "n_val": n_val,
        "n_checks": len(without.deciding) - n_val,
        "n": len(labels),
        "n_positive": int(labels.sum()),
        "roc_auc": auc_interval(labels, without.logits[1], groups=groups).to_dict(),
        "val_roc_auc": auc_interval(val.labels == 1, without.logits[0][:n_val], groups=val.groups).to_dict(),
        **{name: at(threshold) for name, threshold in without.thresholds(margins).items()},
        "members": [auc_interval(labels, scores.measured, groups=groups).to_dict() for scores in without.members],
    }


def margins_of(left_out: Sequence[Without]) -> dict[str, float]:
    """By operating point the least margin with which its promise holds on average over hospitals, and seeds."""
    task = left_out[0].task
    targets = dict(zip(POINTS, (task.target_sensitivity, task.target_specificity), strict=True))
    return {name: least_margin([one.beyond(name) for one in left_out], target=targets[name]) for name in POINTS}


def pooled_without(left_out: Sequence[Without]) -> dict[str, Any]:
    """All that were left out together, each by networks that had not seen it: the AUC of their calibrated scores.

    For blocks of one collection, whose own areas are of few groups each.
    """
    labels = np.concatenate([one.measured.labels == 1 for one in left_out])
    groups = [group for one in left_out for group in one.measured.groups]
    return auc_interval(labels, np.concatenate([one.probabilities for one in left_out]), groups=groups).to_dict()


def holdout(
    plans: Sequence[BundlePlan],
    manifest: Manifest,
    *,
    out: Path,
    together: Mapping[str, Sequence[str]] | None = None,
    blocks: int = 0,
    seeds: Sequence[int] = (0,),
    cache_folder: Path | None = None,
    command: str = "",
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """Every plan trained without each hospital in turn, and measured on it; holdout.json and holdout.md in `out`.

    Neither the test split nor an external one is read. Calling again goes on where it stopped.
    Raises UsageError for plans of two tasks or of one name, DataInvalid, or as `fit`.
    """
    task = _one_task(plans)
    hospitals = hospitals_of(manifest, together=together, blocks=blocks)
    found: dict[tuple[str, Run], Scores] = {}
    made: dict[str, Runs] = {}
    for plan in plans:
        lesions_from = lesions_of(plan)
        for run in runs_of(plan, hospitals, seeds):
            member, name = plan.members[run.member], run.name(plan)
            runs = made.setdefault(member.model, Runs(task, manifest, member.model, cache_folder))
            (hospital,) = (hospital for hospital in hospitals if hospital.name == run.hospital)
            tell = None if on_epoch is None else _named(on_epoch, name)
            found[plan.name, run] = fit_without(
                runs,
                hospital,
                member,
                seed=run.seed,
                lesions_from=lesions_from,
                run_folder=out / "runs" / name,
                on_epoch=tell,
            )
    table = {
        "task": task.name,
        "date": date.today().isoformat(),
        "command": command,
        "seeds": list(seeds),
        "data": {
            "fingerprint": manifest.fingerprint(),
            "together": {k: list(v) for k, v in (together or {}).items()},
            "blocks": blocks,
        },
        "versions": versions(),
        **holdout_table(plans, hospitals, found, seeds),
    }
    write_json(out / "holdout.json", table)
    write_text(out / "holdout.md", holdout_page(table))
    return table


def _named(on_epoch: OnEpoch, name: str) -> Callable[[Epoch, int], None]:
    return lambda epoch, epochs: on_epoch(name, epoch, epochs)


def _one_task(plans: Sequence[BundlePlan]) -> Task:
    if not plans or len({plan.task.name for plan in plans}) > 1:
        raise UsageError("give one recipe file or more, all of one task")
    if len({plan.name for plan in plans}) < len(plans):
        raise UsageError("each recipe file needs a `name` of its own")
    return plans[0].task


def runs_of(plan: BundlePlan, hospitals: Sequence[Hospital], seeds: Sequence[int]) -> list[Run]:
    """All trainings that a plan takes."""
    return [
        Run(hospital.name, member, seed)
        for seed in seeds
        for hospital in hospitals
        for member in range(len(plan.members))
    ]


def holdout_table(
    plans: Sequence[BundlePlan],
    hospitals: Sequence[Hospital],
    found: Mapping[tuple[str, Run], Scores],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Results by plan, the greatest mean over hospitals (and seeds) first. found: scores by plan's name and run."""
    rows = []
    for plan in plans:
        shares, lesions_from = [member.share for member in plan.members], lesions_of(plan)
        left_out = {
            (hospital.name, seed): Without(
                plan.task,
                hospital,
                [found[plan.name, Run(hospital.name, place, seed)] for place in range(len(plan.members))],
                shares,
                lesions_from,
            )
            for hospital in hospitals
            for seed in seeds
        }
        results = {
            hospital.name: [
                measure_without(left_out[hospital.name, seed], plan.margin) | {"seed": seed} for seed in seeds
            ]
            for hospital in hospitals
        }
        areas = [[result["roc_auc"]["value"] for result in results[hospital.name]] for hospital in hospitals]
        rows.append(
            {
                "name": plan.name,
                "members": members_of(plan),
                "mean_roc_auc": round(float(np.mean(areas)), 6),
                "worst_roc_auc": round(float(np.mean(areas, axis=1).min()), 6),
                "pooled_roc_auc": [
                    pooled_without([left_out[hospital.name, seed] for hospital in hospitals]) for seed in seeds
                ],
                "margin": {name: plan.margin.get(name, 0.0) for name in POINTS},
                "margin_needed": margins_of(list(left_out.values())),
                "hospitals": results,
                "runs": {run.name(plan): found[plan.name, run].facts for run in runs_of(plan, hospitals, seeds)},
            }
        )
    return {"plans": sorted(rows, key=lambda row: (-row["mean_roc_auc"], row["name"]))}


def members_of(plan: BundlePlan) -> list[dict[str, Any]]:
    """What a table keeps of a plan's networks."""
    return [
        {
            "model": member.model,
            "share": member.share,
            "recipe": recorded_recipe(recipe_for(member.recipe_for(plan.task), member.model)),
        }
        for member in plan.members
    ]
