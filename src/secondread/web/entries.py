"""A reading as the API shows it: the fixed contract, and beside it what a page needs."""

import base64
from typing import Any

from secondread.images import Image, encode_png, to_display
from secondread.reading import OperatingPoint, Reader, Reading
from secondread.service import StoredReading
from secondread.tasks import Task

CONTRACT = (
    "path",
    "task",
    "bundle",
    "probability",
    "score",
    "decision",
    "operating_point",
    "warnings",
    "heatmap",
    "refusal",
)


def entry(
    reading: Reading,
    *,
    path: str | None,
    reader: Reader | None,
    preview_pixels: int,
    heatmap_pixels: int,
    point: OperatingPoint | None = None,
) -> dict[str, Any]:
    """One element of `readings`.

    path: what the client named the file; reader: the one that read it, None where no task was found.
    preview_pixels, heatmap_pixels: longest sides of the pictures. point: the site's, where that one decided.
    """
    heatmap = None
    if reading.heatmap is not None:
        heatmap = data_uri(reading.heatmap.overlay_png(longest_side=heatmap_pixels))
    shown = _picture(reading, preview_pixels) | _answer(reading, reader, point)
    return reading.to_dict(path=path, heatmap=heatmap) | {"display": shown}


def data_uri(png: bytes) -> str:
    """A PNG file as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def band_of(point: OperatingPoint) -> list[float] | None:
    """The bounds between which a probability is uncertain, where the point has them."""
    return None if point.low is None or point.high is None else [point.low, point.high]


def stored_entry(
    stored: StoredReading, image: Image, *, path: str | None, task: Task, preview_pixels: int, heatmap: bytes | None
) -> dict[str, Any]:
    """As `entry`, of a reading out of the store. heatmap: its picture, coloured."""
    contract = stored.to_dict() | {"path": path, "heatmap": None if heatmap is None else data_uri(heatmap)}
    shown = {
        "elapsed_ms": round(1000 * stored.elapsed, 1),
        "task_title": task.title,
        "decision_text": stored.decision_text,
        "threshold": stored.threshold,
        "band": None if stored.low is None else [stored.low, stored.high],
    }
    picture = _picture(Reading(stored.task, image=image), preview_pixels)
    return {key: contract[key] for key in CONTRACT} | {"display": picture | shown}


def status_of(entries: list[dict[str, Any]]) -> int:
    """200 if anything was read; else what fits every refusal: 413 too large, 415 no image we read, 422 the rest."""
    codes = {entry["refusal"]["code"] if entry["refusal"] else "" for entry in entries}
    if "" in codes:
        return 200
    if codes == {"too_large"}:
        return 413
    return 415 if codes <= {"not_an_image", "unsupported"} else 422


def _picture(reading: Reading, longest_side: int) -> dict[str, Any]:
    image = reading.image
    if image is None:
        keys = ("image", "width", "height", "format", "bit_depth", "modality", "body_part", "frame", "n_frames")
        return dict.fromkeys(keys) | {"notes": []}
    return {
        "image": data_uri(encode_png(to_display(image, longest_side=longest_side))),
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "bit_depth": image.bit_depth,
        "modality": image.modality or None,
        "body_part": image.body_part or None,
        "frame": image.frame + 1,
        "n_frames": image.n_frames,
        "notes": list(image.notes),
    }


def _answer(reading: Reading, reader: Reader | None, point: OperatingPoint | None) -> dict[str, Any]:
    task: Task | None = reader.task if reader else None
    if point is None and reader is not None and reading.operating_point is not None:
        point = reader.bundle.operating_points[reading.operating_point]
        if reader.operating_point.name == point.name:
            point = reader.operating_point
    return {
        "elapsed_ms": round(1000 * round(reading.elapsed, 6), 1),  # as the store keeps it
        "task_title": task.title if task else None,
        "decision_text": reading.decision_text or None,
        "threshold": point.threshold if point else None,
        "band": band_of(point) if point else None,
    }
