"""The card's sections on what was measured: figures, subgroups, calibration, operating points, refusals, heat maps."""

from collections.abc import Mapping
from typing import Any

from secondread.evidence import WHAT_A_HEAT_MAP_IS_NOT, format_interval, heatmap_in_words
from secondread.reading import Bundle, OperatingPoint

_METRICS = (
    ("accuracy", "accuracy"),
    ("precision", "precision"),
    ("recall", "recall (sensitivity)"),
    ("f1", "F1"),
    ("specificity", "specificity"),
    ("lr_positive", "likelihood ratio of a positive"),
    ("lr_negative", "likelihood ratio of a negative"),
    ("roc_auc", "ROC AUC"),
    ("average_precision", "average precision"),
    ("brier", "Brier score"),
    ("ece_mass", "calibration error (10 bins of equal numbers)"),
)
_PROMISE = (
    "A confidence is that of a promise about new images like these, and of no other site; in training these images "
    "also chose the epoch, which flatters it a little. A point not proven was chosen by what was observed alone."
)


def measured_sections(bundle: Bundle, evidence: dict[str, Any]) -> list[str]:
    """The sections in their order; '' for one that has nothing to say."""
    results = evidence["results"]
    return [
        _how(evidence),
        *(_split(name, result, evidence) for name, result in results.items()),
        _subgroups(results),
        _calibration(bundle, results),
        operating_points_section(bundle, results),
        _refusals(results),
        _failures(results),
        _heat_maps(results),
    ]


def _how(evidence: dict[str, Any]) -> str:
    return (
        "## How it was measured\n\nEvery image was read from its file by the reader that serves, with preprocessing, "
        "gate and calibration; nothing was fitted or chosen on what is reported below. Positive is a probability above "
        "the threshold. Discrimination: sensitivity, specificity, likelihood ratios, ROC AUC, average precision. "
        "Calibration: Brier score, expected calibration error, reliability diagram. Intervals: "
        f"{evidence['intervals']}: images of one patient or group are drawn together. `secondread evaluate` draws the "
        "plots: accuracy score, prediction confidence, confusion matrix, ROC, precision–recall, reliability."
    )


def _split(name: str, result: dict[str, Any], evidence: dict[str, Any]) -> str:
    point = evidence["operating_point"]
    columns = {f"all of {name}": result, **result.get("by_source", {})}
    heads = (f"{title} (n = {part['n']}, {part['n_positive']} positive)" for title, part in columns.items())
    rows = [
        [title, *(format_interval(part["metrics"].get(key)) for part in columns.values())] for key, title in _METRICS
    ]
    counts = result["confusion"]
    matrix = (
        f"TP {counts['tp']}, FN {counts['fn']}, TN {counts['tn']}, FP {counts['fp']}" if counts else "no image was read"
    )
    return (
        f"## Measured on {name}\n\nAt the operating point {point['name']} (positive above {point['threshold']:g}).\n\n"
        f"{_table(['measure', *heads], rows)}\n\n{matrix}; refused: {result['n_refused']}."
    )


def _subgroups(results: Mapping[str, Any]) -> str:
    rows = [
        [split, fact, part["value"], f"{part['n']} ({part['n_positive']})"]
        + [format_interval(part["metrics"].get(key), digits=2) for key in ("recall", "specificity", "roc_auc")]
        + [f"few {'of both' if part['few'] == 'both' else part['few']}" if part["few"] else ""]
        for split, result in results.items()
        for fact, parts in result.get("subgroups", {}).items()
        for part in parts
    ]
    if not rows:
        return (
            "## Subgroups\n\nNo split has parts to compare: one source, one body part and one image size each, and no "
            "lesion sizes."
        )
    head = ["split", "by", "part", "n (positive)", "sensitivity", "specificity", "ROC AUC", ""]
    return (
        f"## Subgroups\n\n{_table(head, rows)}\n\nFewer than 20 images of a class are marked: a hint, not a finding. "
        "Parts by lesion size are diseased images, set against all negatives of the split."
    )


