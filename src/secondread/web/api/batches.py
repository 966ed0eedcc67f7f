"""Uploads of many files: queued as a whole, read in the background, with live progress."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Integer
from apiflask.validators import Range
from flask import Response, jsonify

from secondread.errors import UsageError
from secondread.service import Asked, Batch
from secondread.web import schemas as shapes
from secondread.web.api import kept_shapes as kept
from secondread.web.auth import current_actor, may, require
from secondread.web.context import readers, service, wake_workers
from secondread.web.document import created, other
from secondread.web.events import stream
from secondread.web.filters import LARGEST_ID
from secondread.web.idempotency import KeyHeader, checked_key
from secondread.web.problems import problem
from secondread.web.schemas import said

batches = APIBlueprint("batches", __name__, url_prefix="/api/v1", tag="uploads")


class BatchesQuery(Schema):
    """Which uploads."""

    mine = Boolean(load_default=False, metadata=said("only those of the one who asks"))
    limit = Integer(load_default=50, validate=Range(1, 500))


class ItemsQuery(Schema):
    """Which images of an upload."""

    after = Integer(load_default=0, validate=Range(0, LARGEST_ID), metadata=said("`next` of the part before"))
    limit = Integer(load_default=500, validate=Range(1, 2000))


@batches.post("/batches")
@require("write")
@batches.input(shapes.ReadingForm, location="form_and_files")
@batches.input(KeyHeader, location="headers")
@batches.output(kept.BatchOut, status_code=201)
@batches.doc(operation_id="submitBatch", summary="Send many images to be read in the background")
def submit(form_and_files_data: dict[str, Any], headers_data: dict[str, Any]) -> Any:
    """Take in files and zip archives, in the field `image`, and answer with the upload's number.

    Once this has answered nothing is lost, whatever happens to the server. With an `Idempotency-Key` the same upload
    sent again is answered with the number of the first. A file that cannot be taken is an item with the reason.
    """
    form = form_and_files_data
    files = [file for file in form["image"] if file.filename]
    if not files:
        return problem(400, "no file was sent; send files or archives in the form field 'image'", code="no_image")
    asked = Asked(form["task"] or "auto", form["bundle"], form["operating_point"], form["source"])
    _check(asked)
    number = service().intake.take(
        ((file.filename or "", file.stream) for file in files),
        asked,
        actor=current_actor(),
        idempotency_key=checked_key(headers_data),
    )
    wake_workers()
    return created(_batch(service().queue.batch(number)), at=f"/api/v1/batches/{number}")


@batches.get("/batches")
@require("read")
@batches.input(BatchesQuery, location="query")
@batches.output(kept.BatchesOut)
@batches.doc(operation_id="listBatches", summary="List uploads")
def list_batches(query_data: dict[str, Any]) -> Response:
    """Answer with the latest uploads, the newest first."""
    by = current_actor().name if query_data["mine"] else None
    found = service().queue.batches(created_by=by, limit=query_data["limit"])
    return jsonify(batches=[_batch(batch) for batch in found])


@batches.get("/batches/<int:batch_id>")
@require("read")
@batches.input(ItemsQuery, location="query")
@batches.output(kept.BatchWithItemsOut)
@batches.doc(operation_id="getBatch", summary="Show an upload and its images")
def get_batch(batch_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with where an upload stands."""
    batch = service().queue.batch(batch_id)
    limit = query_data["limit"]
    items = service().queue.items(batch_id, after=query_data["after"], limit=limit)
    service().trail.record(current_actor(), "batch.seen", f"batch:{batch_id}", items=len(items))
    shown = [{name: getattr(item, name) for name in kept.ItemOut().fields} for item in items]
    return jsonify(_batch(batch) | {"items": shown, "next": items[-1].id if len(items) == limit else None})


@batches.get("/batches/<int:batch_id>/events")
@require("read")
@batches.doc(
    operation_id="followBatch",
    summary="Follow an upload",
    responses=other("text/event-stream", "Events `progress`, then `done`"),
)
def follow(batch_id: int) -> Response:
    """Answer with server-sent events: `progress` with the upload as JSON whenever it changes, `done` at its end.

    A stream ends by itself after a while, at once where many are open; EventSource then asks again by itself.
    """
    kept_service = service()
    kept_service.queue.batch(batch_id)  # 404 rather than an empty stream

    def look() -> tuple[dict[str, Any], bool]:
        batch = kept_service.queue.batch(batch_id)
        return _batch(batch), batch.finished

    return stream(look)


@batches.post("/batches/<int:batch_id>/cancel")
@require("write")
@batches.output(kept.BatchOut)
@batches.doc(operation_id="cancelBatch", summary="Cancel what still waits of an upload")
def cancel(batch_id: int) -> Any:
    """Take what still waits out of the queue; what is being read is finished. `retry` undoes it."""
    if (refusal := _not_ones_own(batch_id)) is not None:
        return refusal
    service().queue.cancel(batch_id, actor=current_actor())
    return jsonify(_batch(service().queue.batch(batch_id)))


@batches.post("/batches/<int:batch_id>/retry")
@require("write")
@batches.output(kept.BatchOut)
@batches.doc(operation_id="retryBatch", summary="Read again what failed or was cancelled")
def retry(batch_id: int) -> Any:
    """Put failed and cancelled images of an upload back into the queue."""
    if (refusal := _not_ones_own(batch_id)) is not None:
        return refusal
    service().queue.retry(batch_id, actor=current_actor())
    wake_workers()
    return jsonify(_batch(service().queue.batch(batch_id)))


def _not_ones_own(batch_id: int) -> Response | None:
    batch = service().queue.batch(batch_id)
    if batch.created_by == current_actor().name or may("admin"):
        return None
    return problem(403, f"upload {batch_id} is another's; ask them or an administrator", code="not_allowed")


def _check(asked: Asked) -> None:
    """A wrong name is told before anything is taken in."""
    reader = readers().get(asked.task, asked.bundle)
    if asked.operating_point in ("", "site"):
        return
    bundle = getattr(reader, "bundle", None)
    if bundle is None:
        raise UsageError("an operating point belongs to one bundle: name the task, or leave it out")
    bundle.operating_point(asked.operating_point)


def _batch(batch: Batch) -> dict[str, Any]:
    asked = batch.asked
    return {
        "id": batch.id,
        "task": asked.task,
        "bundle": asked.bundle,
        "operating_point": asked.operating_point,
        "source": asked.source,
        "created_at": batch.created_at.isoformat(),
        "created_by": batch.created_by,
        "cancelled_at": None if batch.cancelled_at is None else batch.cancelled_at.isoformat(),
        "n": batch.n,
        "counts": batch.counts,
        "finished": batch.finished,
    }
