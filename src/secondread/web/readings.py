"""Images in, readings out: read at once, looked up, deleted and brought back; and the page where they are dropped."""

from contextlib import suppress
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Dict, File, Float, Integer, List, Nested, String
from apiflask.validators import Range
from flask import Response, current_app, render_template, url_for
from werkzeug.datastructures import FileStorage

from secondread.errors import NotThere
from secondread.reading import Refusal
from secondread.service import REVIEW_STATES, Local, ReadingRequest, StoredReading
from secondread.tasks import list_tasks, task_named
from secondread.web.auth import current_actor, require
from secondread.web.context import desk, facts_of, service
from secondread.web.entries import entry, kept_entry, status_of, stored_row, without_pictures
from secondread.web.health import count_reading
from secondread.web.idempotency import once
from secondread.web.problems import problem
from secondread.web.shapes import LARGEST_ID, Text, one_of, said, shape_of

readings = APIBlueprint("readings", __name__, url_prefix="/api/v1", tag="readings")
pages = APIBlueprint("pages", __name__, enable_openapi=False)


class ReadingForm(Schema):
    """What a client sends: images, and how they are to be read."""

    image = List(
        File(error_messages={"invalid": "send a file, not text"}),
        required=True,
        error_messages={"required": "send one or many files in this form field"},
        metadata=said("one or many files: PNG, JPEG, TIFF, WebP, BMP or DICOM"),
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


@shape_of(Refusal, "code message")
class RefusalOut(Schema):
    """Why an image was not read."""

    code = said("for programs: not_an_image, unsupported, truncated, too_large, …")
    message = said("for people: what is wrong and what to do")


class FrameOut(Schema):
    """What came out for one frame of a file."""

    frame = Integer(required=True, metadata=said("from 1"))
    score = Integer(required=True, allow_none=True, metadata=said("0 to 100; null where it was not read"))
    decision = String(required=True, allow_none=True, metadata=one_of(["positive", "negative", "uncertain", None]))
    refusal = String(required=True, allow_none=True, metadata=said("code of why it was not read, or null"))


class LikelihoodRow(Schema):
    """What a likelihood ratio rests on."""

    low = Float(required=True, allow_none=True, metadata=said("95 % interval"))
    high = Float(required=True, allow_none=True, metadata=said("null: no upper end can be told"))
    split = String(required=True, metadata=said("of the bundle's evidence"))
    n_positive = Integer(required=True, metadata=said("diseased images in it"))
    n_negative = Integer(required=True)


@shape_of(Local, "prevalence probability")
class LocalRow(Schema):
    """How likely disease is after an answer, where it is as common as this site has said."""

    prevalence = said("share of the diseased among those examined here, as the site has set it for the task")
    probability = said("converted from the share of the diseased that the bundle was calibrated to")


class ContractOut(Schema):
    """One image's answer: the shape of `secondread read --json`."""

    path = String(required=True, allow_none=True, metadata=said("the file's name as the client gave it"))
    task = String(required=True, allow_none=True)
    bundle = String(required=True, allow_none=True, metadata=said("task/name@first digits of its hash"))
    probability = Float(required=True, allow_none=True, metadata=said("of the positive class, calibrated"))
    score = Integer(required=True, allow_none=True, metadata=said("0 to 100"))
    decision = String(required=True, allow_none=True, metadata=one_of(["positive", "negative", "uncertain", None]))
    operating_point = String(required=True, allow_none=True)
    warnings = List(String(), required=True, allow_none=True)
    heatmap = String(required=True, allow_none=True, metadata=said("a PNG to lay over the image, as a data: URI"))
    refusal = Nested(RefusalOut, required=True, allow_none=True, metadata=said("set where the image was not read"))
    likelihood_ratio = Float(
        required=True,
        allow_none=True,
        metadata=said(
            "how many times likelier this decision at this operating point is with disease than without, on the whole "
            "test split of the bundle's evidence; at another hospital it may be nearer to 1. null: not measured, or no "
            "healthy image of the split got this answer"
        ),
    )
    likelihood_ratio_measured = Nested(
        LikelihoodRow, required=True, allow_none=True, metadata=said("what it rests on; null: not measured")
    )
    local = Nested(
        LocalRow,
        required=True,
        allow_none=True,
        metadata=said("null where this site has not set how common disease is, see `/prevalences`"),
    )
    frames = List(Nested(FrameOut), metadata=said("of a file of several frames that was read whole; else not there"))
    worst_frame = Integer(
        allow_none=True, metadata=said("which of them answers, from 1; null where none was read; there with `frames`")
    )


class DisplayOut(Schema):
    """What a page needs to show a reading."""

    image = String(
        required=True, allow_none=True, metadata=said("preview as a data: URI; null where nothing was decoded")
    )
    width = Integer(required=True, allow_none=True, metadata=said("of the image, pixels"))
    height = Integer(required=True, allow_none=True, metadata=said("of the image, pixels"))
    format = String(required=True, allow_none=True)
    bit_depth = Integer(required=True, allow_none=True, metadata=said("as stored"))
    modality = String(required=True, allow_none=True, metadata=said("DICOM (0008,0060)"))
    body_part = String(required=True, allow_none=True, metadata=said("DICOM (0018,0015)"))
    frame = Integer(required=True, allow_none=True, metadata=said("the frame that was read, from 1"))
    n_frames = Integer(required=True, allow_none=True)
    notes = List(String(), required=True, metadata=said("what was done to the pixels that a reader should know"))
    elapsed_ms = Float(required=True, metadata=said("from bytes to answer"))
    task_title = String(required=True, allow_none=True)
    decision_text = String(required=True, allow_none=True, metadata=said("the decision in the task's words"))
    outlook = String(
        required=True,
        allow_none=True,
        metadata=said("how many are missed at this operating point, or are false alarms, at the worst measured place"),
    )
    threshold = Float(required=True, allow_none=True, metadata=said("of the operating point"))
    band = List(
        Float(), required=True, allow_none=True, metadata=said("probabilities between these two bounds are uncertain")
    )


class AnswerOut(ContractOut):
    """One image's answer, what a page shows of it, and where it is kept."""

    display = Nested(DisplayOut, required=True)
    id = Integer(required=True, allow_none=True, metadata=said("of the stored reading; null where it is not kept"))
    stored = Boolean(required=True, metadata=said("whether it is kept here"))
    from_store = Boolean(required=True, metadata=said("whether it was answered from the store, without reading again"))


class ReadingsOut(Schema):
    """The answers in the order of the files sent."""

    readings = List(Nested(AnswerOut), required=True)


class StoredRow(ContractOut):
    """A reading out of the store: the shape of `secondread read --json`, then what the store adds."""

    path = String(required=True, metadata=said("the file's name; empty where retention has erased it"))
    heatmap = String(required=True, allow_none=True, metadata=said("name of the stored heat map; see …/heatmap"))
    id = Integer(required=True)
    image = String(required=True, metadata=said("SHA-256 of the image as it is kept"))
    frame = Integer(required=True, metadata=said("that was read, from 0"))
    source = String(required=True)
    asked_task = String(required=True, allow_none=True)
    threshold = Float(required=True, allow_none=True)
    band = List(Float(), required=True, allow_none=True)
    facts = Dict(required=True, metadata=said("width, height, format, modality and the like"))
    elapsed_ms = Float(required=True)
    created_at = String(required=True, metadata={"format": "date-time"})
    created_by = String(required=True)
    review_state = String(required=True, metadata=one_of(REVIEW_STATES))
    finding = Integer(required=True, allow_none=True, metadata=said("what reviewers concluded: 1 disease, 0 none"))
    n_reviews = Integer(required=True)
    reason = String(required=True, metadata=said("why it stands where it does in triage order"))
    hidden = Boolean(
        required=True,
        metadata=said(
            "true: the answer is withheld until whoever asks has given an opinion; all that tells it is null"
        ),
    )
    deleted = Boolean(required=True)
    erased = Boolean(required=True, metadata=said("image, name and notes were deleted by retention"))


class StoredOut(StoredRow):
    """A reading out of the store."""


@readings.post("/readings")
@require("write")
@readings.input(ReadingForm, location="form_and_files")
@readings.doc(operation_id="readImages", summary="Read images")
@once(readings, kept=without_pictures)
@readings.output(ReadingsOut, description="At least one file was read")
def read_images(form_and_files_data: dict[str, Any]) -> Any:
    """Answer for every file, in the order sent, and keep each answer.

    An image that the same bundle has read at the same operating point is answered from the store. A file that cannot be
    read is an entry with a refusal; the others are still read. The status is 200 if any file was read. If every file
    was refused it is 415 where none is an image of a kind that is read here, 413 where all are too large and 422
    otherwise, with the same body.

    With an `Idempotency-Key` the same request sent again within a day is answered with the first answer, but for its
    pictures, which are not kept with it: `heatmap` and `display.image` are null then, and to be had by the reading's
    number. Another request with that key is answered with 422.
    """
    return _read(form_and_files_data)


@readings.get("/readings/<int:reading_id>")
@require("read")
@readings.output(StoredOut)
@readings.doc(operation_id="getReading", summary="Show a reading")
def get_reading(reading_id: int) -> Any:
    """Answer with one reading as it is kept."""
    return stored_row(service().readings.get(reading_id, actor=current_actor()))


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
    """What `POST /api/v1/readings` answers, and with each reading its answer drawn as on the reading's own page."""
    return _read(form_and_files_data, drawn=True)


class KeptQuery(Schema):
    """Which readings a page shows again."""

    ids = Text(required=True, metadata=said("numbers with commas between"))


class AgainForm(Schema):
    """A reading that is kept, and the task that its image is to be read for."""

    id = Integer(required=True, validate=Range(1, LARGEST_ID))
    task = Text(required=True)


_MOST_SHOWN_AGAIN = 300


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


def _read(form: dict[str, Any], *, drawn: bool = False) -> Response | tuple[dict[str, Any], int]:
    files, asked = sent(form)
    if not files:
        return problem(400, "no image was sent; send files in the form field 'image'", code="no_image")
    if len(files) > (most := current_app.config["MAX_FILES"]):
        sentence = f"{len(files)} files are more than the {most} allowed in one request; send fewer"
        return problem(413, sentence, code="too_many_files")
    desk().check(asked)
    entries = [_answer(file, asked, drawn) for file in files]
    return {"readings": entries}, status_of(entries)


def _answer(file: FileStorage, asked: ReadingRequest, drawn: bool) -> dict[str, Any]:
    """One element of `readings`; drawn: with the piece of a page that shows it."""
    found = desk().answer(file.stream, asked, name=file.filename or "", actor=current_actor())
    if (kept := found.stored) is not None:
        count_reading(kept.task, kept.decision or "refused", from_store=found.from_store)
    facts = facts_of(found.outcome)
    shown = entry(found, path=file.filename, facts=facts)
    if not drawn:
        return shown
    return shown | {"drawn": render_template("_card.html", reading=found.outcome, facts=facts)}


def _kept(reading: StoredReading) -> dict[str, Any]:
    """One element of `readings` out of the store, drawn, with the addresses of its pictures in their place."""
    facts = facts_of(reading)
    shown = kept_entry(reading, facts=facts)
    heatmap = url_for("pictures.heatmap", reading_id=reading.id, colours="inferno") if reading.heat_map else None
    image = url_for("pictures.image", reading_id=reading.id, longest_side=current_app.config["PREVIEW_PIXELS"])
    shown["pictures"] = {"image": image if shown["display"]["width"] else None, "heatmap": heatmap}
    return shown | {"drawn": render_template("_card.html", reading=reading, facts=facts)}
