"""What every page holds: the way to the others, who is there, the language, and how values are written."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from apiflask import APIFlask
from flask import request
from flask_babel import gettext, lazy_gettext
from markupsafe import Markup

from secondread import __version__
from secondread.service import StoredReading
from secondread.tasks import list_tasks, load_task
from secondread.web.auth import may
from secondread.web.pages.language import LANGUAGES, in_words, language

_PLACES = (  # endpoint, title, scope that it needs
    ("pages.index", lazy_gettext("Read"), "read"),
    ("worklist.show", lazy_gettext("Worklist"), "read"),
    ("worklist.uploads", lazy_gettext("Uploads"), "read"),
    ("statistics_pages.show", lazy_gettext("Agreement and drift"), "read"),
    ("thresholds.show", lazy_gettext("Thresholds"), "read"),
    ("account_pages.everyone", lazy_gettext("Accounts"), "admin"),
    ("trail_pages.show", lazy_gettext("Trail"), "admin"),
)
_DECISIONS = {
    "positive": lazy_gettext("Positive"),
    "negative": lazy_gettext("Negative"),
    "uncertain": lazy_gettext("Uncertain"),
    "": lazy_gettext("Not read"),
}
_REASONS = {
    1: lazy_gettext("reviewers disagree or are unsure: it has to be settled"),
    2: lazy_gettext("positive, not reviewed yet"),
    3: lazy_gettext("uncertain, not reviewed yet"),
    4: lazy_gettext("refused: no one has judged this image yet"),
    5: lazy_gettext("negative, not reviewed yet"),
    6: lazy_gettext("reviewed"),
}
_STATES = {
    "open": lazy_gettext("not reviewed"),
    "waiting": lazy_gettext("another review needed"),
    "disputed": lazy_gettext("to be settled"),
    "done": lazy_gettext("reviewed"),
    "settled": lazy_gettext("settled"),
}


def register(app: APIFlask) -> None:
    """Give templates what they need."""
    app.context_processor(_context)
    filters: dict[str, Callable[..., Any]] = {
        "when": when,
        "share": share,
        "interval": interval,
        "decision": decision_name,
        "state": state_name,
    }
    for name, filter_ in filters.items():
        app.add_template_filter(filter_, name)


def when(moment: datetime | str | None) -> Markup:
    """A moment as people read it, in UTC, and for machines beside it."""
    if not moment:
        return Markup("–")
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return Markup('<time datetime="{}" class="number">{:%Y-%m-%d %H:%M}</time>').format(at.isoformat(), at)


def share(value: float | None, digits: int = 1) -> str:
    """A share in percent; never rounded to certainty."""
    if value is None:
        return "–"
    least = 0.5 / 10 ** (digits + 2)
    if 0 < value < least:
        return f"< {1 / 10**digits:g} %"
    if 1 - least < value < 1:
        return f"> {100 - 1 / 10**digits:g} %"
    return f"{100 * value:.{digits}f} %"


def interval(found: Mapping[str, Any] | None, scale: float = 100.0, digits: int = 1) -> str:
    """'91.2 (88.0–93.9)' of {value, low, high}; a dash where nothing was measured."""
    if found is None or found.get("value") is None:
        return "–"
    value, low, high = (None if found.get(key) is None else scale * found[key] for key in ("value", "low", "high"))
    bounds = "" if low is None or high is None else f" ({low:.{digits}f}–{high:.{digits}f})"
    return f"{value:.{digits}f}{bounds}"


def decision_name(decision: str | None) -> str:
    """'Positive', 'Negative', 'Uncertain', or 'Not read' for a refusal."""
    return str(_DECISIONS[decision or ""])


def state_name(state: str) -> str:
    """Where a review stands, in words."""
    return str(_STATES[state])


def reason(row: StoredReading) -> str:
    """Why a reading stands where it does in triage order."""
    rank = int(row.triage)
    said = str(_REASONS[rank])
    if row.n_reviews and 2 <= rank <= 5:
        said = gettext("%(answer)s, another review is needed", answer=decision_name(row.decision))
    if row.score is None or rank in (1, 6):
        return said
    return gettext("%(reason)s (score %(score)s)", reason=said, score=row.score)


def task_title(name: str) -> str:
    """Of a task that is known here, else its name; a dash for none."""
    return gettext(load_task(name).title) if name in list_tasks() else name or "–"


def _context() -> dict[str, Any]:
    places = [{"endpoint": at, "title": title} for at, title, scope in _PLACES if may(scope)]
    return {
        "places": places,
        "language": language(),
        "languages": LANGUAGES,
        "version": __version__,
        "here": request.full_path.rstrip("?"),
        "reason": reason,
        "task_title": task_title,
        "said": gettext,
        "in_words": in_words,
    }
