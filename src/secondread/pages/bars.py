"""Bars and curves of a page that needs no script: small HTML and SVG of numbers alone, readable on light and dark."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

BLUE, ORANGE, RED, GREEN = "#3d85c6", "#d9822b", "#d64545", "#3f9b5f"  # each 3:1 at least on white and on #111
TRACK = "rgba(128,128,128,.28)"
_CURVE = 150  # pixels


def bar(
    value: float | None,
    *,
    low: float | None = None,
    high: float | None = None,
    marks: Sequence[float] = (),
    colour: str = BLUE,
) -> "Markup":
    """A value of 0 to 1 on a track, with its interval as a thin line and thresholds as ticks."""
    parts = [_part(0, value or 0, colour, "top:0;bottom:0;opacity:.75")]
    if low is not None and high is not None:
        parts.append(_part(low, high, "currentColor", "top:45%;height:10%"))
    parts += [_part(mark, mark, "currentColor", "top:-3px;bottom:-3px;width:2px;margin-left:-1px") for mark in marks]
    style = f"position:relative;height:10px;min-width:8em;border-radius:3px;background:{TRACK}"
    return _safe(f'<div style="{style}">{"".join(parts)}</div>')


def _part(start: float, end: float, colour: str, more: str) -> str:
    left, right = 100 * min(max(start, 0), 1), 100 * min(max(end, 0), 1)
    width = "" if "width" in more else f"width:{right - left:.2f}%;"
    style = f"position:absolute;left:{left:.2f}%;{width}background:{colour};border-radius:2px;{more}"
    return f'<span style="{style}"></span>'


def curve(points: Sequence[tuple[float, float]], *, title: str, chance: bool = False) -> "Markup":
    """A line through points of 0 to 1 in a square: a ROC curve with the line of chance, or scores by frame."""
    side = _CURVE
    line = " ".join(f"{side * x:.1f},{side * (1 - y):.1f}" for x, y in points)
    diagonal = f'<path d="M0 {side}L{side} 0" stroke="{TRACK}" stroke-dasharray="4 3"/>' if chance else ""
    return _safe(
        f'<svg width="{side}" height="{side}" viewBox="-2 -2 {side + 4} {side + 4}" fill="none" role="img" '
        f'aria-label="{_escaped(title)}"><title>{_escaped(title)}</title>'
        f'<rect width="{side}" height="{side}" stroke="{TRACK}"/>{diagonal}'
        f'<polyline points="{line}" stroke="{BLUE}" stroke-width="2"/></svg>'
    )


def _safe(html: str) -> "Markup":
    from markupsafe import Markup

    return Markup(html)  # made of numbers and constants here, and of text that was escaped


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))
