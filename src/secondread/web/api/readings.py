"""Images in, readings out; and the worklist of those that are kept."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify

from secondread.errors import NotThere
from secondread.reading import Reader
from secondread.service import Asked
from secondread.web import desk
from secondread.web import schemas as shapes
from secondread.web.api import kept_shapes as kept
from secondread.web.auth import current_actor, require
from secondread.web.context import readers, service
from secondread.web.document import other
from secondread.web.entries import status_of
from secondread.web.filters import OrderedQuery, PageQuery, filter_of
from secondread.web.problems import problem

readings = APIBlueprint("readings", __name__, url_prefix="/api/v1", tag="readings")


@readings.post("/readings")
@require("write")
@readings.input(shapes.ReadingForm, location="form_and_files")
@readings.output(shapes.ReadingsOut, description="At least one file was read")
@readings.doc(operation_id="readImages", summary="Read images")
def read_images(form_and_files_data: dict[str, Any]) -> Response:
    """Answer for every file, in the order sent, and keep each answer.

    An image that the same bundle has read at the same operating point is answered from the store. A file that cannot be
    read is an entry with a refusal; the others are still read. The status is 200 if any file was read. If every file
    was refused it is 415 where none is an image of a kind that is read here, 413 where all are too large and 422
    otherwise, with the same body.
    """
    form = form_and_files_data
    files = [file for file in form["image"] if file.filename]
    if not 1 <= len(files) <= current_app.config["MAX_FILES"]:
        return _wrong_count(len(files))
    asked = Asked(form["task"] or "auto", form["bundle"], form["operating_point"], form["source"])
    reader = readers().get(asked.task, asked.bundle)
    if isinstance(reader, Reader) and asked.operating_point not in ("", "site"):
        reader.bundle.operating_point(asked.operating_point)  # a wrong name is told before anything is read
    entries = [desk.answer(file, asked, reader) for file in files]
    found = jsonify(readings=entries)
    found.status_code = status_of(entries)
    return found


@readings.get("/readings")
@require("read")
@readings.input(PageQuery, location="query")
@readings.output(kept.PageOut)
@readings.doc(operation_id="listReadings", summary="List readings")
def list_readings(query_data: dict[str, Any]) -> Response:
    """Answer with a page of the worklist. `next` leads to the page after; null at the end."""
    page = service().worklist.page(
        filter_of(query_data),
        order=query_data["order"],
        after=query_data["after"] or None,
        limit=query_data["limit"],
        actor=current_actor(),
    )
    return jsonify(readings=[row.to_dict() for row in page.rows], next=page.next)


@readings.get("/readings.json")
@require("read")
@readings.input(OrderedQuery, location="query")
@readings.output(kept.ListOut)
@readings.doc(operation_id="exportReadingsAsJson", summary="Export readings as JSON")
def export_json(query_data: dict[str, Any]) -> Response:
    """Answer with every reading that the filter leaves, however many."""
    rows = _exported(query_data)

    def chunks() -> Iterator[str]:
        yield '{"readings": ['
        for number, row in enumerate(rows):
            yield (",\n" if number else "\n") + json.dumps(row, ensure_ascii=False)
        yield "\n]}\n"

    return Response(chunks(), mimetype="application/json", headers=_as_file("readings.json"))


@readings.get("/readings.csv")
@require("read")
@readings.input(OrderedQuery, location="query")
@readings.doc(
    operation_id="exportReadingsAsCsv",
    summary="Export readings as CSV",
    responses=other("text/csv", "One line a reading"),
)
def export_csv(query_data: dict[str, Any]) -> Response:
    """Answer with every reading that the filter leaves, however many. Lists are JSON in their cell."""
    rows = _exported(query_data)

    def lines() -> Iterator[str]:
        names = list(kept.StoredOut().fields)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(names)
        for row in rows:
            writer.writerow([_cell(row[name]) for name in names])
            if text.tell() > 1 << 15:
                yield text.getvalue()
                text.seek(0)
                text.truncate()
        yield text.getvalue()

    return Response(lines(), content_type="text/csv; charset=utf-8", headers=_as_file("readings.csv"))


@readings.get("/readings/<int:reading_id>")
@require("read")
@readings.output(kept.StoredOut)
@readings.doc(operation_id="getReading", summary="Show a reading")
def get_reading(reading_id: int) -> Response:
    """Answer with one reading as it is kept."""
    return jsonify(service().readings.get(reading_id, actor=current_actor()).to_dict())


@readings.delete("/readings/<int:reading_id>")
@require("write")
@readings.output(kept.StoredOut)
@readings.doc(operation_id="deleteReading", summary="Delete a reading")
def delete_reading(reading_id: int) -> Response:
    """Take a reading out of sight; `restore` brings it back."""
    before = service().readings.get(reading_id, actor=current_actor())
    service().readings.delete([before.id], actor=current_actor())
    return jsonify(service().readings.get(reading_id, actor=current_actor(), deleted=True).to_dict())


@readings.post("/readings/<int:reading_id>/restore")
@require("write")
@readings.output(kept.StoredOut)
@readings.doc(operation_id="restoreReading", summary="Bring a deleted reading back")
def restore_reading(reading_id: int) -> Response:
    """Undo a deletion; a reading that was not deleted stays as it is."""
    before = service().readings.get(reading_id, actor=current_actor(), deleted=True)
    if before.deleted_at is not None:
        service().readings.undelete([reading_id], actor=current_actor())
    if before.erased_at is not None and before.deleted_at is None:
        raise NotThere(f"reading {reading_id} was erased by retention")
    return jsonify(service().readings.get(reading_id, actor=current_actor()).to_dict())


def _exported(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return service().worklist.export(filter_of(query), order=query["order"], actor=current_actor())


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula begins with an apostrophe."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return "" if value is None else value


def _wrong_count(n_files: int) -> Response:
    if n_files == 0:
        return problem(400, "no image was sent; send files in the form field 'image'", code="no_image")
    most = current_app.config["MAX_FILES"]
    return problem(
        413, f"{n_files} files are more than the {most} allowed in one request; send fewer", code="too_many_files"
    )
