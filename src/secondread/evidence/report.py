"""The page of an evaluation: one HTML file that carries its plots, beside what the seed paper claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secondread.evidence.detection import NEAR, RATES
from secondread.evidence.evidence import Scored
from secondread.evidence.held_out import broken, elsewhere, spares_none
from secondread.evidence.measured import read_predictions
from secondread.evidence.plots import (
    accuracy_plot,
    confidence_plot,
    confusion_plot,
    pr_plot,
    reliability_plot,
    roc_plot,
)
from secondread.evidence.promises import Promised
from secondread.files import write_bytes, write_text
from secondread.pages import render
from secondread.stats.interval import Interval
from secondread.stats.metrics import METRICS
from secondread.tasks import Task

# Table 1 (percent) and the confusion matrices of its figures 6.1(c), 6.2(c) and 6.3(c). They disagree with each
# other, so both are quoted; the accuracy that a matrix gives is computed, not copied.
PAPER_CLAIMS: dict[str, dict[str, dict[str, float]]] = {
    "brain-tumour": {
        "table_1": {"accuracy": 94.2, "precision": 92.5, "recall": 91.8, "f1": 92.1},
        "confusion": {"tp": 67, "fn": 24, "tn": 136, "fp": 17},
    },
    "tuberculosis": {
        "table_1": {"accuracy": 93.6, "precision": 90.7, "recall": 94.3, "f1": 92.4},
        "confusion": {"tp": 285, "fn": 20, "tn": 344, "fp": 39},
    },
    "fracture": {
        "table_1": {"accuracy": 91.8, "precision": 89.5, "recall": 92.1, "f1": 90.7},
        "confusion": {"tp": 543, "fn": 51, "tn": 518, "fp": 44},
    },
}


def paper_figures(claims: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Measure → {table, matrix}: in percent, as Table 1 has it and as the paper's own confusion matrix gives it."""
    cells = [np.float64(claims["confusion"][key]) for key in ("tp", "fp", "tn", "fn")]
    return {
        name: {"table": claims["table_1"].get(name), "matrix": 100 * float(metric(*cells))}
        for name, metric in METRICS.items()
    }


