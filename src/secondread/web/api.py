"""The HTTP API: images in, readings out; and what can be asked for."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify
from werkzeug.datastructures import FileStorage

from secondread import __version__
from secondread.errors import ImageError
from secondread.reading import Reader, Reading, Refusal
from secondread.tasks import list_tasks, load_task
from secondread.web import _schemas as shapes
from secondread.web._auth import public, require
from secondread.web._entries import band_of, entry, status_of
from secondread.web._measured import evidence_without_images, measured_rows
from secondread.web._problems import problem
from secondread.web._readers import AnyReader, readers

api = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="readings")
health = APIBlueprint("health", __name__, tag="health")


@api.post("/readings")
@require("write")
@api.input(shapes.ReadingForm, location="form_and_files")
@api.output(shapes.ReadingsOut, description="At least one file was read")
@api.doc(operation_id="readImages", summary="Read images")
def read_images(form_and_files_data: dict[str, Any]) -> Response:
    """Answer for every file, in the order sent.

    A file that cannot be read is an entry with a refusal; the others are still read. The status is 200 if any file
    was read. If every file was refused it is 415 where none is an image of a kind that is read here, 413 where all
    are too large and 422 otherwise, with the same body.
    """
    form = form_and_files_data
    files = [file for file in form["image"] if file.filename]
    if not 1 <= len(files) <= current_app.config["MAX_FILES"]:
        return _wrong_count(len(files))
    reader = readers().get(form["task"] or "auto", form["bundle"])
    if isinstance(reader, Reader) and form["operating_point"]:
        reader.bundle.operating_point(form["operating_point"])  # a wrong name is told before anything is read
    read = [_read(reader, file, form["operating_point"] or None) for file in files]
    entries = [_entry(reading, file, reader) for reading, file in zip(read, files, strict=True)]
    answer = jsonify(readings=entries)
    answer.status_code = status_of(read)
    return answer


@api.get("/tasks")
@require("read")
@api.output(shapes.TasksOut)
@api.doc(operation_id="listTasks", summary="List the tasks")
def tasks() -> Response:
    """Answer with the questions that can be asked of an image."""
    known = [load_task(name) for name in list_tasks()]
    return jsonify(tasks=[{key: getattr(task, key) for key in shapes.TaskOut().fields} for task in known])


@api.get("/bundles")
@require("read")
@api.output(shapes.BundlesOut)
@api.doc(operation_id="listBundles", summary="List the bundles")
def bundles() -> Response:
    """Answer with the trained models, their operating points and what was measured of them."""
    return jsonify(bundles=[_bundle(reader) for reader in readers().bundled()])


@health.get("/healthz")
@public
@health.output(shapes.HealthOut)
@health.doc(operation_id="health", summary="Tell whether the server answers")
def healthz() -> Response:
    """Answer without reading anything."""
    return jsonify(status="ok", version=__version__)


def _wrong_count(n_files: int) -> Response:
    if n_files == 0:
        return problem(400, "no image was sent; send files in the form field 'image'", code="no_image")
    most = current_app.config["MAX_FILES"]
    return problem(
        413, f"{n_files} files are more than the {most} allowed in one request; send fewer", code="too_many_files"
    )


def _read(reader: AnyReader, file: FileStorage, operating_point: str | None) -> Reading:
    """A file that is too large is refused without being held in memory."""
    size = file.stream.seek(0, 2)
    file.stream.seek(0)
    try:
        readers().limits.check_bytes(size)
    except ImageError as error:
        return Reading(reader.task.name if isinstance(reader, Reader) else None, refusal=Refusal.of(error))
    return readers().read(reader, file.stream.read(), operating_point=operating_point)


def _entry(reading: Reading, file: FileStorage, reader: AnyReader) -> dict[str, Any]:
    if not isinstance(reader, Reader):
        found = readers().get(reading.task) if reading.task else None
        reader_of_it = found if isinstance(found, Reader) else None
    else:
        reader_of_it = reader
    config = current_app.config
    pictures = {"preview_pixels": config["PREVIEW_PIXELS"], "heatmap_pixels": config["HEATMAP_PIXELS"]}
    return entry(reading, path=file.filename, reader=reader_of_it, **pictures)


def _bundle(reader: Reader) -> dict[str, Any]:
    bundle = reader.bundle
    return {
        "name": bundle.name,
        "task": bundle.task.name,
        "id": bundle.id,
        "operating_points": [
            {
                "name": point.name,
                "threshold": point.threshold,
                "band": band_of(point),
                "chosen_by": point.chosen_by,
                "guaranteed": None if point.guarantee is None else point.guarantee["holds"],
                "chosen": point.name == reader.operating_point.name,
            }
            for point in bundle.operating_points.values()
        ],
        "measured": measured_rows(bundle),
        "card": bundle.card,
        "evidence": evidence_without_images(bundle),
    }
