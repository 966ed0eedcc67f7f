"""Networks, classical learners, bundles and ensembles on the same images, each reading the test split once."""

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import Manifest
from secondread.data.split import SHARED
from secondread.errors import DataInvalid, TrainingError, UnknownName
from secondread.evidence.evidence import Prediction
from secondread.lab.classical import list_classical
from secondread.lab.contestants import (
    BundleContestant,
    ClassicalContestant,
    Contestant,
    Course,
    EnsembleContestant,
    measure_latency,
)
from secondread.lab.ensemble import ENSEMBLES
from secondread.lab.leaderboard import load_result, write_result
from secondread.models import list_models
from secondread.reading import Bundle, load_bundle
from secondread.stats.bootstrap import RANK_MEASURES, bootstrap
from secondread.stats.delong import compare_auc
from secondread.training.prepare import recorded_recipe
from secondread.training.recipe import Recipe
from secondread.training.train import Progress, recipe_for, train_bundle

OnStart = Callable[[str, str], None]  # name, what is done: 'trained', 'read', 'known'


def compare(
    course: Course,
    out: Path,
    *,
    models: Sequence[str] = (),
    bundles: Sequence[str] = (),
    ensembles: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    baseline: str = "lenet",
    command: str = "",
    progress: Progress | None = None,
    on_start: OnStart = lambda name, what: None,
) -> list[dict[str, Any]]:
    """One result for each contestant, the baseline first; also written to `out/results`.

    models: networks and classical learners, each once for every seed (a seed of `seeds`); networks are trained into
    `out/<model>-<seed>`, and found there when asked for again. bundles: references of `load_bundle`. ensembles: of
    ENSEMBLES, each made of all networks and bundles asked for. baseline: a model (with the first seed) or a bundle;
    all are tested against it on the same test images. A result that is already in `out/results` is kept unless its
    contestant or the data changed, so a test split is read once.
    Raises UnknownName, DataInvalid, BundleError, or TrainingError if `out` holds runs of other settings.
    """
    _check(models, ensembles, baseline)
    maker = _Maker(course, out, command, progress or Progress(), on_start)
    first = maker.model(baseline, seeds[0]) if _is_model(baseline) else maker.bundle(baseline)
    judge = _Judge(course, out, command, first, on_start)
    results = {first.name: judge.result(first)}
    members = {}
    for one in _asked(maker, first, bundles, models, seeds):
        if one.name not in results:
            results[one.name] = judge.result(one)
        if isinstance(one, BundleContestant):
            members[one.name] = one
    for method in ensembles:
        if not members:
            raise DataInvalid("an ensemble is made of networks and bundles; name some with --model or --bundle")
        said = [predictions_in(results[name]) for name in members]
        ensemble = EnsembleContestant(method, list(members.values()), said, course)
        results[ensemble.name] = judge.result(ensemble)
    return list(results.values())


def _asked(
    maker: "_Maker", first: Contestant, bundles: Sequence[str], models: Sequence[str], seeds: Sequence[int]
) -> Iterator[Contestant]:
    """Each is made when the one before is judged. Raises DataInvalid for two bundles of one name."""
    seen = {first.name: first.key}
    for reference in bundles:
        one = maker.bundle(reference)
        if seen.setdefault(one.name, one.key) != one.key:
            raise DataInvalid(f"two bundles are named '{one.name}'; compare them in two runs, each with its own --out")
        yield one
    for model in models:
        for seed in seeds:
            yield first if first.name == f"{model}-{seed}" else maker.model(model, seed)


def predictions_in(result: Mapping[str, Any]) -> dict[str, list[Prediction]]:
    """split → what was said of its images, as a result keeps it."""
    return {split: [Prediction(*row) for row in rows] for split, rows in result["predictions"].items()}


