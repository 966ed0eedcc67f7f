"""The frames of a file on a page: the curve of their scores, and in words what came out for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext
from markupsafe import Markup

from secondread.reading import SERIES
from secondread.service import StoredReading
from secondread.stats.scale import marks
from secondread.web.language import CODES

_WIDE, _HIGH = 1000, 100  # of the curve, in units of its own; a score is its height
_FEW = 60  # frames that get a dot each
_STACK = 8  # frames from which the wheel goes through them


@dataclass(frozen=True)
class FramesShown:
    """What a page needs to step through the frames of a file."""

    n: int
    at: int  # the one that is shown first, from 1: the one that answered
    says: tuple[str, ...]  # what came out for each, as a sentence
    mapped: tuple[bool, ...]  # whether it can have a heat map
    curve: Markup  # empty where only one was read, or the answer is hidden
    positive_from: int | None  # the least score that is positive of one alone; None without a curve
    stack: bool = False  # so many that the wheel goes through them
    places: tuple[float, ...] = ()  # where each slice lies, in mm along the normal; empty where that is not known
    together: bool = False  # all of them answer together, not the highest alone


def frames_of(reading: StoredReading, answered: Mapping[str, str], *, hidden: bool = False) -> FramesShown | None:
    """None for a file of one frame, or where there is nothing to look at any more.

    answered: the name of each decision; hidden: the answer is, and with it every score.
    """
    n = int(reading.facts.get("n_frames") or 1)
    if n == 1 or reading.erased_at is not None or not reading.facts.get("width"):
        return None
    hidden = hidden or reading.hidden
    rows = () if hidden else reading.frames
    places = reading.facts.get("positions") or ()
    slices = bool(places) or reading.facts.get("format") == "NIfTI"
    says = tuple(_said(row, n, answered, slices) for row in rows) or tuple(
        _which(number, n, slices) for number in range(1, n + 1)
    )
    if len(places) == n:
        says = tuple(f"{said} · {place:+.1f} mm" for said, place in zip(says, places, strict=True))
    mapped = tuple(bool(row["decision"]) for row in rows) or tuple(
        number == reading.frame + 1 and not hidden for number in range(1, n + 1)
    )
    curve = _curve(reading, rows)
    threshold, low = _of_one(reading)
    positive = marks(threshold, low)[1] if curve and threshold is not None else None
    together = not hidden and reading.operating_point == SERIES
    known = tuple(float(place) for place in places) if len(places) == n else ()
    return FramesShown(n, reading.frame + 1, says, mapped, curve, positive, n >= _STACK, known, together)


def _of_one(reading: StoredReading) -> tuple[float | None, float | None]:
    """Threshold and lower end of the band that decide of each picture alone: a series as a whole has its own."""
    threshold, low = reading.facts.get("frame_point") or (reading.threshold, reading.low)
    return threshold, low


def _which(number: int, n: int, slices: bool) -> str:
    if slices:
        return gettext("Slice %(n)s of %(all)s", n=number, all=n)
    return gettext("Frame %(n)s of %(all)s", n=number, all=n)


def _said(row: Mapping[str, Any], n: int, answered: Mapping[str, str], slices: bool) -> str:
    which = _which(row["frame"], n, slices)
    if row["decision"] is None:
        return gettext("%(which)s: not read. %(why)s", which=which, why=CODES.get(row["refusal"], ""))
    return gettext(
        "%(which)s: score %(score)s, %(answer)s",
        which=which,
        score=row["score"],
        answer=answered[row["decision"]].lower(),
    )


def _curve(reading: StoredReading, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Scores from 0 to 100 along the frames, gaps where none was read, and where uncertain and positive begin."""
    if not any(row["decision"] for row in rows):
        return Markup("")
    step = _WIDE / max(len(rows) - 1, 1)
    parts = []
    threshold, low = _of_one(reading)
    if threshold is not None:
        uncertain, positive = marks(threshold, low)
        if uncertain is not None:
            parts.append(Markup('<rect class="band" x="0" y="{}" width="{}" height="{}"/>').format(
                _HIGH - positive, _WIDE, positive - uncertain
            ))  # fmt: skip
        parts.append(Markup('<path class="threshold" d="M0 {}H{}"/>').format(_HIGH - positive, _WIDE))
    read = [(at * step, _HIGH - row["score"]) if row["decision"] else None for at, row in enumerate(rows)]
    parts.append(Markup('<path class="line" d="{}"/>').format(_line(read)))
    if len(rows) <= _FEW:
        parts.append(Markup('<path class="dots" d="{}"/>').format(_dots(place for place in read if place)))
    unread = ((at * step, _HIGH) for at, place in enumerate(read) if place is None)
    parts.append(Markup('<path class="unread" d="{}"/>').format("".join(f"M{x:.1f} {y}v-14" for x, y in unread)))
    worst = read[reading.frame] if reading.worst_frame else None
    if worst is not None:
        parts.append(Markup('<path class="worst" d="{}"/>').format(_dots([worst])))
    parts.append(Markup('<path class="at" d="M{:.1f} 0V{}"/>').format(reading.frame * step, _HIGH))
    title = gettext(
        "Scores of %(n)s frames, 0 to 100; the highest is %(score)s at frame %(worst)s",
        n=len(rows),
        score=rows[reading.frame]["score"],
        worst=reading.worst_frame,
    )
    shown = Markup(
        '<svg class="frame-curve" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    )
    return shown.format(_WIDE, _HIGH, title, Markup("").join(parts))


def _line(places: Sequence[tuple[float, int] | None]) -> str:
    drawn, before = [], None
    for place in places:
        if place is not None:
            drawn.append(f"{'M' if before is None else 'L'}{place[0]:.1f} {place[1]}")
        before = place
    return "".join(drawn)


def _dots(places: Any) -> str:
    """Lines without length: their round ends stay round however the curve is stretched."""
    return "".join(f"M{x:.1f} {y}h0.01" for x, y in places)
