"""The card of a bundle: for whom it is, what it was made of, what was measured, where it fails, which gaps are left."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from secondread.evidence.report import WHAT_A_HEAT_MAP_IS_NOT, compare_with_paper, format_interval, heatmap_in_words
from secondread.reading import Bundle, OperatingPoint

CHECKLISTS = ("claim_2024", "tripod_ai")


@dataclass(frozen=True)
class Item:
    """One thing that a report must say."""

    number: str
    section: str
    asks: str  # in words of this project's own
    where: tuple[str, ...] = ()  # sections of the card, or files of the project
    gap: str = ""  # what is missing
    otherwise: str = ""  # the gap where a card lacks the section


@dataclass(frozen=True)
class Checklist:
    """A published list of such things."""

    title: str
    citation: str
    items: tuple[Item, ...]


@cache
def load_checklist(name: str) -> Checklist:
    """One of CHECKLISTS."""
    table = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))
    items = tuple(Item(**{**item, "where": tuple(item.get("where", ()))}) for item in table["items"])
    return Checklist(table["title"], table["citation"], items)


def answers(item: Item, sections: Collection[str]) -> tuple[list[str], str]:
    """Where a card with these sections answers the item, and what is missing (may be empty)."""
    found = [place for place in item.where if place in sections or _is_file(place)]
    if found:
        return found, item.gap
    return [], item.gap or item.otherwise or f"not in this card: {', '.join(item.where)}"


def _is_file(place: str) -> bool:
    return "/" in place or place.isupper()


def checklist_sections(titles: Collection[str]) -> list[str]:
    """One section for each checklist. titles: the card's other sections."""
    return [_section(name, titles) for name in CHECKLISTS]


def _section(name: str, titles: Collection[str]) -> str:
    checklist = load_checklist(name)
    found = [(item, *answers(item, titles)) for item in checklist.items]
    gaps = sum(bool(gap) for _, _, gap in found)
    open_items = sum(not places for _, places, _ in found)
    rows = "\n".join(_row(item, places, gap) for item, places, gap in found)
    return (
        f"## {checklist.title}\n\n{checklist.citation}. In short wording of our own; {len(found)} items, {gaps} with a "
        f"gap, {open_items} of these not answered at all.\n\n"
        f"| item | part | asks for | answered in |\n|---|---|---|---|\n{rows}"
    )


def _row(item: Item, places: list[str], gap: str) -> str:
    said = [", ".join(_linked(place) for place in places)] if places else []
    said += [f"**gap: {gap}**"] if gap else []
    return f"| {item.number} | {item.section} | {item.asks} | {'; '.join(said)} |"


def _linked(place: str) -> str:
    """A section by its anchor, a file by its name."""
    if "/" in place or place.isupper():
        return f"`{place}`"
    return f"[{place}](#{place.lower().replace(' ', '-')})"


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


def write_card(bundle: Bundle, evidence: dict[str, Any]) -> str:
    """The card in Markdown, from the bundle's record and its evidence. It holds no pixels."""
    sections = [
        _use(bundle),
        _model(bundle),
        _data(bundle),
        *measured_sections(bundle, evidence),
        _claims(evidence),
        _made(bundle, evidence),
    ]
    told = [section for section in sections if section]
    titles = [section.split("\n", 1)[0].removeprefix("## ") for section in told]
    return "\n\n".join([_head(bundle), *told, *checklist_sections(titles)]) + "\n"


def recalibrated_card(new: Bundle, old: Bundle) -> str:
    """The card of a bundle fitted anew to a site: its own operating points, then the old card, which says whose it is.

    What was measured of the old bundle holds for the same weights under the old calibration and thresholds.
    """
    site = new.record["recalibrated_from"]
    remark = (
        f"Fitted anew to a site ({site['data']}, n = {site['n']}, {site['n_positive']} positive) on {site['date']}: "
        f"{new.record['calibration']}. The weights are those of `{old.id}`. Nothing was measured of this bundle yet: "
        "`secondread evaluate` does so."
    )
    kept = f"---\n\nBelow is the card of `{old.id}`, with the calibration and the thresholds that it had.\n\n{old.card}"
    parts = [_head(new), remark, operating_points_section(new, {}), kept if old.card else ""]
    return "\n\n".join(part for part in parts if part).rstrip() + "\n"


def _head(bundle: Bundle) -> str:
    model = bundle.record["model"]
    return (
        f"# {bundle.task.title}: {bundle.name}\n\n"
        f"`{bundle.id}`: {model['architecture']}, {model['parameters']:,} parameters. {bundle.task.question}\n\n"
        "It assists a qualified reader and is no medical device."
    )


