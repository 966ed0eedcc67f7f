"""The page of an evaluation: one HTML file that carries its plots, and the plots as files beside it."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from secondread.evidence._paper import compare_with_paper
from secondread.evidence._plots import accuracy_plot, confidence_plot, confusion_plot
from secondread.tasks import Task

_TEMPLATE = "report.html"


def write_report(evidence: dict[str, Any], task: Task, folder: Path) -> Path:
    """Write `index.html` and the plots of every split that holds read images. Returns the page's path."""
    import jinja2

    folder.mkdir(parents=True, exist_ok=True)
    plots = {split: _plots(evidence, split, task) for split in evidence["results"]}
    for split, pictures in plots.items():
        for name, png in pictures.items():
            _write(folder / f"{split}-{name}.png", png)
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"data_uri": _data_uri, "interval": _interval}
    page = environment.get_template(_TEMPLATE).render(
        evidence=evidence, task=task, plots=plots, claims=compare_with_paper(evidence)
    )
    target = folder / "index.html"
    _write(target, page.encode())
    return target


def _plots(evidence: dict[str, Any], split: str, task: Task) -> dict[str, bytes]:
    rows = [row for row in evidence["predictions"][split] if row[2] is not None]
    if not rows:
        return {}
    y_true = np.array([row[1] for row in rows], dtype=bool)
    probabilities = np.array([row[2] for row in rows], dtype=np.float64)
    threshold, title = evidence["operating_point"]["threshold"], f"{task.title}, {split}"
    counts = evidence["results"][split]["confusion"]
    return {
        "accuracy": accuracy_plot(y_true, probabilities, threshold=threshold, title=f"{title}: accuracy score"),
        "confidence": confidence_plot(
            y_true, probabilities, threshold=threshold, title=f"{title}: prediction confidence"
        ),
        "confusion": confusion_plot(counts, classes=task.classes, title=f"{title}: confusion matrix"),
    }


def _interval(found: dict[str, float | None] | None, scale: float = 1, digits: int = 3) -> str:
    if not found or found["value"] is None or found["low"] is None or found["high"] is None:
        return "–"
    value, low, high = (scale * found[key] for key in ("value", "low", "high"))  # type: ignore[operator]
    return f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _write(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(data)
    aside.replace(path)
