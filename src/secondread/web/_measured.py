"""What was measured of a bundle as rows of a table, each with its interval and the images it rests on."""

from collections.abc import Iterator, Mapping
from typing import Any

from secondread.reading import Bundle, OperatingPoint

_MEASURES = {"recall": "sensitivity", "specificity": "specificity", "roc_auc": "roc_auc"}  # in the evidence → here


def measured_rows(bundle: Bundle) -> list[dict[str, Any]]:
    """Rows of operating_point, split, measure, value, low, high, n: where the points were chosen, then the evidence."""
    rows: list[dict[str, Any]] = []
    for point in bundle.operating_points.values():
        rows += _chosen_on(point)
    evidence = bundle.evidence or {}
    point_name = evidence.get("operating_point", {}).get("name", "")
    for split, table in evidence.get("results", {}).items():
        for name, part in _parts(split, table):
            rows += _rows(point_name, name, part)
    return rows


def evidence_without_images(bundle: Bundle) -> dict[str, Any] | None:
    """The evidence but for its thousands of lines that name single images."""
    if bundle.evidence is None:
        return None
    return {key: value for key, value in bundle.evidence.items() if key != "predictions"}


def _chosen_on(point: OperatingPoint) -> list[dict[str, Any]]:
    where = f"{point.data}, where the threshold was chosen"
    tables = (("sensitivity", point.sensitivity), ("specificity", point.specificity))
    return [_row(point.name, where, name, table, table.get("n")) for name, table in tables if _told(table)]


def _parts(split: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The whole split, then each source of it where there are several."""
    source = table.get("source")
    yield f"{split} ({source})" if source else split, table
    for name, part in table.get("by_source", {}).items():
        yield f"{split}: {name} alone", part


def _rows(point: str, split: str, table: Mapping[str, Any]) -> list[dict[str, Any]]:
    n, positive = table.get("n", 0), table.get("n_positive", 0)
    rests_on = {"sensitivity": positive, "specificity": n - positive, "roc_auc": n}
    metrics = table.get("metrics", {})
    told = ((ours, metrics[theirs]) for theirs, ours in _MEASURES.items() if _told(metrics.get(theirs, {})))
    return [_row(point, split, name, table, rests_on[name]) for name, table in told]


def _told(table: Mapping[str, Any]) -> bool:
    return table.get("value") is not None


def _row(point: str, split: str, measure: str, table: Mapping[str, Any], n: int | None) -> dict[str, Any]:
    interval = {"low": table.get("low"), "high": table.get("high")}
    return {"operating_point": point, "split": split, "measure": measure, "value": table["value"], **interval, "n": n}
