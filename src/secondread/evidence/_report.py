"""The page of an evaluation: one HTML file that carries its plots, and the plots as files beside it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secondread.evidence._heatmap_words import GUESSES, TITLES, WHAT_A_HEAT_MAP_IS_NOT, heatmap_in_words
from secondread.evidence._paper import compare_with_paper
from secondread.evidence._plots import (
    accuracy_plot,
    confidence_plot,
    confusion_plot,
    pr_plot,
    reliability_plot,
    roc_plot,
)
from secondread.tasks import Task

if TYPE_CHECKING:
    from markupsafe import Markup

_TEMPLATE = "report.html"
_MEASURES = {  # as in the evidence → what a reader of the page should know of it
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "sensitivity (recall)",
    "specificity": "specificity",
    "f1": "F1",
    "lr_positive": "positive likelihood ratio",
    "lr_negative": "negative likelihood ratio",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "brier": "Brier score (0 is best)",
    "ece_mass": "calibration error, ten bins of equal numbers (0 is best)",
    "ece_width": "calibration error, ten bins of equal width (0 is best)",
}
_IN_SUBGROUPS = ("recall", "specificity", "roc_auc", "accuracy")
_ENDS = ("value", "low", "high")


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
    gallery: Mapping[str, Sequence[Failure]] | None = None,
) -> Path:
    """Write `index.html` and the plots of every split that holds read images. Returns the page's path.

    gallery: split → its worst readings, shown in the page; None where they are to be left out.
    """
    import jinja2

    folder.mkdir(parents=True, exist_ok=True)
    plots = {split: _plots(evidence, split, task) for split in evidence["results"]}
    for split, pictures in plots.items():
        for name, png in pictures.items():
            _write(folder / f"{split}-{name}.png", png)
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "data_uri": _data_uri,
        "interval": format_interval,
        "stacked": _stacked,
        "words": heatmap_in_words,
    }
    page = environment.get_template(_TEMPLATE).render(
        evidence=evidence,
        task=task,
        plots=plots,
        claims=compare_with_paper(evidence),
        gallery=gallery,
        measures=_MEASURES,
        in_subgroups=_IN_SUBGROUPS,
        heatmap_not=WHAT_A_HEAT_MAP_IS_NOT,
        heatmap_titles=TITLES,
        guesses=GUESSES,
    )
    target = folder / "index.html"
    _write(target, page.encode())
    return target


def format_interval(found: Mapping[str, float | None] | None, scale: float = 1, digits: int = 3) -> str:
    """'0.868 (0.788–0.935)'; a bound that is infinite is ∞, and a dash stands where nothing is defined."""
    value, bounds = _ends(found, scale, digits)
    return f"{value} ({bounds})" if bounds else value


def _stacked(found: Mapping[str, float | None] | None, scale: float = 1, digits: int = 3) -> "Markup":
    """The interval on a line of its own, for tables of many columns."""
    from markupsafe import Markup

    value, bounds = _ends(found, scale, digits)
    return Markup("{}<br><small class='soft'>{}</small>").format(value, bounds) if bounds else Markup(value)


def _ends(found: Mapping[str, float | None] | None, scale: float, digits: int) -> tuple[str, str]:
    """A value and its interval as text, the latter empty where nothing is defined."""
    if not found or found["value"] is None:
        return "–", ""
    value, low, high = (
        "∞" if at is None else f"{scale * at:z.{digits}f}".replace("-", "−") for at in (found[key] for key in _ENDS)
    )
    return value, f"{low} to {high}" if "−" in low else f"{low}–{high}"


def _plots(evidence: dict[str, Any], split: str, task: Task) -> dict[str, bytes]:
    rows = [row for row in evidence["predictions"][split] if row[2] is not None]
    if not rows:
        return {}
    y_true = np.array([row[1] for row in rows], dtype=bool)
    probabilities = np.array([row[2] for row in rows], dtype=np.float64)
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


def _data_uri(picture: bytes) -> str:
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()


def _write(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(data)
    aside.replace(path)
