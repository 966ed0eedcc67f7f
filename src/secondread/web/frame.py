"""What every page holds: the way to the others, who is there, the choice of language, and how values are written."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

from apiflask import APIBlueprint, APIFlask
from flask import Response, redirect, request
from flask_babel import force_locale, gettext, lazy_gettext
from markupsafe import Markup

from secondread import __version__
from secondread.errors import NotThere
from secondread.service import StoredReading
from secondread.service.clock import local_and_utc
from secondread.stats.interval import Interval
from secondread.stats.scale import marks, of_hundred, ratio_in_words, share
from secondread.tasks import list_tasks, next_step, task_named
from secondread.web.auth import may, public
from secondread.web.catalogues import direction_of
from secondread.web.context import service
from secondread.web.forms import way_back
from secondread.web.frames import FramesShown, frames_of
from secondread.web.language import COOKIE, in_words, language, languages, said, script_words

site = APIBlueprint("site", __name__, enable_openapi=False)
_YEAR = 365 * 24 * 3600  # seconds
_PLACES = (  # endpoint, title, scope that it needs
    ("pages.index", lazy_gettext("Read"), "read"),
    ("worklist.show", lazy_gettext("Worklist"), "read"),
    ("uploads.show", lazy_gettext("Uploads"), "read"),
    ("learn.show", lazy_gettext("Learn"), "read"),
    ("statistics_pages.show", lazy_gettext("Agreement and drift"), "read"),
    ("thresholds.show", lazy_gettext("Thresholds"), "read"),
    ("models_pages.show", lazy_gettext("Models"), "admin"),
    ("accounts_pages.show", lazy_gettext("Accounts"), "admin"),
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


@site.post("/language")
@public
def choose_language() -> Any:
    """Keep the language in this browser and go back to the page."""
    chosen = request.form.get("language", "")
    answer = redirect(way_back(), code=303)
    if chosen in languages():
        answer.set_cookie(COOKIE, chosen, max_age=_YEAR, samesite="Lax", httponly=True, secure=request.is_secure)
    return answer


@site.get("/fonts/devanagari.ttf")
@public
def devanagari() -> Response:
    """The letters of Hindi, the same that the report as PDF is set in."""
    data = (files("secondread.service") / "fonts" / "NotoSansDevanagari-Regular.ttf").read_bytes()
    return Response(data, content_type="font/ttf")


@site.get("/words/<language>.js")
@public
def words_of(language: str) -> Response:
    """A module with every translated sentence by its English one. 404 for a language that is not there."""
    if language not in languages():
        raise NotThere(f"there is no language '{language[:20]}' here")
    with force_locale(language.replace("-", "_")):
        text = json.dumps(script_words(), ensure_ascii=False)
    return Response(f"export default {text};\n", content_type="text/javascript; charset=utf-8")


def register(app: APIFlask) -> None:
    """Give templates what they need."""
    app.context_processor(_context)
    filters: dict[str, Callable[..., Any]] = {
        "when": when,
        "local": local,
        "share": share,
        "interval": interval,
        "decision": decision_name,
        "state": state_name,
        "moment": moment_of,
        "unbroken": unbroken,
    }
    for name, filter_ in filters.items():
        app.add_template_filter(filter_, name)
    for global_ in (marks, frames_shown):
        app.add_template_global(global_)
    app.add_template_global(ratio_in_words, "ratio")
    app.add_template_global(lambda state: next_step(code=state), "state_step")
    app.add_template_global(lambda chance: of_hundred(chance, gettext), "of_hundred")


def when(moment: datetime | str | None) -> Markup:
    """A moment as people read it, in UTC, and for machines beside it."""
    if not moment:
        return Markup("–")
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return Markup('<time datetime="{}" class="number">{:%Y-%m-%d %H:%M}</time>').format(at.isoformat(), at)


def local(moment: datetime) -> Markup:
    """A moment as the clock on the site's wall had it, and for machines with its zone."""
    there = moment.astimezone(service().zone)
    return Markup('<time datetime="{}" class="number">{:%Y-%m-%d %H:%M}</time>').format(moment.isoformat(), there)


def moment_of(moment: datetime) -> str:
    """A moment in the site's time and in UTC, where there is room for both."""
    return local_and_utc(moment, service().zone)


def unbroken(text: str) -> str:
    """A rate with its interval and n, to be broken into lines only between the two; what is said of it as ever."""
    told, colon, remark = text.partition(": ")
    rate, comma, n = told.rpartition(", ")
    parts = [part.strip().replace(" ", "\u00a0") for part in (f"{rate}{comma}", n)]
    whole = " ".join(part for part in parts if part)
    return re.sub(r"(?<=\d)–(?=\d)", "\u2060–\u2060", whole) + colon + remark


def interval(found: Mapping[str, Any] | None, scale: float = 100.0, digits: int = 1) -> str:
    """'91.2 (88.0–93.9)' of {value, low, high}; a dash where nothing was measured."""
    return Interval.from_dict(found).format(scale=scale, digits=digits, too_few=gettext("too few to say"))


def frames_shown(reading: StoredReading, *, hidden: bool = False) -> FramesShown | None:
    """The frames of a file to step through; None where it has but one. hidden: without their scores."""
    return frames_of(reading, {name: decision_name(name) for name in _DECISIONS}, hidden=hidden)


def decision_name(decision: str | None) -> str:
    """'Positive', 'Negative', 'Uncertain', or 'Not read' for a refusal."""
    return str(_DECISIONS[decision or ""])


def state_name(state: str) -> str:
    """Where a review stands, in words."""
    return str(_STATES[state])


def reason(row: StoredReading) -> str:
    """Why a reading stands where it does in triage order."""
    if row.hidden:
        return gettext("your own opinion comes first")
    rank = int(row.triage)
    said = str(_REASONS[rank])
    if row.n_reviews and 2 <= rank <= 5:
        said = gettext("%(answer)s, another review is needed", answer=decision_name(row.decision))
    if row.score is None or rank in (1, 6):
        return said
    return gettext("%(reason)s (score %(score)s)", reason=said, score=row.score)


def task_title(name: str) -> str:
    """Of a task that is known here, else its name; a dash for none."""
    return gettext(task_named(name).title) if name in list_tasks() else name or "–"


def _context() -> dict[str, Any]:
    places = [{"endpoint": at, "title": title} for at, title, scope in _PLACES if may(scope)]
    return {
        "places": places,
        "language": language(),
        "languages": languages(),
        "direction": direction_of(language()),
        "version": __version__,
        "here": request.full_path.rstrip("?"),
        "reason": reason,
        "task_title": task_title,
        "said": said,
        "in_words": in_words,
    }
