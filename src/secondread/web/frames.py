"""The frames of a file on a page: the curve of their scores, and in words what came out for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext
from markupsafe import Markup

from secondread.service import StoredReading
from secondread.stats.scale import marks
from secondread.web.language import CODES

_WIDE, _HIGH = 1000, 100  # of the curve, in units of its own; a score is its height
_FEW = 60  # frames that get a dot each


@dataclass(frozen=True)
class FramesShown:
    """What a page needs to step through the frames of a file."""

    n: int
    at: int  # the one that is shown first, from 1: the one that answered
    says: tuple[str, ...]  # what came out for each, as a sentence
    mapped: tuple[bool, ...]  # whether it can have a heat map
    curve: Markup  # empty where only one was read, or the answer is hidden
    positive_from: int | None  # the least score that is positive; None without a curve


def frames_of(reading: StoredReading, answered: Mapping[str, str], *, hidden: bool = False) -> FramesShown | None:
    """None for a file of one frame, or where there is nothing to look at any more.

    answered: the name of each decision; hidden: the answer is, and with it every score.
    """
    n = int(reading.facts.get("n_frames") or 1)
    if n == 1 or reading.erased_at is not None or not reading.facts.get("width"):
        return None
    hidden = hidden or reading.hidden
    rows = () if hidden else reading.frames
    says = tuple(_said(row, n, answered) for row in rows) or tuple(
        gettext("Frame %(n)s of %(all)s", n=number, all=n) for number in range(1, n + 1)
    )
    mapped = tuple(bool(row["decision"]) for row in rows) or tuple(
        number == reading.frame + 1 and not hidden for number in range(1, n + 1)
    )
    curve = _curve(reading, rows)
    positive = marks(reading.threshold, reading.low)[1] if curve and reading.threshold is not None else None
    return FramesShown(n, reading.frame + 1, says, mapped, curve, positive)


def _said(row: Mapping[str, Any], n: int, answered: Mapping[str, str]) -> str:
    number = row["frame"]
    if row["decision"] is None:
        why = CODES.get(row["refusal"], "")
        return gettext("Frame %(n)s of %(all)s: not read. %(why)s", n=number, all=n, why=why)
    return gettext(
        "Frame %(n)s of %(all)s: score %(score)s, %(answer)s",
        n=number,
        all=n,
        score=row["score"],
        answer=answered[row["decision"]].lower(),
    )


def _curve(reading: StoredReading, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Scores from 0 to 100 along the frames, gaps where none was read, and where uncertain and positive begin."""
    if not any(row["decision"] for row in rows):
        return Markup("")
    step = _WIDE / max(len(rows) - 1, 1)
    parts = []
    if reading.threshold is not None:
        uncertain, positive = marks(reading.threshold, reading.low)
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
        score=reading.score,
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
