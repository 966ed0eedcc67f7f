"""What was measured of a bundle as rows of a table, each with its interval and the images it rests on."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from secondread.reading import Bundle, OperatingPoint

_AT_ITS_POINT = {"recall": "sensitivity", "specificity": "specificity", "roc_auc": "roc_auc"}  # in the evidence → here


def measured_rows(bundle: Bundle) -> list[dict[str, Any]]:
    """Rows of operating_point, split, measure, value, low, high, n: where the points were chosen, then the evidence."""
    points = bundle.operating_points.values()
    rows = [row for point in points for row in _chosen_on(point)]
    evidence = bundle.evidence or {}
    measured_at = evidence.get("operating_point", {}).get("name", "")
    for split, table in evidence.get("results", {}).items():
        source = table.get("source")
        title = f"{split} ({source})" if source else split
        for point in points:
            rows += _rows(point.name, title, table, rows_at(point, table))
        for name, part in table.get("by_source", {}).items():
            found = {ours: part["metrics"].get(theirs) for theirs, ours in _AT_ITS_POINT.items()}
            rows += _rows(measured_at, f"{split}: {name} alone", part, found)
    return rows


def evidence_without_images(bundle: Bundle) -> dict[str, Any] | None:
    """The evidence but for its thousands of lines that name single images."""
    if bundle.evidence is None:
        return None
    return {key: value for key, value in bundle.evidence.items() if key != "predictions"}


def _chosen_on(point: OperatingPoint) -> list[dict[str, Any]]:
    where = f"{point.data}, where the threshold was chosen"
    tables = {"sensitivity": point.sensitivity, "specificity": point.specificity, "uncertain": point.uncertain}
    return [_row(point.name, where, name, table, table["n"]) for name, table in tables.items() if _told(table)]


def rows_at(point: OperatingPoint, table: Mapping[str, Any]) -> dict[str, Any]:
    """Measure → interval on a whole split. A band misses what is below it and falsely alarms above it."""
    rows = {row["threshold"]: row for row in table.get("thresholds", {"rows": []})["rows"]}
    low = point.threshold if point.low is None else point.low
    return {
        "sensitivity": rows.get(low, {}).get("sensitivity"),
        "specificity": rows.get(point.threshold, {}).get("specificity"),
        "uncertain": table.get("uncertain", {}).get(point.name),
        "roc_auc": table["metrics"].get("roc_auc"),
    }


def _rows(point: str, split: str, table: Mapping[str, Any], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    n, positive = table["n"], table["n_positive"]
    rests_on = {"sensitivity": positive, "specificity": n - positive}
    told = {name: interval for name, interval in found.items() if _told(interval)}
    return [_row(point, split, name, interval, rests_on.get(name, n)) for name, interval in told.items()]


def _told(table: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
    return table is not None and table.get("value") is not None


def _row(point: str, split: str, measure: str, table: Mapping[str, Any], n: int | None) -> dict[str, Any]:
    interval = {"low": table.get("low"), "high": table.get("high")}
    return {"operating_point": point, "split": split, "measure": measure, "value": table["value"], **interval, "n": n}
