"""The audit trail: who looked at what and changed what; whether it is as it was written."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Integer, List, Nested, String
from apiflask.validators import Range
from flask import render_template, request

from secondread.service import Checkpoint, Verified
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.forms import whole
from secondread.web.problems import attempt
from secondread.web.shapes import LARGEST_ID, Text, said

trail = APIBlueprint("trail", __name__, url_prefix="/api/v1", tag="trail")
pages = APIBlueprint("trail_pages", __name__, url_prefix="/trail", enable_openapi=False)
_LINES = 100  # of a page


class TrailQuery(Schema):
    """Which lines."""

    before = Integer(load_default=None, validate=Range(1, LARGEST_ID), metadata=said("only lines older than this one"))
    limit = Integer(load_default=100, validate=Range(1, 1000))
    subject = Text(metadata=said("as reading:17"))
    actor = Text(metadata=said("name of an account"))
    action = Text(metadata=said("as reading.seen"))


class VerifyQuery(Schema):
    """What the trail is compared with."""

    checkpoint = Text(load_default=None, metadata=said("one that was kept elsewhere, as seq:hash"))


class LineRow(Schema):
    """One line."""

    seq = Integer(required=True)
    at = String(required=True, metadata={"format": "date-time"})
    actor = String(required=True)
    via = String(required=True)
    address = String(required=True)
    action = String(required=True)
    subject = String(required=True)
    detail = String(required=True, metadata=said("JSON, as it was hashed"))
    prev = String(required=True)
    hash = String(required=True)


class LinesOut(Schema):
    """Lines, the newest first."""

    lines = List(Nested(LineRow), required=True)
    next = Integer(required=True, allow_none=True, metadata=said("give it as `before` for older ones; null at the end"))


class CheckpointOut(Schema):
    """Where the trail ends. Kept elsewhere, it shows later that nothing before it was changed or cut off."""

    checkpoint = String(required=True)
    lines = Integer(required=True)


class VerifiedOut(CheckpointOut):
    """Where a trail ends that is whole, and what could not be known of it."""

    compared = Integer(required=True, metadata=said("checkpoints that it was compared with"))
    not_known = List(String(), required=True, metadata=said("what no checkpoint covers, a sentence each"))


@trail.get("/trail")
@require("admin")
@trail.input(TrailQuery, location="query")
@trail.output(LinesOut)
@trail.doc(operation_id="listTrail", summary="Show the audit trail")
def list_trail(query_data: dict[str, Any]) -> Any:
    """Answer with the newest lines first."""
    return _lines(**query_data)


@trail.get("/trail/verify")
@require("admin")
@trail.input(VerifyQuery, location="query")
@trail.output(VerifiedOut)
@trail.doc(operation_id="verifyTrail", summary="Go through the whole trail")
def verify_trail(query_data: dict[str, Any]) -> Any:
    """Answer with where the trail ends, or with 409 and the first line that is wrong."""
    found = _verified(query_data["checkpoint"])
    not_known = [str(gap) for gap in found.gaps]
    return {"checkpoint": found, "lines": found.seq, "compared": found.compared, "not_known": not_known}


@trail.get("/trail/checkpoint")
@require("admin")
@trail.output(CheckpointOut)
@trail.doc(operation_id="checkpointTrail", summary="Show where the trail ends now")
def checkpoint() -> Any:
    """Answer without going through the trail."""
    found = service().trail.checkpoint()
    return {"checkpoint": found, "lines": found.seq}


@pages.get("")
@require("admin")
def show() -> Any:
    """Lines, narrowed to who, what and whereof."""
    nothing: dict[str, Any] = {"lines": [], "only": {}, "next": None, "n": 0, "verified": None}
    return attempt(_page, lambda sentence: render_template("trail.html", **nothing, mistake=sentence))


@pages.post("/verify")
@require("admin")
def verify() -> Any:
    """Go through every line, and to a checkpoint that was kept elsewhere if one is given."""
    return attempt(
        lambda: _page(verified=_verified(request.form.get("checkpoint", "").strip())),
        lambda sentence: _page(mistake=sentence),
    )


def _page(*, mistake: str = "", verified: Verified | None = None) -> str:
    names = ("actor", "action", "subject")
    only = {name: request.args.get(name, "").replace("\0", "").strip()[:200] for name in names}
    found = _lines(whole("before", 0, 0, LARGEST_ID) or None, _LINES, **only)
    n = service().trail.count()
    return render_template("trail.html", **found, n=n, mistake=mistake, verified=verified)


def _lines(before: int | None, limit: int, **only: str) -> dict[str, Any]:
    """Some lines, what they were narrowed to, and where the older ones begin. That they were seen is a line itself."""
    only = {name: value for name, value in only.items() if value}
    service().trail.record(current_actor(), "trail.seen", "trail")
    lines = service().trail.latest(before=before, limit=limit, **only)
    return {"lines": lines, "only": only, "next": lines[-1]["seq"] if len(lines) == limit else None}


def _verified(given: str | None) -> Verified:
    return service().trail.verify(Checkpoint.parse(given) if given else None)
