"""The audit trail, the newest lines first, and whether it is whole."""

from typing import Any

from apiflask import APIBlueprint
from flask import render_template, request

from secondread.errors import TrailBroken, UsageError
from secondread.service import Checkpoint
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.pages.parts import whole

trail = APIBlueprint("trail_pages", __name__, url_prefix="/trail", enable_openapi=False)
_LINES = 100


@trail.get("")
@require("admin")
def show() -> Any:
    """Lines, narrowed to who, what and whereof."""
    try:
        return _page()
    except UsageError as error:
        return render_template("trail.html", lines=[], only={}, next=None, n=0, mistake=str(error), verified=None), 400


@trail.post("/verify")
@require("admin")
def verify() -> Any:
    """Go through every line, and to a checkpoint that was kept elsewhere if one is given."""
    try:
        given = request.form.get("checkpoint", "").strip()
        found = service().trail.verify(Checkpoint.parse(given) if given else None)
    except TrailBroken as error:
        return _page(mistake=str(error)), 409
    except UsageError as error:
        return _page(mistake=str(error)), 400
    return _page(verified=found)


def _page(*, mistake: str = "", verified: Checkpoint | None = None) -> str:
    given = {
        name: request.args.get(name, "").replace("\0", "").strip()[:200] for name in ("actor", "action", "subject")
    }
    only = {name: value for name, value in given.items() if value}
    before = whole("before", 0, 0, 2**31 - 1) or None
    service().trail.record(current_actor(), "trail.seen", "trail")
    lines = service().trail.latest(before=before, limit=_LINES, **only)
    further = lines[-1]["seq"] if len(lines) == _LINES else None
    return render_template(
        "trail.html",
        lines=lines,
        only=only,
        next=further,
        n=service().trail.count(),
        mistake=mistake,
        verified=verified,
    )
