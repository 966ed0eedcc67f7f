"""The audit trail: who looked at what and changed what; whether it is as it was written."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Integer, List, Nested, String
from apiflask.validators import Range
from flask import Response, jsonify

from secondread.service import Checkpoint
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.filters import LARGEST_ID
from secondread.web.schemas import Text, said

trail = APIBlueprint("trail", __name__, url_prefix="/api/v1", tag="trail")


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


@trail.get("/trail")
@require("admin")
@trail.input(TrailQuery, location="query")
@trail.output(LinesOut)
@trail.doc(operation_id="listTrail", summary="Show the audit trail")
def list_trail(query_data: dict[str, Any]) -> Response:
    """Answer with the newest lines first."""
    before, limit = query_data.pop("before"), query_data.pop("limit")
    only = {name: value for name, value in query_data.items() if value}
    service().trail.record(current_actor(), "trail.seen", "trail")
    lines = service().trail.latest(before=before, limit=limit, **only)
    return jsonify(lines=lines, next=lines[-1]["seq"] if len(lines) == limit else None)


@trail.get("/trail/verify")
@require("admin")
@trail.input(VerifyQuery, location="query")
@trail.output(CheckpointOut)
@trail.doc(operation_id="verifyTrail", summary="Go through the whole trail")
def verify(query_data: dict[str, Any]) -> Response:
    """Answer with where the trail ends, or with 409 and the first line that is wrong."""
    given = query_data["checkpoint"]
    return _checkpoint(service().trail.verify(Checkpoint.parse(given) if given else None))


@trail.get("/trail/checkpoint")
@require("admin")
@trail.output(CheckpointOut)
@trail.doc(operation_id="checkpointTrail", summary="Show where the trail ends now")
def checkpoint() -> Response:
    """Answer without going through the trail."""
    return _checkpoint(service().trail.checkpoint())


def _checkpoint(found: Checkpoint) -> Response:
    return jsonify(checkpoint=str(found), lines=found.seq)
