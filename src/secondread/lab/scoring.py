"""Turns those who take part in a comparison into results: what they say, what it is worth, and what it costs."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from secondread.data import Manifest
from secondread.data.split import SHARED
from secondread.errors import UsageError
from secondread.evidence.evidence import Prediction, Scored, summarise
from secondread.lab.candidates import Candidate, Comparison
from secondread.lab.hospitals import Hospital
from secondread.lab.latency import measure_latency
from secondread.lab.left_out import LeftOut, against, area_of, key_of, names_of
from secondread.lab.making import OnStart
from secondread.lab.results import as_rows, load_result, predictions_in, write_result
from secondread.stats.measures import HOW_INTERVALS_ARE_MADE, RANK_MEASURES
from secondread.stats.thresholds import balanced_threshold
from secondread.training.train import versions

HOME = "home"  # whose curve: of the training on all hospitals


class Scorer:
    """Turns candidates into results, those that are known already from their files."""

    def __init__(self, comparison: Comparison, out: Path, command: str, baseline: Candidate, on_start: OnStart):
        self.comparison, self.folder, self.command, self.baseline = comparison, out / "results", command, baseline
        self.on_start = on_start
        self._of_baseline: dict[str, list[Prediction]] = {}

    def result(self, candidate: Candidate) -> dict[str, Any]:
        """Everything of it; the baseline comes first. Each step is written before the next begins."""
        path = self.folder / f"{candidate.name}.json"
        found = load_result(path) if path.is_file() else None
        key = json.loads(json.dumps({**candidate.key, "data": self.comparison.fingerprint}))
        if found is None or found["key"] != key:
            self.on_start(candidate.name, "read")
            found = {"key": key, **self._figures(candidate)}
            write_result(found, path)  # what cost a reading of the test split is safe before anything else
        for hospital in self.comparison.hospitals:
            if found.get("left_out", {}).get(hospital.name, {}).get("key") != key_of(hospital):
                made = candidate.without(hospital)
                if made is not None:
                    found = _with(found, hospital, made)
                    write_result(found, path)
        compared = self._compared(found, is_baseline=candidate is self.baseline)
        if (compared.get("latency") or {}).get("baseline") != self.baseline.name:
            compared["latency"] = self._latency(candidate)
        write_result(compared, path)
        return compared

    def _figures(self, candidate: Candidate) -> dict[str, Any]:
        said = {split: candidate.predictions(split) for split in ("val", *measured_splits(self.comparison.manifest))}
        val = Scored.of(said["val"])
        if len(set(val.y_true.tolist())) < 2:
            raise UsageError(
                f"'{candidate.name}' reads {len(val.y_true)} of {len(said['val'])} validation images, not of both "
                "classes; a comparison takes images that it does not refuse"
            )
        threshold = balanced_threshold(val.y_true, val.probabilities)
        return {
            "task": self.comparison.task.name,
            "name": candidate.name,
            "date": date.today().isoformat(),
            "command": self.command,
            "versions": {**versions(), "scikit-learn": version("scikit-learn")},
            **candidate.facts(),
            "data": {"fingerprint": self.comparison.fingerprint, "train": len(self.comparison.manifest.split("train"))},
            "threshold": {"value": threshold, "chosen_by": "largest sensitivity + specificity on validation"},
            "intervals": HOW_INTERVALS_ARE_MADE,
            "metrics": {split: _metrics(rows, threshold) for split, rows in said.items()},
            "by_source": {split: _by_source(rows, threshold) for split, rows in said.items() if split != "val"},
            "curves": {} if candidate.curve is None else {HOME: candidate.curve},
            "predictions": as_rows(said),
        }

    def _compared(self, found: dict[str, Any], *, is_baseline: bool) -> dict[str, Any]:
        """With the differences to the baseline: on test images, and at every hospital left out."""
        said = predictions_in(found)
        if is_baseline:
            self._of_baseline = said
        about = {"baseline": self.baseline.name, "test": "DeLong, with Obuchowski's covariance by group"}
        left_out = {}
        for hospital, table in found.get("left_out", {}).items():
            name, _ = names_of(hospital)
            both = name in said and name in self._of_baseline
            left_out[hospital] = table | {
                "against": about | against(said[name], self._of_baseline[name]) if both else None
            }
        return found | {
            "against": about | {"split": "test"} | against(said["test"], self._of_baseline["test"]),
            "left_out": left_out,
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


def _with(found: Mapping[str, Any], hospital: Hospital, made: LeftOut) -> dict[str, Any]:
    """The result and what was measured at one more hospital left out."""
    measured, val = names_of(hospital.name)
    said = {name: rows for name, rows in ((measured, made.measured), (val, made.val)) if rows}
    area = made.area or area_of(made.measured)
    table = {
        "key": key_of(hospital),
        "date": date.today().isoformat(),
        "n_train": len(hospital.train),
        "n_val": len(hospital.val),
        "n": len(hospital.measured),
        "n_positive": sum(row.label for row in hospital.measured),
        "roc_auc": area.to_dict(),
        "val_roc_auc": area_of(made.val).to_dict() if made.val else None,
        "training": dict(made.training),
    }
    curves = {**found.get("curves", {}), **({measured: made.curve} if made.curve else {})}
    return {
        **found,
        "left_out": {**found.get("left_out", {}), hospital.name: table},
        "curves": curves,
        "predictions": {**found["predictions"], **as_rows(said)},
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
