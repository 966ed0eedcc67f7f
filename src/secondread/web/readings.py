"""Images in, readings out: read at once, looked up, deleted and brought back; and the page where they are dropped."""

from contextlib import suppress
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import File, Integer, List
from apiflask.validators import OneOf, Range
from flask import Response, current_app, jsonify, render_template
from werkzeug.datastructures import FileStorage

from secondread.errors import NotThere
from secondread.service import ReadingRequest, StoredReading
from secondread.tasks import list_tasks, task_named
from secondread.web.auth import current_actor, require
from secondread.web.context import desk, facts_of, service
from secondread.web.entries import INLINE, LINKS, entry, kept_entry, placed_rows, status_of, stored_row, with_links
from secondread.web.health import count_reading
from secondread.web.idempotency import once
from secondread.web.problems import problem
from secondread.web.reading_shapes import AnswerOut, ReadingsOut, StoredOut
from secondread.web.shapes import LARGEST_ID, Text, said

readings = APIBlueprint("readings", __name__, url_prefix="/api/v1", tag="readings")
pages = APIBlueprint("pages", __name__, enable_openapi=False)


class ReadingForm(Schema):
    """What a client sends: images, and how they are to be read."""

    image = List(
        File(error_messages={"invalid": "send a file, not text"}),
        required=True,
        error_messages={"required": "send one or many files in this form field"},
        metadata=said("one or many files: PNG, JPEG, TIFF, WebP, BMP, DICOM or NIfTI"),
    )
    task = Text(load_default="auto", metadata=said("a task's name, or auto: told from the facts in a DICOM file"))
    bundle = Text(load_default="", metadata=said("a bundle of that task; empty: the task's own choice"))
    operating_point = Text(
        load_default="", metadata=said("an operating point of the bundle; empty: the bundle's own choice")
    )
    source = Text(load_default="", metadata=said("where the images come from, for filters and statistics"))
    frame = Integer(
        load_default=None,
        validate=Range(1, LARGEST_ID),
        metadata=said("read this frame or page alone, from 1; without it all, and the most suspicious answers"),
    )
    pictures = Text(
        load_default=INLINE,
        validate=OneOf([INLINE, LINKS]),
        metadata=said(
            "inline: `heatmap` and `display.image` are pictures, as data: URIs; links: they are addresses, "
            "and nothing is drawn before it is asked for, which answers several times as many images a second"
        ),
    )


@readings.post("/readings")
@require("write")
@readings.input(ReadingForm, location="form_and_files")
@readings.doc(operation_id="readImages", summary="Read images")
@once(readings, kept=with_links)
@readings.output(ReadingsOut, description="At least one file was read")
def read_images(form_and_files_data: dict[str, Any]) -> Any:
    """Answer for every file, in the order sent, and keep each answer.

    An image that the same bundle has read at the same operating point is answered from the store. A file that cannot be
    read is an entry with a refusal; the others are still read. The status is 200 if any file was read. If every file
    was refused it is 415 where none is an image of a kind that is read here, 413 where all are too large and 422
    otherwise, with the same body.

    With an `Idempotency-Key` the same request sent again within a day is answered with the first answer, but with the
    addresses of its pictures in their place. Another request with that key is answered with 422.
    """
    return _read(form_and_files_data)


@readings.get("/readings/<int:reading_id>")
@require("read")
@readings.output(StoredOut)
@readings.doc(operation_id="getReading", summary="Show a reading")
def get_reading(reading_id: int) -> Any:
    """Answer with one reading as it is kept, and with the study that it belongs to."""
    return placed_rows([service().readings.get(reading_id, actor=current_actor())])[0]


@readings.delete("/readings/<int:reading_id>")
@require("write")
@readings.output(StoredOut)
@readings.doc(operation_id="deleteReading", summary="Delete a reading")
def delete_reading(reading_id: int) -> Any:
    """Take a reading out of sight; `restore` brings it back."""
    before = service().readings.get(reading_id, actor=current_actor())
    service().readings.delete([before.id], actor=current_actor())
    return stored_row(service().readings.get(reading_id, actor=current_actor(), deleted=True))


@readings.post("/readings/<int:reading_id>/restore")
@require("write")
@readings.output(StoredOut)
@readings.doc(operation_id="restoreReading", summary="Bring a deleted reading back")
def restore_reading(reading_id: int) -> Any:
    """Undo a deletion; a reading that was not deleted stays as it is."""
    before = service().readings.get(reading_id, actor=current_actor(), deleted=True)
    if before.deleted_at is not None:
        service().readings.undelete([reading_id], actor=current_actor())
    if before.erased_at is not None and before.deleted_at is None:
        raise NotThere(f"reading {reading_id} was erased by retention")
    return stored_row(service().readings.get(reading_id, actor=current_actor()))