def _use(bundle: Bundle) -> str:
    limits = [*bundle.task.limits, "A heat map shows what the model used, not where disease is."]
    lines = "\n".join(f"- {limit}" for limit in limits)
    return f"## Intended use and limits\n\n{bundle.task.intended_use}\n\n{lines}"


def _model(bundle: Bundle) -> str:
    model, prepare = bundle.record["model"], bundle.record["prepare"]
    channels = "grey" if prepare["channels"] == 1 else "RGB"
    members = bundle.record.get("members", ())
    kind = (
        f"{len(members)} convolutional neural networks in one file, `{model['architecture']}`"
        if members
        else f"A convolutional neural network, `{model['architecture']}`"
    )
    number = "an ensemble whose answer is the mean of its members' log-odds" if members else "one network, no ensemble"
    return (
        f"## The model\n\n{kind} ({model['parameters']:,} parameters; the files under `src/secondread/models` say how "
        f"they are built), read once for each image: {number}. It sees the pixels of one image and nothing else, so no "
        f"person judges or types in a predictor. Input: {prepare['size']} × {prepare['size']} {channels}. Output: the "
        f"chance of disease between 0 and 1, and a coarse heat map ({bundle.record['heatmap']['method']}). "
        "`model.onnx` is the whole model, weights included."
    )


def _data(bundle: Bundle) -> str:
    sources = "\n".join(f"| {source.name} | {source.title} | {source.terms} |" for source in bundle.task.sources)
    data = bundle.record["data"]
    splits = ", ".join(f"{name} {count:,}" for name, count in data["splits"].items())
    return (
        f"## Data and terms\n\n| source | what | terms |\n|---|---|---|\n{sources}\n\n"
        f"Images: {splits}. Fingerprint `{data['fingerprint'][:16]}`.\n\n"
        "Collected before this model and for other purposes, so the study is retrospective. Splits keep groups whole: "
        "a patient where the manifest names one, else what it groups (near-duplicates, neighbouring numbers), else the "
        "single image; a manifest that divides a group is refused. `train` fitted the weights, `val` chose the epoch, "
        "the calibration and the operating points; every other split was only read, after all was fixed. An image "
        "without a label is in no split."
    )


def _claims(evidence: dict[str, Any]) -> str:
    """The seed paper's figures beside ours; its table and its matrices disagree, so both stand here."""
    rows = [
        f"| {row['name']} | {row['table']:.1f} | {row['matrix']:.1f} | {format_interval(row['ours'], 100, 1)} |"
        for row in compare_with_paper(evidence)
    ]
    if not rows:
        return ""
    return (
        "## Beside the seed paper\n\nThe paper names neither its images nor a split by patient, so its figures "
        "cannot be made again; they are quoted, not matched.\n\n"
        "| % | paper, Table 1 | paper, its own confusion matrix | here, test split |\n|---|---|---|---|\n"
        + "\n".join(rows)
    )


def _made(bundle: Bundle, evidence: dict[str, Any]) -> str:
    training = bundle.record["training"]
    members = bundle.record.get("members", ())
    runs = [member["training"] for member in members] or [training]
    steps = ", ".join(f"{key} {value}" for key, value in bundle.record["prepare"].items())
    versions = ", ".join(f"{name} {version}" for name, version in training["versions"].items())
    ran = [*(run["command"] for run in runs), training["command"], evidence["command"]]
    commands = "\n".join(f"    {line}" for line in dict.fromkeys(ran))
    shares = " : ".join(f"{member.get('share', 1 / len(members)):.2f}" for member in members)
    mean = (
        f"The mean of {len(runs)} networks ({shares}), validation AUC {training['best_val_auc']:.3f}. "
        if members
        else ""
    )
    return (
        f"## How it was made\n\n{mean}{' '.join(_run(run) for run in runs)} Made {bundle.record['created']}. Weights "
        "start as the framework draws them from that random state, unless the recipe says otherwise; the classes are "
        f"neither weighted nor drawn evenly unless it says so. Preprocessing: {steps}; recipe and all else are in "
        f"`bundle.json`.\n\n{commands}\n\nVersions: {versions}."
    )


def _run(run: dict[str, Any]) -> str:
    return (
        f"Recipe {run['recipe']['name']}, random state {run['random_state']}, best epoch {run['best_epoch']} of "
        f"{run['epochs_run']} by validation AUC ({run['best_val_auc']:.3f}), {run['seconds']:.0f} s on {run['device']}."
    )