def _calibration(bundle: Bundle, results: Mapping[str, Any]) -> str:
    parts = []
    for split, result in results.items():
        bins = result.get("reliability", [])
        if bins and result["metrics"]["roc_auc"]["value"] is not None:
            rows = [[f"{row['said']:.3f}", format_interval(row["observed"]), str(row["n"])] for row in bins]
            head = [f"said on {split}, mean of the bin", "came true", "n"]
            parts.append(_table(head, rows))
    measured = "\n\n".join(parts) or "No split of both classes was measured."
    where = bundle.record.get("recalibrated_from")
    updated = f"Fitted anew to a site ({where['data']}, n = {where['n']})." if where else "Not updated since."
    return (
        f"## Calibration\n\nOn validation: {bundle.record['calibration']} "
        f"(temperature {bundle.record['temperature']:g}). {updated} `secondread recalibrate` "
        f"fits it to a site's own scores and outcomes.\n\n{measured}"
    )


def operating_points_section(bundle: Bundle, results: Mapping[str, Any]) -> str:
    """How each was chosen and what is proven of it; then what it did on every split."""
    chosen = [_chosen(point) for point in bundle.operating_points.values()]
    head = ["name", "positive above", "sensitivity", "specificity", "n", "chosen by"]
    parts = [f"Where they were chosen, on validation data:\n\n{_table(head, chosen)}", _PROMISE]
    for split, result in results.items():
        table = result.get("thresholds", {"rows": []})
        rows = [
            [row["name"], f"{row['threshold']:g}"]
            + [format_interval(row[key], digits=2) for key in ("sensitivity", "specificity", "ppv", "npv")]
            + ["–" if row["flagged_per_1000"] is None else f"{row['flagged_per_1000']:.0f}"]
            for row in table["rows"]
            if row["name"]
        ]
        if rows and result["metrics"]["roc_auc"]["value"] is not None:
            said = (
                f"PPV and NPV where {100 * table['prevalence']:.3g} % are diseased, the share {table['prevalence_is']}"
            )
            said += "" if table["prevalence_is"] == "as given" else ", which is no clinic's"
            heads = ["name", "positive above", "sensitivity", "specificity", "PPV", "NPV", "flagged of 1,000"]
            parts.append(f"On {split} ({said}):\n\n{_table(heads, rows)}")
        for name, share in result.get("uncertain", {}).items():
            parts.append(f"At {name}, {format_interval(share, 100, 1)} % of the images of {split} are uncertain.")
    return "## Operating points\n\n" + "\n\n".join(parts)


def _chosen(point: OperatingPoint) -> list[str]:
    threshold = f"{point.threshold:g}" if point.low is None else f"{point.high:g}, uncertain from {point.low:g}"
    rates = [format_interval(dict(rate), digits=2) for rate in (point.sensitivity, point.specificity)]
    return [point.name, threshold, *rates, str(point.n), point.chosen_by]


def _refusals(results: Mapping[str, Any]) -> str:
    rows = [
        [split, str(result["n_refused"]), ", ".join(f"{code} {n}" for code, n in result["refusals"].items()) or "–"]
        for split, result in results.items()
    ]
    return (
        "## Refusals\n\nAn image that cannot or should not be read is refused with a reason, counts in no measure, and "
        f"must be read by a person.\n\n{_table(['split', 'refused', 'reasons'], rows)}"
    )


def _failures(results: Mapping[str, Any]) -> str:
    rows = [
        [split, *map(str, (cells["fn"], result["n_positive"], cells["fp"], result["n"] - result["n_positive"]))]
        for split, result in results.items()
        if (cells := result["confusion"])
    ]
    head = ["split", "missed", "of positives", "false alarms", "of negatives"]
    return (
        f"## Failures\n\n{_table(head, rows)}\n\nThe page of `secondread evaluate` shows the worst of them with their "
        "heat maps, where the images are; this card holds no pictures."
    )


def _heat_maps(results: Mapping[str, Any]) -> str:
    parts = []
    for split, result in results.items():
        table = result.get("heatmap")
        if table and (said := heatmap_in_words(table)):
            lines = "\n".join(f"- {sentence}" for sentence in said)
            parts.append(f"On {split}:\n\n{lines}" + (f"\n\n{_localisation(table)}" if table["n"] else ""))
    measured = "\n\n".join(parts) or "Not measured: no image was read."
    return f"## Heat maps\n\n{WHAT_A_HEAT_MAP_IS_NOT}\n\n{measured}"


def _localisation(table: Mapping[str, Any]) -> str:
    titles = (("pointing", "pointing game, tolerance 3 %"), ("pointing_exact", "no tolerance"), ("energy", "energy"))
    names = ("map", "centre", "uniform", "body", "gain")
    rows = [[title, *(format_interval(table["measures"][key][name]) for name in names)] for key, title in titles]
    return _table(["in the lesion", "this map", "centre", "random point", "random point of the body", "gain"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