@pages.get("/")
@require("read")
def index() -> str:
    """The page where images are dropped and readings appear."""
    tasks = [task_named(name) for name in list_tasks()]
    return render_template("index.html", tasks=tasks, settings=current_app.config)


@pages.post("/read")
@require("write")
@pages.input(ReadingForm, location="form_and_files")
def read(form_and_files_data: dict[str, Any]) -> Any:
    """What `POST /api/v1/readings` answers with links, and each answer drawn as on the reading's own page."""
    return _read(form_and_files_data | {"pictures": LINKS}, drawn=True)


class KeptQuery(Schema):
    """Which readings a page shows again."""

    ids = Text(required=True, metadata=said("numbers with commas between"))


class AgainForm(Schema):
    """A reading that is kept, and the task that its image is to be read for."""

    id = Integer(required=True, validate=Range(1, LARGEST_ID))
    task = Text(required=True)


_MOST_SHOWN_AGAIN = 300
_IN_ORDER = tuple(AnswerOut().fields)  # the keys of an answer, as the document has them


@pages.get("/read")
@require("read")
@pages.input(KeptQuery, location="query")
def read_before(query_data: dict[str, Any]) -> dict[str, Any]:
    """Readings that are kept, as `POST /read` answered them; what has gone since is left out."""
    wanted = [int(one) for one in query_data["ids"].split(",") if one.isascii() and one.isdigit() and len(one) < 10]
    found = []
    for number in wanted[:_MOST_SHOWN_AGAIN]:
        with suppress(NotThere):
            kept = service().readings.get(number, actor=current_actor())
            found += [] if kept.hidden else [_kept(kept)]
    return {"readings": found}


@pages.post("/read/again")
@require("write")
@pages.input(AgainForm, location="form")
def read_again(form_data: dict[str, Any]) -> dict[str, Any]:
    """Read the image of a reading for another task, keep the answer, and answer as `POST /read`."""
    asked = ReadingRequest(form_data["task"])
    desk().check(asked)
    first = service().readings.get(form_data["id"], actor=current_actor())
    return {"readings": [_kept(desk().read_again(first, asked, actor=current_actor()))]}


def sent(form: dict[str, Any]) -> tuple[list[FileStorage], ReadingRequest]:
    """The files of a form, and what is asked of each."""
    task = form["task"] or "auto"
    asked = ReadingRequest(task, form["bundle"], form["operating_point"], form["source"], form["frame"])
    return [file for file in form["image"] if file.filename], asked


def _read(form: dict[str, Any], *, drawn: bool = False) -> Response:
    """Made here and not by the schema, which would go through every field of it: it has its shape as it is."""
    files, asked = sent(form)
    if not files:
        return problem(400, "no image was sent; send files in the form field 'image'", code="no_image")
    if len(files) > (most := current_app.config["MAX_FILES"]):
        sentence = f"{len(files)} files are more than the {most} allowed in one request; send fewer"
        return problem(413, sentence, code="too_many_files")
    desk().check(asked)
    entries = [_answer(file, asked, form["pictures"], drawn) for file in files]
    answer = jsonify(readings=entries)
    answer.status_code = status_of(entries)
    return answer


def _answer(file: FileStorage, asked: ReadingRequest, pictures: str, drawn: bool) -> dict[str, Any]:
    """One element of `readings`; drawn: with the piece of a page that shows it."""
    found = desk().answer(file.stream, asked, name=file.filename or "", actor=current_actor())
    if (kept := found.stored) is not None:
        count_reading(kept.task, kept.decision or "refused", from_store=found.from_store)
    facts = facts_of(found.outcome)
    made = entry(found, path=file.filename, facts=facts, pictures=pictures)
    shown = {name: made[name] for name in _IN_ORDER if name in made}
    if not drawn:
        return shown
    return shown | {"drawn": render_template("_card.html", reading=found.outcome, facts=facts)}


def _kept(reading: StoredReading) -> dict[str, Any]:
    """One element of `readings` out of the store, drawn."""
    facts = facts_of(reading)
    return kept_entry(reading, facts=facts) | {"drawn": render_template("_card.html", reading=reading, facts=facts)}
