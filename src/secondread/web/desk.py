"""One file that was sent: staged, answered from the store or read, and kept."""

from dataclasses import replace
from typing import Any

from flask import current_app
from werkzeug.datastructures import FileStorage

from secondread.errors import ImageError, ImageTooLarge, NotThere
from secondread.images import decode, to_display
from secondread.reading import AutoReader, OperatingPoint, Reader, Reading, Refusal, overlay_of
from secondread.service import Asked, StoredReading, decided_at, draft_of
from secondread.web.auth import current_actor
from secondread.web.context import AnyReader, readers, service
from secondread.web.entries import entry, stored_entry
from secondread.web.metrics import count_reading

_NOT_KEPT: dict[str, Any] = {"id": None, "stored": False, "from_store": False}


def answer(file: FileStorage, asked: Asked, reader: AnyReader) -> dict[str, Any]:
    """One element of `readings`. A file that is too large is refused without being held in memory.

    Every answer is kept but for those on bytes that are no image, or that hold names which cannot be taken out.
    """
    size = file.stream.seek(0, 2)
    file.stream.seek(0)
    try:
        readers().limits.check_bytes(size)
    except ImageError as error:
        return _refused(error, file, reader)
    data = file.stream.read()
    try:
        sha256, notes = service().intake.stage(data, actor=current_actor())
    except ImageTooLarge as error:  # found at some cost; reading would find it again
        return _refused(error, file, reader)
    except ImageError:
        return _entry(_read(reader, data, asked), file, reader) | _NOT_KEPT
    return _from_store(sha256, file, asked, reader) or _kept(sha256, notes, data, file, asked, reader)


def _refused(error: ImageError, file: FileStorage, reader: AnyReader) -> dict[str, Any]:
    task = reader.task.name if isinstance(reader, Reader) else None
    return _entry(Reading(task, refusal=Refusal.of(error)), file, reader) | _NOT_KEPT


def _from_store(sha256: str, file: FileStorage, asked: Asked, reader: AnyReader) -> dict[str, Any] | None:
    """What this bundle said of this image before. A refusal is looked at again: settings may have changed."""
    if not isinstance(reader, Reader):
        return None  # which task it is, the image itself must say
    desk = service().desk(readers().get)
    known = desk.known(asked, sha256, service().readings)
    if known is None or known.refusal_code:
        return None
    try:
        shown = decode(service().images.image(sha256), frame=known.frame, limits=readers().limits)
        heatmap = _coloured(known)
    except (ImageError, NotThere):  # erased, or beyond a limit that was lowered
        return None
    service().trail.record(current_actor(), "reading.answered_from_store", f"reading:{known.id}")
    count_reading(known.task, known.decision, from_store=True)
    pixels = current_app.config["PREVIEW_PIXELS"]
    found = stored_entry(known, shown, path=file.filename, task=reader.task, preview_pixels=pixels, heatmap=heatmap)
    return found | {"id": known.id, "stored": True, "from_store": True}


def _kept(
    sha256: str, notes: tuple[str, ...], data: bytes, file: FileStorage, asked: Asked, reader: AnyReader
) -> dict[str, Any]:
    reading = _read(reader, data, asked)
    if reading.refusal is None and notes:
        reading = replace(reading, warnings=(*reading.warnings, *notes))
    used = _used(reader, reading.task)
    point = _site_point(used, asked) if reading.refusal is None else None
    draft = draft_of(reading, reader=used, point=point)
    stored, _ = service().readings.add(
        draft, image_sha256=sha256, name=file.filename or "", source=asked.source, actor=current_actor()
    )
    count_reading(draft.task, draft.decision or "refused", from_store=False)
    if used is not None and point is not None:
        reading = decided_at(reading, point, used.task)
    kept = {"id": stored.id, "stored": True, "from_store": False}
    return _entry(reading, file, reader, used=used, point=point) | kept


def _read(reader: AnyReader, data: bytes, asked: Asked) -> Reading:
    named = None if asked.operating_point in ("", "site") else asked.operating_point
    return readers().read(reader, data, operating_point=named)


def _used(reader: AnyReader, task: str | None) -> Reader | None:
    """The reader that answered."""
    if isinstance(reader, Reader):
        return reader
    among = reader.readers if isinstance(reader, AutoReader) else ()
    return next((one for one in among if one.task.name == task), None)


def _site_point(reader: Reader | None, asked: Asked) -> OperatingPoint | None:
    if reader is None or asked.operating_point not in ("", "site"):
        return None
    return service().points.active_point(reader.bundle)


def _coloured(known: StoredReading) -> bytes | None:
    if not known.heat_map:
        return None
    grey = decode(service().images.picture("heatmaps", known.heat_map))
    return overlay_of(to_display(grey, longest_side=current_app.config["HEATMAP_PIXELS"]))


def _entry(
    reading: Reading,
    file: FileStorage,
    reader: AnyReader,
    *,
    used: Reader | None = None,
    point: OperatingPoint | None = None,
) -> dict[str, Any]:
    config = current_app.config
    return entry(
        reading,
        path=file.filename,
        reader=used or _used(reader, reading.task),
        preview_pixels=config["PREVIEW_PIXELS"],
        heatmap_pixels=config["HEATMAP_PIXELS"],
        point=point,
    )
