"""The pictures of a comparison of recipes: differences with their intervals, and the course of a search."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from secondread.evidence._plots import _GRID, _INK, _NEGATIVE, _POSITIVE, _THRESHOLD, _figure, _png


def difference_plot(rows: Sequence[tuple[str, Mapping[str, float | None]]], *, title: str, measure: str) -> bytes:
    """One line a recipe: its name and its difference from the reference, {value, low, high}. PNG."""
    figure, axes = _figure(title, measure, "")
    figure.set_size_inches(7.2, 1.4 + 0.32 * len(rows))
    places = np.arange(len(rows))[::-1]
    for place, (_, found) in zip(places, rows, strict=True):
        value, low, high = (found[key] for key in ("value", "low", "high"))
        if value is None or low is None or high is None:
            continue
        axes.plot([low, high], [place, place], color=_NEGATIVE, lw=1.5)
        axes.plot(value, place, "o", color=_NEGATIVE)
    axes.axvline(0, color=_INK, lw=1, ls=":")
    axes.set_yticks(places, [name for name, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    return _png(figure)


def search_plot(
    trials: Sequence[Mapping[str, Any]], importances: Mapping[str, float], *, title: str, measure: str
) -> bytes:
    """Every trial's value and the best so far; below, how much each field mattered. PNG.

    trials: {number, state, value or None}; importances: field → share, perhaps empty.
    """
    figure, axes = _figure(title, "trial", measure)
    _history(axes, trials)
    if importances:
        figure.clear()
        figure.set_size_inches(7.2, 5.2 + 0.25 * len(importances))
        heights = [4, 1 + 0.35 * len(importances)]
        above, below = figure.subplots(2, 1, height_ratios=heights)
        above.set(title=title, xlabel="trial", ylabel=measure)
        _history(above, trials)
        names = list(importances)[::-1]
        below.barh(names, [importances[name] for name in names], color=_NEGATIVE)
        below.set(xlim=(0, 1), xlabel="importance: share of what makes the best trials best")
        for part in (above, below):
            part.grid(visible=True, color=_GRID, lw=0.6)
            part.set_axisbelow(True)
            part.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _history(axes: Any, trials: Sequence[Mapping[str, Any]]) -> None:
    whole = [trial for trial in trials if trial["state"] == "complete"]
    stopped = [trial for trial in trials if trial["state"] == "pruned" and trial["value"] is not None]
    numbers, values = [trial["number"] for trial in whole], [trial["value"] for trial in whole]
    axes.scatter(numbers, values, s=18, color=_NEGATIVE, label="whole trial", zorder=2)
    if stopped:
        axes.scatter(
            [trial["number"] for trial in stopped],
            [trial["value"] for trial in stopped],
            s=18,
            color=_POSITIVE,
            marker="x",
            label="stopped early",
            zorder=2,
        )
    axes.step(numbers, np.maximum.accumulate(values), where="post", color=_THRESHOLD, lw=1, label="best so far")
    axes.legend(loc="lower right", frameon=False)
