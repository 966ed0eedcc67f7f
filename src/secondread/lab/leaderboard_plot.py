"""One picture a task: how well a system does at a hospital that taught it nothing, against the time it takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from secondread.evidence.plots import GRID, as_png, new_figure

_COLOURS = {"network": "#2b6c99", "bundle": "#1f2933", "classical": "#b3541e", "ensemble": "#5b8c2a"}
_LETTER, _LINE = 0.0092, 0.032  # of the picture's width and height: what a letter and a line take
_BESIDE = 0.011  # of the width: from a point to its name


def held_out_plot(rows: Sequence[Mapping[str, Any]], *, title: str) -> bytes:
    """Mean ROC AUC over hospitals left out, with its interval, against the network's time as a ratio. PNG.

    rows: as the leaderboard ranks them: {left: Interval, result: {kind, model, latency, …}}.
    """
    from matplotlib.lines import Line2D

    shown = [row for row in rows if row["left"].value is not None]
    figure, axes = new_figure(
        title, "time of one image, ratio to the paper's network", "mean ROC AUC, hospital left out"
    )
    figure.set_size_inches(9, 5.5)
    axes.set_xscale("log")
    for row in shown:
        left, colour = row["left"], _COLOURS[row["result"]["kind"]]
        reach = [[left.value - left.low], [left.high - left.value]]
        x = row["result"]["latency"]["network_ratio"]
        axes.errorbar(x, left.value, yerr=reach, color=colour, fmt="o", ms=5, lw=0.7, alpha=0.85)
    axes.axhline(0.5, color=GRID, lw=1, ls="--")
    start, end = axes.get_xlim()
    axes.set_xlim(start, end * (end / start) ** 0.25)  # room for the names
    to_share = axes.transData + axes.transAxes.inverted()
    points = [to_share.transform((row["result"]["latency"]["network_ratio"], row["left"].value)) for row in shown]
    names = [name_of(row["result"]) for row in shown]
    for row, name, (x, y), height in zip(shown, names, points, _apart(points, names), strict=True):
        axes.annotate(
            name,
            (x, y),
            xytext=(x + _BESIDE, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            fontsize=8,
            va="center",
            color=_COLOURS[row["result"]["kind"]],
            arrowprops=None
            if height == y
            else {"arrowstyle": "-", "lw": 0.4, "color": _COLOURS[row["result"]["kind"]]},
        )
    kinds = dict.fromkeys(row["result"]["kind"] for row in shown)
    marks = [Line2D([], [], color=_COLOURS[kind], marker="o", lw=0, ms=5, label=kind) for kind in kinds]
    figure.legend(handles=marks, loc="outside lower center", ncol=len(marks), frameon=False)
    return as_png(figure)


def name_of(result: Mapping[str, Any]) -> str:
    """As the picture calls it."""
    return f"bundle {result['name']}" if result["kind"] == "bundle" else result.get("system") or result["model"]


def _apart(points: Sequence[tuple[float, float]], names: Sequence[str]) -> list[float]:
    """Heights of the names right of their points, each the nearest where it lies on no other name or point."""
    taken = [(x - _BESIDE / 2, x + _BESIDE / 2, y) for x, y in points]
    heights = []
    for place, ((x, y), name) in enumerate(zip(points, names, strict=True)):
        start, end = x + _BESIDE, x + _BESIDE + _LETTER * len(name)
        others = [one for at, one in enumerate(taken) if at != place]
        tries = sorted((y + step * _LINE / 2 for step in range(-30, 31)), key=lambda at: abs(at - y))
        free = (at for at in tries if all(_clear(start, end, at, *one) for one in others))
        heights.append(next(free, y))
        taken.append((start, end, heights[-1]))
    return heights


def _clear(start: float, end: float, height: float, left: float, right: float, y: float) -> bool:
    return end < left or right < start or abs(height - y) >= _LINE
