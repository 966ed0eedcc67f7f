"""Reads whole splits with a bundle, exactly as it is served, and writes down what comes out."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from secondread.data import Manifest
from secondread.evidence import Prediction, build_evidence, write_evidence, write_report
from secondread.reading import Bundle, Reader, Reading

OnRead = Callable[[str, int, int], None]  # split, images read, images in all


def predictions_of(
    reader: Reader, manifest: Manifest, *, on_read: Callable[[int, int], None] | None = None
) -> list[Prediction]:
    """What the reader says of every row, in order; images that are refused say so."""
    readings = reader.read_many(row.path for row in manifest.rows)
    predictions = []
    for row, group, reading in zip(manifest.rows, manifest.groups, readings, strict=True):
        predictions.append(_prediction(row.name, row.label, row.source, group, reading))
        if on_read is not None:
            on_read(len(predictions), len(manifest.rows))
    return predictions


def evaluate(
    bundle: Bundle,
    manifest: Manifest,
    splits: Sequence[str],
    *,
    reader: Reader,
    command: str,
    on_read: OnRead | None = None,
) -> dict[str, Any]:
    """The evidence of a bundle on the named splits, at the reader's operating point. Nothing is fitted or chosen here.

    Raises DataInvalid for a split that the manifest lacks.
    """
    parts = {name: manifest.split(name) for name in splits}
    found = {}
    for name, part in parts.items():
        tell = None if on_read is None else lambda done, total, split=name: on_read(split, done, total)
        found[name] = predictions_of(reader, part, on_read=tell)
    point = reader.operating_point
    return build_evidence(
        found,
        bundle=bundle.id,
        weights_sha256=bundle.record["model"]["sha256"],
        task=bundle.task.name,
        operating_point={"name": point.name, "threshold": point.threshold},
        data={"fingerprint": manifest.fingerprint(), "splits": {name: len(part.rows) for name, part in parts.items()}},
        command=command,
        date=date.today().isoformat(),
    )


def write_evaluation(evidence: dict[str, Any], bundle: Bundle, folder: Path) -> Path:
    """evidence.json, the plots and the page in a folder. Returns the page's path."""
    write_evidence(evidence, folder / "evidence.json")
    return write_report(evidence, bundle.task, folder)


def _prediction(name: str, label: int, source: str, group: str, reading: Reading) -> Prediction:
    return Prediction(
        name, label, source, group, reading.probability, reading.refusal.code if reading.refusal else None
    )
