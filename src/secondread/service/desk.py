"""A reading as it will be stored: what a reader answered, and the pictures made of it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from secondread.images import Image, encode_png, to_display
from secondread.reading import OperatingPoint, Reader, Reading, Refusal, decide
from secondread.tasks import Task

THUMBNAIL_PIXELS = 256  # longest side
HEAT_MAP_PIXELS = 512


@dataclass(frozen=True)
class Draft:
    """Everything that is stored of a reading but who asked and when."""

    task: str = ""
    bundle: str = ""  # task/name@hash
    bundle_sha256: str = ""
    operating_point: str = ""
    threshold: float | None = None
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    decision: str = ""
    decision_text: str = ""
    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()
    facts: "dict[str, Any] | None" = None
    elapsed: float = 0.0  # seconds
    frame: int = 0
    thumbnail: bytes | None = None  # PNG
    heat_map: bytes | None = None  # PNG, grey: 0 nothing, 255 strongest; coloured where it is shown

    @property
    def point_key(self) -> str:
        """Tells operating points apart, also two of one name; '' for a refusal, which hangs on none."""
        if self.refusal is not None or self.threshold is None:
            return ""
        band = "" if self.low is None else f"[{self.low!r},{self.high!r}]"
        return f"{self.operating_point}@{self.threshold!r}{band}"[:120]


def draft_of(reading: Reading, *, reader: Reader | None, point: OperatingPoint | None = None) -> Draft:
    """What is stored of a reading that kept its image (`keep_image=True`).

    reader: the one that read it, None where no task was found. point: the site's own operating point, which decides in
    place of the bundle's.
    """
    if reader is not None and point is not None:
        reading = decided_at(reading, point, reader.task)
    image = reading.image
    common: dict[str, Any] = {
        "task": reading.task or "",
        "elapsed": round(reading.elapsed, 6),
        "facts": facts_of(image),
        "frame": image.frame if image else 0,
        "bundle": reader.bundle.id if reader else "",
        "bundle_sha256": str(reader.bundle.record["sha256"]) if reader else "",
        "thumbnail": thumbnail_of(image) if image else None,
    }
    if reading.refusal is not None:
        return Draft(refusal=reading.refusal, **common)
    assert reader is not None, "an answer without its reader"
    if point is None:
        assert reading.operating_point is not None
        point = reader.bundle.operating_point(reading.operating_point)
    heat_map = reading.heatmap
    strength = None if heat_map is None else heat_map.strength(longest_side=HEAT_MAP_PIXELS)
    return Draft(
        operating_point=point.name,
        threshold=point.threshold,
        low=point.low,
        high=point.high,
        probability=reading.probability,
        decision=str(reading.decision),
        decision_text=reading.decision_text,
        warnings=reading.warnings,
        heat_map=None if strength is None else encode_png(np.round(strength * 255).astype(np.uint8)),
        **common,
    )


def decided_at(reading: Reading, point: OperatingPoint, task: Task) -> Reading:
    """The same reading decided at another operating point; a refusal stays as it is."""
    if reading.probability is None:
        return reading
    decision = decide(reading.probability, point)
    return replace(reading, decision=decision, operating_point=point.name, decision_text=task.words[decision])


def facts_of(image: Image | None) -> dict[str, Any]:
    """What is known of an image besides its pixels; empty where it could not be decoded."""
    if image is None:
        return {}
    return {
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "bit_depth": image.bit_depth,
        "photometric": image.photometric,
        "modality": image.modality,
        "body_part": image.body_part,
        "frame": image.frame,
        "n_frames": image.n_frames,
        "notes": list(image.notes),
        "header": dict(image.header),
    }


def thumbnail_of(image: Image) -> bytes:
    """A small PNG for lists."""
    return encode_png(to_display(image, longest_side=THUMBNAIL_PIXELS))
