"""Leaving a hospital out: each in turn teaches nothing, and what the others taught is measured on it.

Recipes are chosen by the mean over the hospitals left out. A hospital is measured on its rows of `train` and `val`
alone, so that its test rows, and every external collection, stay unread until all is chosen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
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


def fit_without(
    runs: Runs,
    hospital: Hospital,
    member: MemberPlan,
    *,
    seed: int,
    run_folder: Path | None = None,
    on_epoch: Callable[[Epoch, int], None] | None = None,
) -> Scores:
    """One member trained on the other hospitals. seed: of the repeat, 0 being the plan's own random state.

    Raises as `Runs.without`.
    """
    recipe = recipe_for(member.recipe_for(runs.task), member.model)
    state = member.random_state + _SEED_STEP * seed
    return runs.without(hospital, recipe, random_state=state, run_folder=run_folder, on_epoch=on_epoch)


def measure_without(
    task: Task, hospital: Hospital, members: Sequence[Scores], shares: Sequence[float]
) -> dict[str, Any]:
    """How the mean of the members does at the hospital that none of them saw, each also alone.

    The mean is that of a merged bundle: logits divided by their temperature on validation, weighed by the shares. The
    screening and confirm points are chosen on the other hospitals' validation rows.
    """
    labels, groups = _labels(hospital), _groups(hospital)
    val, measured = _mean(hospital, members, shares)
    calibration = fit_calibration("temperature", val, labels["val"])
    points = _points(task, calibration, val, labels["val"], groups["val"])

    def at(threshold: float) -> dict[str, Any]:
        rates = rates_at(labels["measured"], calibration.apply(measured) > threshold, groups["measured"])
        return {
            "threshold": threshold,
            "sensitivity": rates.sensitivity.to_dict(),
            "specificity": rates.specificity.to_dict(),
        }

    return {
        "n_train": len(hospital.train),
        "n_val": len(hospital.val),
        "n": len(hospital.measured),
        "n_positive": int(labels["measured"].sum()),
        "roc_auc": auc_interval(labels["measured"], measured, groups=groups["measured"]).to_dict(),
        "val_roc_auc": auc_interval(labels["val"], val, groups=groups["val"]).to_dict(),
        **{name: at(points[name]["threshold"]) for name in ("screening", "confirm")},
        "members": [
            auc_interval(labels["measured"], scores.measured, groups=groups["measured"]).to_dict() for scores in members
        ],
    }


def _labels(hospital: Hospital) -> dict[str, np.ndarray]:
    return {key: np.array([row.label == 1 for row in getattr(hospital, key)]) for key in ("val", "measured")}


def _groups(hospital: Hospital) -> dict[str, Sequence[str]]:
    return {key: Manifest(getattr(hospital, key), hospital.elsewhere.folder).groups for key in ("val", "measured")}


def _mean(hospital: Hospital, members: Sequence[Scores], shares: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the mean on the rows that chose (n_val,) and on those left out (n_measured,)."""
    labels = _labels(hospital)["val"]
    parts = np.array(shares) / sum(shares)
    scaled = []
    for scores in members:
        own = fit_calibration("temperature", scores.val, labels)
        scaled.append((scores.val / own.temperature, scores.measured / own.temperature))
    val, measured = (np.tensordot(parts, [pair[place] for pair in scaled], axes=1) for place in (0, 1))
    return val, measured


def pooled_without(
    hospitals: Sequence[Hospital], members: Mapping[str, Sequence[Scores]], shares: Sequence[float]
) -> dict[str, Any]:
    """All that were left out together, each by networks that had not seen it: the AUC of their calibrated scores.

    members: by the name of what was left out. For blocks of one collection, whose own areas are of few groups each.
    """
    labels: list[np.ndarray] = []
    groups: list[str] = []
    scores: list[np.ndarray] = []
    for hospital in hospitals:
        val, measured = _mean(hospital, members[hospital.name], shares)
        calibration = fit_calibration("temperature", val, _labels(hospital)["val"])
        scores.append(calibration.apply(measured))
        labels.append(_labels(hospital)["measured"])
        groups.extend(_groups(hospital)["measured"])
    return auc_interval(np.concatenate(labels), np.concatenate(scores), groups=groups).to_dict()


def _points(
    task: Task, calibration: Calibration, logits: np.ndarray, labels: np.ndarray, groups: Sequence[str]
) -> dict[str, Any]:
    on = ValidationSet(
        labels,
        np.round(calibration.apply(logits), 6),
        groups,
        data="",
        date=date.today().isoformat(),
        weights_sha256="",
    )
    return choose_operating_points(
        on, target_sensitivity=task.target_sensitivity, target_specificity=task.target_specificity
    )


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
        for run in runs_of(plan, hospitals, seeds):
            member, name = plan.members[run.member], run.name(plan)
            runs = made.setdefault(member.model, Runs(task, manifest, member.model, cache_folder))
            (hospital,) = (hospital for hospital in hospitals if hospital.name == run.hospital)
            tell = None if on_epoch is None else _named(on_epoch, name)
            found[plan.name, run] = fit_without(
                runs, hospital, member, seed=run.seed, run_folder=out / "runs" / name, on_epoch=tell
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
        shares = [member.share for member in plan.members]
        results = {
            hospital.name: [
                measure_without(
                    plan.task,
                    hospital,
                    [found[plan.name, Run(hospital.name, place, seed)] for place in range(len(plan.members))],
                    shares,
                )
                for seed in seeds
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
                    pooled_without(
                        hospitals,
                        {
                            hospital.name: [
                                found[plan.name, Run(hospital.name, place, seed)] for place in range(len(plan.members))
                            ]
                            for hospital in hospitals
                        },
                        shares,
                    )
                    for seed in seeds
                ],
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
