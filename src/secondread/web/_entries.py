"""A reading as the API shows it: the fixed contract, and beside it what a page needs."""

import base64
from typing import Any

from secondread.images import encode_png, to_display
from secondread.reading import OperatingPoint, Reader, Reading
from secondread.tasks import Task


def entry(
    reading: Reading, *, path: str | None, reader: Reader | None, preview_pixels: int, heatmap_pixels: int
) -> dict[str, Any]:
    """One element of `readings`.

    path: what the client named the file; reader: the one that read it, None where no task was found.
    preview_pixels, heatmap_pixels: longest sides of the pictures.
    """
    heatmap = None
    if reading.heatmap is not None:
        heatmap = data_uri(reading.heatmap.overlay_png(longest_side=heatmap_pixels))
    shown = _picture(reading, preview_pixels) | _answer(reading, reader)
    return reading.to_dict(path=path, heatmap=heatmap) | {"display": shown}


def data_uri(png: bytes) -> str:
    """A PNG file as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def band_of(point: OperatingPoint) -> list[float] | None:
    """The bounds between which a probability is uncertain, where the point has them."""
    return None if point.low is None or point.high is None else [point.low, point.high]


def status_of(readings: list[Reading]) -> int:
    """200 if anything was read; else what fits every refusal: 413 too large, 415 no image we read, 422 the rest."""
    codes = {reading.refusal.code if reading.refusal else "" for reading in readings}
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


def _answer(reading: Reading, reader: Reader | None) -> dict[str, Any]:
    task: Task | None = reader.task if reader else None
    point = None
    if reader is not None and reading.operating_point is not None:
        point = reader.bundle.operating_points[reading.operating_point]
        if reader.operating_point.name == point.name:
            point = reader.operating_point
    return {
        "elapsed_ms": round(1000 * reading.elapsed, 1),
        "task_title": task.title if task else None,
        "decision_text": reading.decision_text or None,
        "threshold": point.threshold if point else None,
        "band": band_of(point) if point else None,
    }