def beside_the_paper(evidence: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows {name, table, matrix, ours} of the measures that Table 1 has, ours on the test split.

    Empty for a task of the user's own, or where test was not measured.
    """
    claims, test = PAPER_CLAIMS.get(evidence["task"]), evidence["results"].get("test")
    if claims is None or not test or not test["metrics"]:
        return []
    figures = paper_figures(claims)
    return [{"name": name, **figures[name], "ours": test["metrics"][name]} for name in claims["table_1"]]


_DID = {
    "taught": "Taught the weights",
    "chose": "Chose the epoch (`val` alone), the calibration and the operating points",
    "measured": "Measured, after all was fixed",
}


def roles_in_words(evidence: Mapping[str, Any]) -> list[str]:
    """Sentences on which images taught, which chose and which measured: no image did two of these."""
    rows = evidence["data"].get("rows", [])
    said = []
    for role, words in _DID.items():
        own = [row for row in rows if row["role"] == role]
        splits = dict.fromkeys(row["split"] for row in own)
        parts = [_of_split(split, [row for row in own if row["split"] == split], rows) for split in splits]
        if parts:
            said.append(f"{words}: {'; '.join(parts)}.")
    return said or ["Not recorded by this evidence: measure it again."]


def _of_split(split: str, rows: Sequence[Mapping[str, Any]], all_rows: Sequence[Mapping[str, Any]]) -> str:
    shared = len({row["role"] for row in all_rows if row["split"] == split}) > 1
    counts = ", ".join(f"{row['source']} {row['n']:,}".strip() for row in rows if row["n"] is not None)
    return f"{'a share of ' if shared else ''}`{split}`{f' ({counts})' if counts else ''}"


WHAT_A_HEAT_MAP_IS_NOT = (
    "A heat map shows which coarse cells of the image moved this network's answer. It is not an outline of disease, "
    "not a measurement, and no proof that the answer rests on the right thing: a correct answer can come with a map "
    "that points elsewhere, and a convincing map with a wrong answer."
)
TITLES = {
    "pointing": "pointing game (maximum inside the lesion or within 3 % of the image's longer side)",
    "pointing_exact": "pointing game, no tolerance",
    "energy": "energy inside the lesion (share of the map's sum)",
}
GUESSES = {
    "centre": "the centre of the image",
    "uniform": "a random point (a uniform map)",
    "body": "a random point of the body",
}


def heatmap_in_words(table: Mapping[str, Any]) -> list[str]:
    """Sentences on one split's `heatmap`: localisation, what is outside the body, the sanity test. May be empty."""
    said = []
    if table["n"]:
        said.append(_localisation(table))
    if (outside := table["outside_body"])["n"]:
        share, uniform = outside["share"]["value"], outside["uniform"]["value"]
        said.append(
            f"Outside the body lies {share:.1%} of the map, and {uniform:.1%} of the image (n = {outside['n']:,})."
        )
    if table["randomised_weights"]:
        said.append(_sanity(table["randomised_weights"]))
    return said


def boxes_in_words(table: Mapping[str, Any]) -> list[str]:
    """Sentences on one split's `boxes`."""
    drawn = f"{table['n_boxes']:,} boxes that people drew on {table['n']:,} images"
    found = Interval.from_dict(table["ap50"]).parts(digits=2)
    mean = Interval.from_dict(table["ap"]).parts(digits=2)
    said = [
        f"Against {drawn}, average precision at an overlap of a half (AP50) is {_with_bounds(*found)}, and over "
        f"overlaps of 0.5 to 0.95 (AP) {_with_bounds(*mean)}."
    ]
    near = table["froc"][f"{NEAR:g}"]["0.5"]["value"]
    exact = table["froc"]["0.5"]["0.5"]["value"]
    if near is not None and exact is not None:
        said.append(
            f"At half a false box an image, {near:.1%} of them are found where an overlap of {NEAR:g} counts as found, "
            f"and {exact:.1%} where a half does."
        )
    return said


def _with_bounds(value: str, bounds: str) -> str:
    return f"{value} ({bounds})" if bounds else value


def _localisation(table: Mapping[str, Any]) -> str:
    found = table["measures"]["pointing"]
    own = found["map"]["value"]
    best = max(GUESSES, key=lambda name: found[name]["value"])
    guess, gain = f"{GUESSES[best]} ({found[best]['value']:.1%})", found["gain"]
    exact = table["measures"]["pointing_exact"]["map"]["value"]
    start = (
        f"The map's maximum meets the lesion in {own:.1%} of {table['n']:,} diseased images with a tolerance of 3 % of "
        f"the image's longer side, in {exact:.1%} without"
    )
    if _sign(gain) > 0:
        return f"{start}, more often than the best blind guess, {guess}."
    if _sign(gain) < 0:
        return f"{start}, less often than the best blind guess, {guess}: it must not be used to find a lesion."
    return f"{start}; whether that is more often than the best blind guess, {guess}, so few groups cannot tell."


def _sanity(test: Mapping[str, Any]) -> str:
    """Nobody agreed on a limit for this test, so it says what was found beside what would be found."""
    correlation, gain = test["rank_correlation"], test["energy_gain"]
    start = f"With all weights shuffled ({len(test['random_states'])} times, n = {test['n']:,})"
    if correlation["value"] is None:
        return f"{start} no map was left to compare."
    moved = ("not brought the map nearer", "brought the map nearer", "brought the map away from")[_sign(gain)]
    return (
        f"{start} the maps' rank correlation with the learnt ones is {correlation['value']:.2f}, where 1 would mean "
        f"that the map does not depend on what was learnt. {test['energy']['value']:.1%} of the learnt maps and "
        f"{test['energy_randomised']['value']:.1%} of the shuffled ones lie in the lesion: learning has "
        f"{moved} the lesion."
    )


def _sign(gain: Mapping[str, float | None]) -> int:
    """1 or -1 where the interval lies on one side of nothing gained; 0 where it does not, or too few can tell."""
    return int((gain["low"] or 0) > 0) - int((gain["high"] or 0) < 0)


@dataclass(frozen=True)
class Failure:
    """One reading that went wrong, with pictures of the user's image: for the page alone, not for evidence or card."""

    kind: str  # 'missed' or 'false alarm'
    path: str
    source: str
    probability: float
    picture: bytes  # JPEG
    mapped: bytes  # JPEG, with the heat map over it
    outlined: bool  # whether the picture shows the lesion's outline


def write_report(
    evidence: dict[str, Any],
    task: Task,
    folder: Path,
    *,
    promises: Sequence[Promised] = (),
    gallery: Mapping[str, Sequence[Failure]] | None = None,
) -> Path:
    """Write `index.html` and the plots of every split that holds read images. Returns the page's path.

    promises: see `promises_of`. gallery: split → its worst readings, shown in the page; None where they are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots = {split: _plots(evidence, split, task) for split in evidence["results"]}
    for split, pictures in plots.items():
        for name, png in pictures.items():
            write_bytes(folder / f"{split}-{name}.png", png)
    page = render(
        "evidence/templates/report.html",
        evidence=evidence,
        task=task,
        plots=plots,
        claims=beside_the_paper(evidence),
        gallery=gallery,
        promises=promises,
        elsewhere=(places := elsewhere(evidence)),
        broken=broken(promises, places),
        useless=spares_none(places),
        roles=roles_in_words(evidence),
        heatmap_not=WHAT_A_HEAT_MAP_IS_NOT,
        heatmap_in_words=heatmap_in_words,
        boxes_in_words=boxes_in_words,
        rates=[f"{rate:g}" for rate in RATES],
        heatmap_titles=TITLES,
        guesses=GUESSES,
    )
    target = folder / "index.html"
    write_text(target, page)
    return target


def _plots(evidence: dict[str, Any], split: str, task: Task) -> dict[str, bytes]:
    scored = Scored.of(read_predictions(evidence, split))
    y_true, probabilities = scored.y_true, scored.probabilities
    if not len(y_true):
        return {}
    threshold, title = evidence["operating_point"]["threshold"], f"{task.title}, {split}"
    result = evidence["results"][split]
    at = {"threshold": threshold}
    plots = {
        "accuracy": accuracy_plot(y_true, probabilities, **at, title=f"{title}: accuracy score"),
        "confidence": confidence_plot(y_true, probabilities, **at, title=f"{title}: prediction confidence"),
        "confusion": confusion_plot(result["confusion"], classes=task.classes, title=f"{title}: confusion matrix"),
    }
    if y_true.any() and not y_true.all():
        error = result["metrics"]["ece_mass"]["value"]
        plots |= {
            "roc": roc_plot(y_true, probabilities, **at, title=f"{title}: ROC"),
            "pr": pr_plot(y_true, probabilities, **at, title=f"{title}: precision–recall"),
            "reliability": reliability_plot(result["reliability"], title=f"{title}: reliability", error=error),
        }
    return plots