def balanced_threshold(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """The score above which sensitivity + specificity is largest (Youden, Cancer 1950), midway between two images.

    y_true: bool (n,); y_score: float (n,). Of several equally good, the middle one.
    """
    steps = np.unique(y_score)
    between = np.concatenate([[steps[0] - 1e-6], (steps[1:] + steps[:-1]) / 2])
    above = y_score[None, :] > between[:, None]  # (n_thresholds, n)
    gain = above[:, y_true].mean(axis=1) - above[:, ~y_true].mean(axis=1)
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    return round(float(between[best[len(best) // 2]]), 6)


class _Maker:
    """Makes contestants: trains networks, or finds them trained."""

    def __init__(self, course: Course, out: Path, command: str, progress: Progress, on_start: OnStart):
        self.course, self.out, self.command, self.progress, self.on_start = course, out, command, progress, on_start

    def bundle(self, reference: str) -> Contestant:
        bundle = load_bundle(reference)
        if bundle.task.name != self.course.task.name:
            raise DataInvalid(f"bundle {bundle.id} is not of the task '{self.course.task.name}'; leave it out")
        return BundleContestant(bundle.name, bundle, self.course, trained_here=False)

    def model(self, model: str, seed: int) -> Contestant:
        name = f"{model}-{seed}"
        if model in list_classical():
            return ClassicalContestant(name, model, self.course, random_state=seed)
        folder = self.out / name
        recipe = recipe_for(self.course.recipe, model)
        bundle = self._finished(folder, recipe, seed) or self._train(folder, model, seed)
        return BundleContestant(name, bundle, self.course, trained_here=True)

    def _finished(self, folder: Path, recipe: Recipe, seed: int) -> Bundle | None:
        if not (folder / "bundle.json").is_file():
            return None
        bundle = load_bundle(folder.resolve())
        training = bundle.record["training"]
        same = _comparable(training["recipe"]) == _comparable(recorded_recipe(recipe))
        data = bundle.record["data"]["fingerprint"] == self.course.fingerprint
        if not (same and data and training["random_state"] == seed):
            raise TrainingError(f"'{folder}' was trained with other data or settings; name another --out")
        self.on_start(folder.name, "known")
        return bundle

    def _train(self, folder: Path, model: str, seed: int) -> Bundle:
        self.on_start(folder.name, "trained")
        return train_bundle(
            self.course.task,
            self.course.manifest,
            self.course.recipe,
            model_name=model,
            out=folder,
            name=folder.name,
            random_state=seed,
            command=self.command,
            measure=False,
            cache_folder=self.course.cache_folder,
            progress=self.progress,
        )


class _Judge:
    """Turns contestants into results, those that are known already from their files."""

    def __init__(self, course: Course, out: Path, command: str, baseline: Contestant, on_start: OnStart):
        self.course, self.folder, self.command, self.baseline = course, out / "results", command, baseline
        self.on_start = on_start
        self._of_baseline: dict[str, Any] | None = None

    def result(self, contestant: Contestant) -> dict[str, Any]:
        path = self.folder / f"{contestant.name}.json"
        found = load_result(path) if path.is_file() else None
        key = _as_json({**contestant.key, "data": self.course.fingerprint})
        if found is None or found["key"] != key:
            self.on_start(contestant.name, "read")
            found = {"key": key, **self._figures(contestant)}
            write_result(found, path)  # what cost a reading of the test split is safe before anything else
        if contestant is self.baseline:
            self._of_baseline = found
        compared = found | {"against": self._against(found)}
        if (compared.get("latency") or {}).get("baseline") != self.baseline.name:
            compared["latency"] = self._latency(contestant)
        write_result(compared, path)
        return compared

    def _figures(self, contestant: Contestant) -> dict[str, Any]:
        said = {split: contestant.predictions(split) for split in ("val", *measured_splits(self.course.manifest))}
        y_val, val_scores, _ = _read(said["val"])
        threshold = balanced_threshold(y_val, val_scores)
        return {
            "task": self.course.task.name,
            "name": contestant.name,
            "date": date.today().isoformat(),
            "command": self.command,
            **contestant.facts(),
            "data": {"fingerprint": self.course.fingerprint, "train": len(self.course.manifest.split("train"))},
            "threshold": {"value": threshold, "chosen_by": "largest sensitivity + specificity on validation"},
            "intervals": "95 %, percentile bootstrap of 2,000 resamples by group",
            "metrics": {split: _metrics(rows, threshold) for split, rows in said.items()},
            "by_source": {split: _by_source(rows, threshold) for split, rows in said.items() if split != "val"},
            "predictions": {
                split: [[row.path, row.label, row.source, row.group, row.probability, row.refusal] for row in rows]
                for split, rows in said.items()
            },
        }

    def _against(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """DeLong's test on the test images that both have read."""
        assert self._of_baseline is not None, "the baseline is judged first"
        own, other = (predictions_in(table)["test"] for table in (found, self._of_baseline))
        theirs = {row.path: row.probability for row in other}
        both = [row for row in own if row.probability is not None and theirs[row.path] is not None]
        y_true, scores, groups = _read(both)
        baseline_scores = np.array([theirs[row.path] for row in both], dtype=np.float64)
        test = compare_auc(y_true, scores, baseline_scores, groups=groups)
        return {
            "baseline": self.baseline.name,
            "split": "test",
            "test": "DeLong, with Obuchowski's covariance by group",
            **{key: round(getattr(test, key), 6) for key in ("difference", "low", "high", "p")},
            "n": test.n,
            "n_groups": test.n_groups,
        }

    def _latency(self, contestant: Contestant) -> dict[str, Any]:
        files = [row.path for row in self.course.manifest.split("val").rows]
        timed = [contestant] if contestant is self.baseline else [contestant, self.baseline]
        measured = measure_latency(timed, files)
        (network, whole), (network_of_baseline, whole_of_baseline) = measured[0], measured[-1]
        return {
            "network_ms": round(network, 4),
            "whole_ms": round(whole, 4),
            "network_ratio": round(network / network_of_baseline, 4),
            "whole_ratio": round(whole / whole_of_baseline, 4),
            "baseline": self.baseline.name,
            "threads": self.course.threads,
            "machine": {"cores": os.cpu_count(), "machine": platform.machine()},
        }


def measured_splits(manifest: Manifest) -> list[str]:
    """`test`, and every other split with both classes that neither teaches nor decides anything."""
    others = [name for name in manifest.splits() if name not in ("train", "val", "test", "", *SHARED)]
    return ["test", *(name for name in others if len(set(manifest.split(name).labels.tolist())) == 2)]


def _metrics(rows: Sequence[Prediction], threshold: float) -> dict[str, Any]:
    y_true, scores, groups = _read(rows)
    found = bootstrap(y_true, scores, threshold=threshold, groups=groups, measures=RANK_MEASURES)
    counts = {"n": len(scores), "n_positive": int(y_true.sum()), "n_refused": len(rows) - len(scores)}
    return counts | {"n_groups": len(set(groups)), **found}


def _by_source(rows: Sequence[Prediction], threshold: float) -> dict[str, Any]:
    """source → n and ROC AUC, where there are several and for those with both classes."""
    parts = {source: [row for row in rows if row.source == source] for source in sorted({row.source for row in rows})}
    if len(parts) < 2:
        return {}
    table = {}
    for source, part in parts.items():
        y_true, scores, groups = _read(part)
        if len(set(y_true.tolist())) == 2:
            found = bootstrap(y_true, scores, threshold=threshold, groups=groups, measures=("roc_auc",))
            table[source] = {"n": len(scores), **found}
    return table


def _read(rows: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, probabilities and groups of the images that were not refused."""
    read = [row for row in rows if row.probability is not None]
    y_true = np.array([row.label == 1 for row in read], dtype=bool)
    return y_true, np.array([row.probability for row in read], dtype=np.float64), [row.group for row in read]


def _check(models: Sequence[str], ensembles: Sequence[str], baseline: str) -> None:
    """Names are looked at before hours are spent on the first of them."""
    known = {**list_models(), **list_classical()}
    for model in models:
        if model not in known:
            raise UnknownName.of("model", model, known)
    for method in ensembles:
        if method not in ENSEMBLES:
            raise UnknownName.of("ensemble", method, ENSEMBLES)
    if not _is_model(baseline):
        load_bundle(baseline)


def _is_model(name: str) -> bool:
    return name in list_models() or name in list_classical()


def _comparable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded recipe with the defaults of fields that came later, and without its wording."""
    return _as_json({**Recipe("", "").to_dict(), **recipe, "summary": ""})


def _as_json(table: Mapping[str, Any]) -> dict[str, Any]:
    """As it is after a way through a file: lists for tuples."""
    return json.loads(json.dumps(table))
