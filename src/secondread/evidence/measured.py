"""What an evidence file says, read back: predictions by name, the rates at a point, what every threshold costs."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from secondread.errors import UsageError
from secondread.evidence.evidence import Prediction, Scored
from secondread.reading import Bundle, OperatingPoint
from secondread.stats.thresholds import FINE_GRID, check_prevalence, threshold_rows

_AT_ITS_POINT = {"recall": "sensitivity", "specificity": "specificity", "roc_auc": "roc_auc"}  # in the evidence → here


def read_predictions(evidence: Mapping[str, Any] | None, split: str) -> list[Prediction]:
    """What an evidence file says of every image of a split; empty where it has none.

    Groups are numbers, so that no patient's name leaves the manifest. Evidence of before groups were kept tells only
    how many there are: its rows stand in the manifest's order, and as many blocks of them count as groups. That of
    before sources were kept names the split's one source, or none.
    """
    table = evidence or {}
    rows = table.get("predictions", {}).get(split, [])
    result = table.get("results", {}).get(split, {})
    n_groups, source = result.get("n_groups", len(rows)), result.get("source", "")
    return [
        Prediction(
            path,
            label,
            more[1] if len(more) > 1 else source,
            str(more[0] if more else at * n_groups // len(rows)),
            probability,
            refusal,
        )
        for at, (path, label, probability, refusal, *more) in enumerate(rows)
    ]


def measured_predictions(bundle: Bundle, split: str) -> list[Prediction]:
    """As `read_predictions`. Raises UsageError where the bundle has no evidence of the split."""
    known = (bundle.evidence or {}).get("predictions", {})
    if split not in known:
        raise UsageError(
            f"{bundle.id} has no evidence of the split '{split}' (it has: {', '.join(known) or 'none'}); "
            "run `secondread evaluate`"
        )
    return read_predictions(bundle.evidence, split)


def threshold_costs(bundle: Bundle, *, prevalence: float | None, split: str) -> dict[str, Any]:
    """{bundle, split, n, n_positive, prevalence, rows}: a row for every hundredth and every operating point.

    prevalence: share of the diseased where the reader is used; None takes that of the split. A row is {threshold, name,
    sensitivity, specificity, ppv, npv, referrals_per_1000, missed_per_1000}, the last six each {value, low, high}.
    Raises UsageError for a prevalence that is no share, or a split without predictions of both classes.
    """
    check_prevalence(prevalence)
    scored = Scored.of(measured_predictions(bundle, split))
    if len(set(scored.y_true.tolist())) < 2:
        raise UsageError(f"{bundle.id} has no evidence of both classes in the split '{split}'; choose another split")
    share = prevalence or float(scored.y_true.mean())
    # One row for a threshold: the upper end of a band is that of the point it was made of, which comes first.
    names = {point.threshold: point.name for point in reversed(bundle.operating_points.values())}
    rows = threshold_rows(
        scored.y_true,
        scored.probabilities,
        groups=scored.groups,
        named={name: threshold for threshold, name in names.items()},
        prevalence=share,
        grid=FINE_GRID,
    )
    return {
        "bundle": bundle.id,
        "split": split,
        "n": len(scored.y_true),
        "n_positive": int(scored.y_true.sum()),
        "prevalence": share,
        "rows": [
            {
                "threshold": row.threshold,
                "name": row.name,
                **{key: getattr(row, key).to_dict() for key in ("sensitivity", "specificity", "ppv", "npv")},
                "referrals_per_1000": row.flagged.times(1000, digits=1).to_dict(),
                "missed_per_1000": row.missed.times(1000, digits=1).to_dict(),
            }
            for row in rows
        ],
    }


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
    told = {name: rate.to_dict() for name, rate in tables.items() if rate and rate.value is not None}
    return [_row(point.name, where, name, table, table["n"]) for name, table in told.items()]


def rows_at(point: OperatingPoint, table: Mapping[str, Any]) -> dict[str, Any]:
    """Measure → interval on a whole split, at a point of the bundle."""
    sensitivity, specificity = rates_at_threshold(table, point.threshold, low=point.low)
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "uncertain": table.get("uncertain", {}).get(point.name),
        "roc_auc": table["metrics"].get("roc_auc"),
    }


def rates_at_threshold(
    table: Mapping[str, Any], threshold: float, *, low: float | None = None
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Sensitivity and specificity in one split's results; None where they were not measured at this threshold.

    low: the lower end of an uncertain band, which misses what is below it and falsely alarms above it.
    """
    rows = {row["threshold"]: row for row in table.get("thresholds", {"rows": []})["rows"]}
    found = (
        rows.get(threshold if low is None else low, {}).get("sensitivity"),
        rows.get(threshold, {}).get("specificity"),
    )
    sensitivity, specificity = (interval if _told(interval) else None for interval in found)
    return sensitivity, specificity


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
