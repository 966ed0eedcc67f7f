"""Uploads of many files: queued as a whole, read in the background, with live progress; the page that sends them."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint, APIFlask, Schema
from apiflask.fields import Boolean, Integer, List, Nested
from apiflask.validators import Range
from flask import Response, current_app, jsonify, render_template

from secondread.errors import SecondReadError
from secondread.service import STATES, Batch, Item, Queue
from secondread.tasks import list_tasks, task_named
from secondread.web.auth import current_actor, require
from secondread.web.context import desk, service, wake_workers
from secondread.web.document import other
from secondread.web.health import count_stream
from secondread.web.idempotency import KeyHeader, checked_key, fingerprint
from secondread.web.language import in_text, step_in_words
from secondread.web.problems import problem
from secondread.web.reading_shapes import NextStepRow
from secondread.web.readings import ReadingForm, sent
from secondread.web.shapes import LARGEST_ID, one_of, said, shape_of

batches = APIBlueprint("batches", __name__, url_prefix="/api/v1", tag="uploads")
uploads = APIBlueprint("uploads", __name__, enable_openapi=False)
_KEY = "secondread.streams"
_LOOK_EVERY = 0.4  # seconds
_SIGN_OF_LIFE = 10.0  # seconds of silence after which a comment is sent
_ASK_AGAIN_MS = 2000


class BatchesQuery(Schema):
    """Which uploads."""

    mine = Boolean(load_default=False, metadata=said("only those of the one who asks"))
    limit = Integer(load_default=50, validate=Range(1, 500))


class ItemsQuery(Schema):
    """Which images of an upload."""

    after = Integer(load_default=0, validate=Range(0, LARGEST_ID), metadata=said("`next` of the part before"))
    limit = Integer(load_default=500, validate=Range(1, 2000))


CountsOut = Schema.from_dict({state: Integer(required=True) for state in STATES}, name="CountsOut")
CountsOut.__doc__ = "How many images of an upload are in each state."


@shape_of(
    Batch,
    "id asked.task asked.bundle asked.operating_point asked.source asked.frame created_at created_by cancelled_at n "
    "counts finished",
)
class BatchOut(Schema):
    """Where an upload stands."""

    n = said("images in all")
    frame = said("the one frame that is read of files of several, from 1; null: all")
    counts = Nested(CountsOut, required=True)


class BatchesOut(Schema):
    """Uploads, the newest first."""

    batches = List(Nested(BatchOut), required=True)


@shape_of(Item, "id name state reading_id code message attempts next_step")
class ItemOut(Schema):
    """Where one image of an upload stands."""

    state = one_of(STATES)
    code = said("why it was not read; empty where it was")
    next_step = Nested(NextStepRow, required=True, allow_none=True, metadata=said("what to do now; null once read"))


class BatchWithItemsOut(BatchOut):
    """Where an upload stands, and some of its images."""

    items = List(Nested(ItemOut), required=True)
    next = Integer(required=True, allow_none=True, metadata=said("give it as `after` for more; null at the end"))


@batches.post("/batches")
@require("write")
@batches.input(ReadingForm, location="form_and_files")
@batches.input(KeyHeader, location="headers")
@batches.output(BatchOut, status_code=201)
@batches.doc(operation_id="submitBatch", summary="Send many images to be read in the background")
def submit(form_and_files_data: dict[str, Any], headers_data: dict[str, Any]) -> Any:
    """Take in files and zip archives, in the field `image`, and answer with the upload's number.

    Once this has answered nothing is lost, whatever happens to the server. With an `Idempotency-Key` the same upload
    sent again is answered with the number of the first, and another upload with 422. A file that cannot be taken is an
    item with the reason.
    """
    files, asked = sent(form_and_files_data)
    if not files:
        return problem(400, "no file was sent; send files or archives in the form field 'image'", code="no_image")
    desk().check(asked)
    key, number = checked_key(headers_data), None
    request = "" if key is None else service().answers.digest(fingerprint())
    if key is not None:
        number = service().queue.sent_before(key, request_sha256=request, actor=current_actor())
    if number is None:
        number = service().intake.take(
            ((file.filename or "", file.stream) for file in files),
            asked,
            actor=current_actor(),
            idempotency_key=key,
            request_sha256=request,
        )
        wake_workers()
    return service().queue.batch(number), 201, {"Location": f"/api/v1/batches/{number}"}


@batches.get("/batches")
@require("read")
@batches.input(BatchesQuery, location="query")
@batches.output(BatchesOut)
@batches.doc(operation_id="listBatches", summary="List uploads")
def list_batches(query_data: dict[str, Any]) -> Any:
    """Answer with the latest uploads, the newest first."""
    by = current_actor().name if query_data["mine"] else None
    return {"batches": service().queue.batches(created_by=by, limit=query_data["limit"])}


@batches.get("/batches/<int:batch_id>")
@require("read")
@batches.input(ItemsQuery, location="query")
@batches.output(BatchWithItemsOut)
@batches.doc(operation_id="getBatch", summary="Show an upload and its images")
def get_batch(batch_id: int, query_data: dict[str, Any]) -> Any:
    """Answer with where an upload stands."""
    batch = service().queue.batch(batch_id)
    limit = query_data["limit"]
    items = service().queue.items(batch_id, after=query_data["after"], limit=limit)
    service().trail.record(current_actor(), "batch.seen", f"batch:{batch_id}", items=len(items))
    further = items[-1].id if len(items) == limit else None
    told = [ItemOut().dump(item) | _told(item) for item in items]
    return jsonify(**BatchOut().dump(batch), items=told, next=further)


def _told(item: Item) -> dict[str, Any]:
    """Its sentences in the language of whoever asks."""
    return {"message": in_text(item.message, item.code), "next_step": step_in_words(item.next_step)}


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
    queue = service().queue
    queue.batch(batch_id)  # 404 rather than an empty stream
    places: threading.Semaphore = current_app.extensions[_KEY]
    seconds = current_app.config["EVENT_SECONDS"] if places.acquire(blocking=False) else 0
    answer = Response(_events(queue, batch_id, seconds), content_type="text/event-stream; charset=utf-8")
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would hold it back
    if seconds:
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        count_stream(1)

        def give_back() -> None:
            places.release()
            with app.app_context():
                count_stream(-1)

        answer.call_on_close(give_back)
    return answer


@batches.post("/batches/<int:batch_id>/cancel")
@require("write")
@batches.output(BatchOut)
@batches.doc(operation_id="cancelBatch", summary="Cancel what still waits of an upload")
def cancel(batch_id: int) -> Any:
    """Take what still waits out of the queue; what is being read is finished. `retry` undoes it."""
    service().queue.cancel(batch_id, actor=current_actor())
    return service().queue.batch(batch_id)


@batches.post("/batches/<int:batch_id>/retry")
@require("write")
@batches.output(BatchOut)
@batches.doc(operation_id="retryBatch", summary="Read again what failed or was cancelled")
def retry(batch_id: int) -> Any:
    """Put failed and cancelled images of an upload back into the queue."""
    service().queue.retry(batch_id, actor=current_actor())
    wake_workers()
    return service().queue.batch(batch_id)


@uploads.get("/uploads")
@require("read")
def show() -> str:
    """The form for many files, folders and archives, and how the latest uploads stand."""
    latest = service().queue.batches(limit=20)
    waiting = {
        batch.id: [item for item in service().queue.items(batch.id) if item.state == "failed"][:20]
        for batch in latest
        if batch.counts.get("failed")
    }
    tasks = [task_named(name) for name in list_tasks()]
    return render_template("uploads.html", batches=latest, failed=waiting, tasks=tasks, settings=current_app.config)


def register(app: APIFlask) -> None:
    """Keep at least two threads for everything but streams of progress, whatever the setting says."""
    most = min(app.config["EVENT_STREAMS"], max(app.config["THREADS"] - 2, 0))
    app.extensions[_KEY] = threading.Semaphore(most)


def _events(queue: Queue, batch_id: int, seconds: float) -> Iterator[str]:
    """The upload whenever it changes. After so many seconds it ends, and the browser asks again two seconds later."""
    yield f"retry: {_ASK_AGAIN_MS}\n\n"
    end = time.monotonic() + seconds
    told, told_at = "", time.monotonic()
    while True:
        try:
            batch = queue.batch(batch_id)
        except SecondReadError:  # the database is away for a moment: the browser asks again
            return
        data = json.dumps(BatchOut().dump(batch), ensure_ascii=False)
        if data != told:
            yield f"event: progress\ndata: {data}\n\n"
            told, told_at = data, time.monotonic()
        elif time.monotonic() - told_at > _SIGN_OF_LIFE:
            yield ": waiting\n\n"
            told_at = time.monotonic()
        if batch.finished:
            yield f"event: done\ndata: {data}\n\n"
            return
        if time.monotonic() + _LOOK_EVERY > end:
            return
        time.sleep(_LOOK_EVERY)
