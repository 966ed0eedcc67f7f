"""One person erased everywhere, by an administrator, in two steps: what would go is shown, then confirmed."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Integer, List, Nested, String
from apiflask.validators import Length, Range
from flask import render_template, request

from secondread.service import Erasable
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.forms import whole, written
from secondread.web.problems import attempt
from secondread.web.shapes import LARGEST_ID, Text, said, shape_of

erasures = APIBlueprint("erasures", __name__, url_prefix="/api/v1", tag="erasures")
pages = APIBlueprint("erasure_pages", __name__, url_prefix="/erase", enable_openapi=False)


class WhoQuery(Schema):
    """Who: one of the two."""

    patient = Text(load_default="", validate=Length(max=64), metadata=said("a patient's pseudonym, as exports have it"))
    reading = Integer(
        load_default=None,
        allow_none=True,
        validate=Range(1, LARGEST_ID),
        metadata=said("the number of any reading of theirs"),
    )


class ErasureIn(WhoQuery):
    """Who, and that it was looked at."""

    key = Text(
        required=True,
        validate=Length(min=16, max=16),
        metadata=said("as `GET /erasures` told it: 409 where something came in since"),
    )


class LeftRow(Schema):
    """What was handed out before."""

    what = String(required=True, metadata=said("as the trail calls it"))
    at = String(required=True, metadata={"format": "date-time"})
    by = String(required=True)
    certain = Boolean(required=True, metadata=said("false: a list of readings, which may have held these"))


@shape_of(Erasable, "key patient images readings items waiting notes left alike")
class ErasableOut(Schema):
    """What is kept of a person."""

    key = said("send it with the erasure")
    patient = said("the pseudonym; empty where the image has none, and then it is the one image alone")
    images = List(String(), required=True, metadata=said("hashes"))
    readings = List(Integer(), required=True)
    items = said("files of uploads, whose names go")
    waiting = said("of them still in the queue, which are taken out")
    notes = said("of reviewers, which go; what they found stays")
    left = List(Nested(LeftRow), required=True)
    alike = List(Integer(), required=True, metadata=said("readings of other images under the same typed patient line"))


@erasures.get("/erasures")
@require("admin")
@erasures.input(WhoQuery, location="query")
@erasures.output(ErasableOut)
@erasures.doc(operation_id="lookAtErasure", summary="Show what erasing a person would take")
def look(query_data: dict[str, Any]) -> Any:
    """Answer with what is kept of a person, and erase nothing."""
    return service().erasure.look(**query_data, actor=current_actor())


@erasures.post("/erasures")
@require("admin")
@erasures.input(ErasureIn)
@erasures.output(ErasableOut)
@erasures.doc(operation_id="erasePerson", summary="Erase a person for good")
def erase(json_data: dict[str, Any]) -> Any:
    """Erase what was looked at; the audit trail proves it and names no one. Backups made before still hold it."""
    return service().erasure.erase(**json_data, actor=current_actor())


@pages.get("")
@require("admin")
def show() -> Any:
    """Who is to be erased, and once that is said what would go."""
    if not request.args.get("patient") and not request.args.get("reading"):
        return _page()

    def act() -> str:
        reading = whole("reading", 0, 1, LARGEST_ID) or None
        patient = request.args.get("patient", "").replace("\0", "").strip()[:64]
        return _page(found=service().erasure.look(patient=patient, reading=reading, actor=current_actor()))

    return attempt(act, lambda sentence: _page(mistake=sentence))


@pages.post("")
@require("admin")
def confirm() -> Any:
    """Erase what the page showed."""

    def act() -> str:
        reading = whole("reading", 0, 1, LARGEST_ID) or None
        what = service().erasure.erase(
            patient=written("patient"), reading=reading, key=written("key") or "-", actor=current_actor()
        )
        return _page(done=what)

    return attempt(act, lambda sentence: _page(mistake=sentence))


def _page(*, found: Erasable | None = None, done: Erasable | None = None, mistake: str = "") -> str:
    return render_template("erase.html", found=found, done=done, mistake=mistake, asked=request.values)
