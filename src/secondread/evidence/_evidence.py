"""The evidence file: what was measured of one bundle, on which images, with which intervals."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secondread.errors import DataInvalid
from secondread.evidence._intervals import MEASURES, bootstrap
from secondread.evidence._localisation import grouped_means
from secondread.evidence._metrics import confusion
from secondread.evidence._reliability import reliability
from secondread.evidence._thresholds import threshold_table

FORMAT, VERSION = "secondread-evidence", 2


@dataclass(frozen=True)
class Prediction:
    """One image of a split and what the bundle said of it."""

    path: str  # as the manifest names it
    label: int
    source: str
    group: str  # what is resampled together
    probability: float | None  # None: refused
    refusal: str | None = None  # its code


def build_evidence(
    splits: Mapping[str, Sequence[Prediction]],
    *,
    bundle: str,
    weights_sha256: str,
    task: str,
    operating_point: Mapping[str, Any],
    data: Mapping[str, Any],
    command: str,
    date: str,
    thresholds: Mapping[str, float] | None = None,
    bands: Mapping[str, tuple[float, float]] | None = None,
    prevalence: float | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Everything measured of a bundle at one operating point, split by split, with the predictions behind it.

    operating_point: {name, threshold}. data: {manifest, fingerprint}. Accuracy and the like count images above the
    threshold as positive; refused images are counted apart. Intervals: 95 %, bootstrap by group.
    thresholds: the bundle's operating points, name → threshold; default: the one measured at. bands: operating
    point → the two ends of its uncertain band. prevalence: see `threshold_table`.
    details: split → further entries of its results (subgroups, heatmap).
    Raises UsageError for a prevalence that is no share.
    """
    threshold = float(operating_point["threshold"])
    named = {str(operating_point["name"]): threshold} if thresholds is None else thresholds
    more = details or {}
    results = {
        name: _results(rows, threshold) | _sweep(rows, named, bands or {}, prevalence) | dict(more.get(name, {}))
        for name, rows in splits.items()
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "bundle": bundle,
        "weights_sha256": weights_sha256,
        "task": task,
        "date": date,
        "command": command,
        "data": dict(data),
        "operating_point": {"name": operating_point["name"], "threshold": threshold},
        "intervals": "95 %, percentile bootstrap of 2,000 resamples by group",
        "results": results,
        "predictions": {name: [_compact(row) for row in rows] for name, rows in splits.items()},
    }


def summarise(predictions: Sequence[Prediction], threshold: float) -> dict[str, Any]:
    """n, confusion matrix and every metric with its interval, for the images that were read."""
    read = [row for row in predictions if row.probability is not None]
    counts = {"n": len(read), "n_positive": sum(row.label for row in read), "n_refused": len(predictions) - len(read)}
    if not read:
        return counts | {"confusion": None, "metrics": {}}
    y_true = np.array([row.label for row in read], dtype=bool)
    scores = np.array([row.probability for row in read], dtype=np.float64)
    groups_of = [row.group for row in read]
    metrics = bootstrap(y_true, scores, threshold=threshold, groups=groups_of, measures=MEASURES)
    n_groups = len(set(groups_of))
    return counts | {
        "n_groups": n_groups,
        "confusion": asdict(confusion(y_true, scores > threshold)),
        "metrics": metrics,
    }


def load_evidence(path: Path) -> dict[str, Any]:
    """An evidence file. Raises DataInvalid if it is not one."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataInvalid(f"'{path}' is not an evidence file: {error}") from error
    if not isinstance(table, dict) or table.get("format") != FORMAT or table.get("version") != VERSION:
        raise DataInvalid(
            f"'{path}' is not an evidence file of version {VERSION}; run `secondread evaluate` to make one"
        )
    return table


def write_evidence(evidence: Mapping[str, Any], path: Path) -> None:
    """Written aside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(json.dumps(evidence, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(path)


def _results(rows: Sequence[Prediction], threshold: float) -> dict[str, Any]:
    """The whole split, and each source of it where there are several."""
    whole = summarise(rows, threshold)
    sources = sorted({row.source for row in rows})
    if len(sources) > 1:
        whole["by_source"] = {name: summarise(_of(rows, name), threshold) for name in sources}
    else:
        whole["source"] = sources[0] if sources else ""
    refused = [row.refusal for row in rows if row.refusal]
    whole["refusals"] = {code: refused.count(code) for code in sorted(set(refused))}
    return whole


def _sweep(
    rows: Sequence[Prediction],
    named: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
    prevalence: float | None,
) -> dict[str, Any]:
    """What does not hang on one threshold: the threshold table, and whether probabilities come true."""
    read = [row for row in rows if row.probability is not None]
    y_true = np.array([row.label for row in read], dtype=bool)
    scores = np.array([row.probability for row in read], dtype=np.float64)
    groups = [row.group for row in read]
    table = threshold_table(y_true, scores, groups=groups, named=named, prevalence=prevalence)
    return {
        "thresholds": table,
        "uncertain": {name: _share_inside(scores, groups, band) for name, band in bands.items()},
        "reliability": reliability(y_true, scores, groups=groups) if read else [],
    }


def _share_inside(scores: np.ndarray, groups: Sequence[str], band: tuple[float, float]) -> dict[str, float | None]:
    low, high = band
    inside = (scores > low) & (scores <= high)
    return grouped_means(inside[:, None], groups)[0]


def _of(rows: Iterable[Prediction], source: str) -> list[Prediction]:
    return [row for row in rows if row.source == source]


def _compact(row: Prediction) -> list[Any]:
    """path, label, probability, refusal: a list, since there are thousands."""
    return [row.path, row.label, row.probability, row.refusal]
