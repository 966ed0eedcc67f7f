"""Plots: a PNG for any data that can be measured."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer

from secondread.evidence import plots
from secondread.evidence.plots import (
    GRID,
    accuracy_plot,
    confidence_plot,
    curves_plot,
    pr_plot,
    reliability_plot,
    roc_plot,
    swept,
)
from secondread.images import decode
from secondread.stats.calibration import reliability

Y = np.array([False, False, True, True, False, True])
P = np.array([0.1, 0.4, 0.4, 0.8, 0.2, 0.9])


@pytest.mark.parametrize("draw", [roc_plot, pr_plot])
@pytest.mark.parametrize("threshold", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("probabilities", [P, np.full(6, 0.5)])
def test_curves_are_drawn_for_any_threshold_and_for_ties(draw, threshold, probabilities):
    picture = decode(draw(Y, probabilities, threshold=threshold, title="a title"))
    assert picture.width > 600
    assert picture.pixels.std() > 5


def test_reliability_is_drawn():
    assert decode(reliability_plot(reliability(Y, P), title="a title", error=0.1)).width > 600


def test_curves_start_with_no_image_and_end_with_all():
    false_alarms, found = swept(Y, P)
    assert (false_alarms[0], found[0], false_alarms[-1], found[-1]) == (0, 0, 1, 1)
    assert len(found) == 1 + len(set(P)), "equal probabilities are one step"


HISTORY = [{"epoch": n, "loss": 1 / n, "val_loss": 1.2 / n, "val_auc": 0.6 + n / 20} for n in (1, 2, 3)]
DRAWN = {
    "accuracy": lambda: accuracy_plot(Y, P, threshold=0.5, title="a title"),
    "confidence": lambda: confidence_plot(Y, P, threshold=0.5, title="a title"),
    "curves": lambda: curves_plot(HISTORY, best_epoch=2, title="a title"),
    "roc": lambda: roc_plot(Y, P, threshold=0.5, title="a title"),
    "pr": lambda: pr_plot(Y, P, threshold=0.5, title="a title"),
    "reliability": lambda: reliability_plot(reliability(Y, P), title="a title", error=0.1),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_legend_shows_each_line_as_it_is_drawn_and_leaves_none_out(monkeypatch, name):
    figures = []
    monkeypatch.setattr(plots, "as_png", lambda figure: figures.append(figure) or b"")
    DRAWN[name]()
    (figure,) = figures
    legend = next(axes.get_legend() for axes in figure.axes if axes.get_legend())
    named = {text.get_text(): look(one) for text, one in zip(legend.get_texts(), legend.legend_handles, strict=True)}
    drawn = {}
    for axes in figure.axes:
        bars = [one for one in axes.containers if isinstance(one, ErrorbarContainer)]
        drawn |= {bar.get_label(): look(bar[2][0]) for bar in bars}
        for line in axes.get_lines():
            if line not in [bar[0] for bar in bars] and line.get_color() != GRID:  # a grey line only joins the dots
                drawn[line.get_label()] = look(line)
        drawn |= {one.get_label(): look(one) for one in axes.collections if not one.get_label().startswith("_")}
    assert named == drawn


def look(artist):
    """Colour, and of a line its dashes and marker."""
    if hasattr(artist, "get_facecolor"):
        colours = [
            *np.asarray(artist.get_facecolor()).reshape(-1, 4),
            *np.asarray(artist.get_edgecolor()).reshape(-1, 4),
        ]
        return tuple(colours[0])
    if hasattr(artist, "get_linestyle"):
        return to_rgba(artist.get_color()), artist.get_linestyle(), artist.get_marker()
    return look(artist[0])
