"""The evidence file: what was measured of one bundle, on which images, with which intervals."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secondread.errors import DataInvalid
from secondread.evidence._intervals import bootstrap
from secondread.evidence._metrics import confusion

FORMAT, VERSION = "secondread-evidence", 1


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
) -> dict[str, Any]:
    """Everything measured of a bundle at one operating point, split by split, with the predictions behind it.

    operating_point: {name, threshold}. data: {manifest, fingerprint}. Accuracy and the like count images above the
    threshold as positive; refused images are counted apart. Intervals: 95 %, bootstrap by group.
    """
    threshold = float(operating_point["threshold"])
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
        "results": {name: _results(rows, threshold) for name, rows in splits.items()},
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
    metrics = bootstrap(y_true, scores, threshold=threshold, groups=[row.group for row in read])
    groups = len({row.group for row in read})
    return counts | {"n_groups": groups, "confusion": asdict(confusion(y_true, scores > threshold)), "metrics": metrics}


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


def _of(rows: Iterable[Prediction], source: str) -> list[Prediction]:
    return [row for row in rows if row.source == source]


def _compact(row: Prediction) -> list[Any]:
    """path, label, probability, refusal: a list, since there are thousands."""
    return [row.path, row.label, row.probability, row.refusal]
