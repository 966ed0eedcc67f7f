"""Networks, classical learners, bundles and ensembles on the same images, each reading the test split once."""

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import Manifest
from secondread.data.split import SHARED
from secondread.errors import DataInvalid, TrainingError, UnknownName
from secondread.evidence.evidence import Prediction, Scored, summarise
from secondread.lab.candidates import (
    BundleCandidate,
    Candidate,
    ClassicalCandidate,
    Comparison,
    EnsembleCandidate,
    measure_latency,
)
from secondread.lab.classical import list_classical
from secondread.lab.ensemble import ENSEMBLES
from secondread.lab.leaderboard import load_result, write_result
from secondread.models import list_models
from secondread.reading import Bundle, load_bundle
from secondread.stats.delong import delong_test
from secondread.stats.measures import HOW_INTERVALS_ARE_MADE, RANK_MEASURES
from secondread.stats.thresholds import balanced_threshold
from secondread.training.prepare import recorded_recipe
from secondread.training.recipe import Recipe
from secondread.training.train import Progress, recipe_for, train_bundle

OnStart = Callable[[str, str], None]  # name, what is done: 'trained', 'read', 'known'


def compare_models(
    comparison: Comparison,
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
    """One result for each candidate, the baseline first; also written to `out/results`.

    models: networks and classical learners, each once for every seed (a seed of `seeds`); networks are trained into
    `out/<model>-<seed>`, and found there when asked for again. bundles: references of `load_bundle`. ensembles: of
    ENSEMBLES, each made of all networks and bundles asked for. baseline: a model (with the first seed) or a bundle;
    all are tested against it on the same test images. A result that is already in `out/results` is kept unless its
    candidate or the data changed, so a test split is read once.
    Raises UnknownName, DataInvalid, BundleError, or TrainingError if `out` holds runs of other settings.
    """
    _check(models, ensembles, baseline)
    maker = _Maker(comparison, out, command, progress or Progress(), on_start)
    first = maker.model(baseline, seeds[0]) if _is_model(baseline) else maker.bundle(baseline)
    scorer = _Scorer(comparison, out, command, first, on_start)
    results = {first.name: scorer.result(first)}
    members = {}
    for one in _asked(maker, first, bundles, models, seeds):
        if one.name not in results:
            results[one.name] = scorer.result(one)
        if isinstance(one, BundleCandidate):
            members[one.name] = one
    for method in ensembles:
        if not members:
            raise DataInvalid("an ensemble is made of networks and bundles; name some with --model or --bundle")
        said = [predictions_in(results[name]) for name in members]
        ensemble = EnsembleCandidate(method, list(members.values()), said, comparison)
        results[ensemble.name] = scorer.result(ensemble)
    return list(results.values())


def _asked(
    maker: "_Maker", first: Candidate, bundles: Sequence[str], models: Sequence[str], seeds: Sequence[int]
) -> Iterator[Candidate]:
    """Each is made when the one before is scored. Raises DataInvalid for two bundles of one name."""
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


@dataclass
class _Maker:
    """Makes candidates: trains networks, or finds them trained."""

    comparison: Comparison
    out: Path
    command: str
    progress: Progress
    on_start: OnStart

    def bundle(self, reference: str) -> Candidate:
        bundle = load_bundle(reference)
        if bundle.task.name != self.comparison.task.name:
            raise DataInvalid(f"bundle {bundle.id} is not of the task '{self.comparison.task.name}'; leave it out")
        return BundleCandidate(bundle.name, bundle, self.comparison, trained_here=False)

    def model(self, model: str, seed: int) -> Candidate:
        name = f"{model}-{seed}"
        if model in list_classical():
            return ClassicalCandidate(name, model, self.comparison, random_state=seed)
        folder = self.out / name
        recipe = recipe_for(self.comparison.recipe, model)
        bundle = self._finished(folder, recipe, seed) or self._train(folder, model, seed)
        return BundleCandidate(name, bundle, self.comparison, trained_here=True)

    def _finished(self, folder: Path, recipe: Recipe, seed: int) -> Bundle | None:
        if not (folder / "bundle.json").is_file():
            return None
        bundle = load_bundle(folder.resolve())
        same = _comparable(bundle.training.recipe) == _comparable(recorded_recipe(recipe))
        data = bundle.data.fingerprint == self.comparison.fingerprint
        if not (same and data and bundle.training.random_state == seed):
            raise TrainingError(f"'{folder}' was trained with other data or settings; name another --out")
        self.on_start(folder.name, "known")
        return bundle

    def _train(self, folder: Path, model: str, seed: int) -> Bundle:
        self.on_start(folder.name, "trained")
        return train_bundle(
            self.comparison.task,
            self.comparison.manifest,
            self.comparison.recipe,
            model_name=model,
            out=folder,
            name=folder.name,
            random_state=seed,
            command=self.command,
            measure=False,
            cache_folder=self.comparison.cache_folder,
            progress=self.progress,
        )


class _Scorer:
    """Turns candidates into results, those that are known already from their files."""

    def __init__(self, comparison: Comparison, out: Path, command: str, baseline: Candidate, on_start: OnStart):
        self.comparison, self.folder, self.command, self.baseline = comparison, out / "results", command, baseline
        self.on_start = on_start
        self._of_baseline: dict[str, Any] | None = None

    def result(self, candidate: Candidate) -> dict[str, Any]:
        path = self.folder / f"{candidate.name}.json"
        found = load_result(path) if path.is_file() else None
        key = _as_json({**candidate.key, "data": self.comparison.fingerprint})
        if found is None or found["key"] != key:
            self.on_start(candidate.name, "read")
            found = {"key": key, **self._figures(candidate)}
            write_result(found, path)  # what cost a reading of the test split is safe before anything else
        if candidate is self.baseline:
            self._of_baseline = found
        compared = found | {"against": self._against(found)}
        if (compared.get("latency") or {}).get("baseline") != self.baseline.name:
            compared["latency"] = self._latency(candidate)
        write_result(compared, path)
        return compared

    def _figures(self, candidate: Candidate) -> dict[str, Any]:
        said = {split: candidate.predictions(split) for split in ("val", *measured_splits(self.comparison.manifest))}
        val = Scored.of(said["val"])
        threshold = balanced_threshold(val.y_true, val.probabilities)
        return {
            "task": self.comparison.task.name,
            "name": candidate.name,
            "date": date.today().isoformat(),
            "command": self.command,
            **candidate.facts(),
            "data": {"fingerprint": self.comparison.fingerprint, "train": len(self.comparison.manifest.split("train"))},
            "threshold": {"value": threshold, "chosen_by": "largest sensitivity + specificity on validation"},
            "intervals": HOW_INTERVALS_ARE_MADE,
            "metrics": {split: _metrics(rows, threshold) for split, rows in said.items()},
            "by_source": {split: _by_source(rows, threshold) for split, rows in said.items() if split != "val"},
            "predictions": {
                split: [[row.path, row.label, row.source, row.group, row.probability, row.refusal] for row in rows]
                for split, rows in said.items()
            },
        }

    def _against(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """DeLong's test on the test images that both have read."""
        assert self._of_baseline is not None, "the baseline is scored first"
        own, other = (predictions_in(table)["test"] for table in (found, self._of_baseline))
        theirs = {row.path: row.probability for row in other}
        both = [row for row in own if row.probability is not None and theirs[row.path] is not None]
        scored = Scored.of(both)
        baseline_scores = np.array([theirs[row.path] for row in both], dtype=np.float64)
        test = delong_test(scored.y_true, scored.probabilities, baseline_scores, groups=scored.groups)
        return {
            "baseline": self.baseline.name,
            "split": "test",
            "test": "DeLong, with Obuchowski's covariance by group",
            **{key: round(getattr(test, key), 6) for key in ("difference", "low", "high", "p")},
            "n": test.n,
            "n_groups": test.n_groups,
        }

    def _latency(self, candidate: Candidate) -> dict[str, Any]:
        files = [row.path for row in self.comparison.manifest.split("val").rows]
        timed = [candidate] if candidate is self.baseline else [candidate, self.baseline]
        measured = measure_latency(timed, files)
        (network, whole), (network_of_baseline, whole_of_baseline) = measured[0], measured[-1]
        return {
            "network_ms": round(network, 4),
            "whole_ms": round(whole, 4),
            "network_ratio": round(network / network_of_baseline, 4),
            "whole_ratio": round(whole / whole_of_baseline, 4),
            "baseline": self.baseline.name,
            "threads": self.comparison.threads,
            "machine": {"cores": os.cpu_count(), "machine": platform.machine()},
        }


def measured_splits(manifest: Manifest) -> list[str]:
    """`test`, and every other split with both classes that is neither trained on nor decides anything."""
    others = [name for name in manifest.splits() if name not in ("train", "val", "test", "", *SHARED)]
    return ["test", *(name for name in others if len(set(manifest.split(name).labels.tolist())) == 2)]


def _metrics(rows: Sequence[Prediction], threshold: float) -> dict[str, Any]:
    found = summarise(rows, threshold, measures=RANK_MEASURES)
    return {key: value for key, value in found.items() if key not in ("confusion", "metrics")} | found["metrics"]


def _by_source(rows: Sequence[Prediction], threshold: float) -> dict[str, Any]:
    """source → n and ROC AUC, where there are several and for those with both classes."""
    parts = {source: [row for row in rows if row.source == source] for source in sorted({row.source for row in rows})}
    if len(parts) < 2:
        return {}
    table = {}
    for source, part in parts.items():
        found = summarise(part, threshold, measures=("roc_auc",))
        if 0 < found["n_positive"] < found["n"]:
            table[source] = {"n": found["n"], **found["metrics"]}
    return table


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
