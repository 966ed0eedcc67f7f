"""Small charts as SVG; their colours come from the style sheet, their numbers stand in a table beside them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask_babel import gettext
from markupsafe import Markup

from secondread.service import Window
from secondread.stats.drift import Rate

_W, _H = 640, 260  # of the chart, in units of its own
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 34
COST_LINES = ("sensitivity", "specificity", "ppv", "npv")
_NAMES = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV"}


def costs(rows: Sequence[Mapping[str, Any]], threshold: float) -> Markup:
    """Sensitivity, specificity, PPV and NPV over all thresholds, with intervals; a line where it decides now.

    rows: as `costs` in _costs gives them. threshold: the one that decides.
    """
    x, y = _x, _y
    parts = [_grid([(at / 10, f"{10 * at}") for at in range(0, 11, 2)], gettext("threshold, 0–100"))]
    for name in COST_LINES:
        told = [row for row in rows if row[name]["value"] is not None]
        bounded = [row for row in told if row[name]["low"] is not None and row[name]["high"] is not None]
        edge = [(row["threshold"], row[name]["high"]) for row in bounded]
        edge += [(row["threshold"], row[name]["low"]) for row in reversed(bounded)]
        parts.append(Markup('<polygon class="area {}" points="{}"/>').format(name, _points(edge, x, y)))
        line = [(row["threshold"], row[name]["value"]) for row in told]
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(name, _points(line, x, y)))
    parts.append(_upright("now", threshold))
    parts.append(_upright("chosen", threshold))
    return _chart(gettext("Sensitivity, specificity, PPV and NPV at every threshold"), parts)


def rates(windows: Sequence[Window], name: str) -> Markup:
    """A rate in each window with its interval, over the range of the evidence. name: 'refusals' or a rate's name."""
    found: list[Rate] = [getattr(window, name) for window in windows]
    titles = {
        "refusals": gettext("Refusals"),
        "sensitivity": gettext("Sensitivity among reviewed images"),
        "specificity": gettext("Specificity among reviewed images"),
    }
    last = found[-1]
    parts = [_grid(_labels(windows), gettext("week of") if _days(windows) == 7 else gettext("from"))]
    parts.append(
        Markup('<rect class="evidence" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            _x(0), _y(last.evidence_high), _x(1) - _x(0), max(1.5, _y(last.evidence_low) - _y(last.evidence_high))
        )
    )
    for at, rate in enumerate(found):
        if rate.value is None:
            continue
        middle = _x((at + 0.5) / len(found))
        kind = "alarm" if rate.alarm else "fine"
        parts.append(
            Markup('<path class="whisker {}" d="M{:.1f} {:.1f}V{:.1f}"/>').format(
                kind, middle, _y(rate.low), _y(rate.high)
            )
        )
        parts.append(_mark(kind, middle, _y(rate.value)))
    return _chart(titles[name], parts, caption=gettext("The band is the range of the bundle’s evidence."))


def scores(windows: Sequence[Window]) -> Markup:
    """How far the scores of each window are from the evidence, and what chance explains."""
    parts = [_grid(_labels(windows), gettext("week of") if _days(windows) == 7 else gettext("from"))]
    wide = (_x(1) - _x(0)) / len(windows)
    for at, window in enumerate(windows):
        found = window.scores
        if found.distance is None or found.allowed is None:
            continue
        left = _x(at / len(windows))
        top = _y(min(found.allowed, 1.0))
        parts.append(
            Markup('<rect class="evidence" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                left + 0.1 * wide, top, 0.8 * wide, _y(0) - top
            )
        )
        parts.append(_mark("alarm" if found.alarm else "fine", left + 0.5 * wide, _y(found.distance)))
    caption = gettext("The bars are the distance that chance explains; a mark above its bar is an alarm.")
    return _chart(gettext("Distance of the scores from the evidence"), parts, caption=caption)


def _chart(title: str, parts: Sequence[Markup], caption: str = "") -> Markup:
    inside = Markup("").join(parts)
    shown = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _W, _H, title, inside
    )
    under = Markup('<p class="quiet">{}</p>').format(caption) if caption else Markup("")
    return Markup('<figure class="figure-chart"><figcaption>{}</figcaption>{}{}</figure>').format(title, shown, under)


def _grid(ticks: Sequence[tuple[float, str]], axis: str) -> Markup:
    """Lines at every fifth, and labels; ticks: place from 0 to 1 and its text."""
    parts = [
        Markup(
            '<path class="grid" d="M{} {:.1f}H{}"/>'
            '<text class="tick-text" x="{}" y="{:.1f}" text-anchor="end">{} %</text>'
        ).format(_LEFT, _y(at / 5), _W - _RIGHT, _LEFT - 6, _y(at / 5) + 4, 20 * at)
        for at in range(6)
    ]
    parts += [
        Markup('<text class="tick-text" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            _x(at), _H - _BOTTOM + 15, text
        )
        for at, text in ticks
    ]
    parts.append(
        Markup('<text class="tick-text axis" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            _x(0.5), _H - 4, axis
        )
    )
    return Markup("").join(parts)


def _labels(windows: Sequence[Window]) -> list[tuple[float, str]]:
    """At most eight days, each under the middle of its window."""
    every = -(-len(windows) // 8)
    return [
        ((at + 0.5) / len(windows), f"{window.since:%m-%d}") for at, window in enumerate(windows) if at % every == 0
    ]


def _days(windows: Sequence[Window]) -> int:
    return (windows[0].until - windows[0].since).days


def _mark(kind: str, x: float, y: float) -> Markup:
    if kind == "alarm":  # told by its shape as well as by its colour
        return Markup('<path class="mark alarm" d="M{:.1f} {:.1f}l7 12h-14z"/>').format(x, y - 8)
    return Markup('<circle class="mark fine" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(x, y)


def _upright(kind: str, at: float) -> Markup:
    return Markup('<path class="upright {}" d="M{:.1f} {}V{}" data-left="{}" data-right="{}"/>').format(
        kind, _x(at), _TOP, _H - _BOTTOM, _x(0), _x(1)
    )


def _points(pairs: Sequence[tuple[float, float]], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    return " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in pairs)


def _x(share: float) -> float:
    return _LEFT + share * (_W - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _TOP + (1 - share) * (_H - _TOP - _BOTTOM)
