"""What a report says of a reading, gathered once, and the report as PDF."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from secondread.errors import SecondReadError
from secondread.evidence.measured import rates_at_threshold
from secondread.images import blend, decode, encode_png, to_display
from secondread.reading import Bundle, OperatingPoint, load_bundle
from secondread.service.points import operating_point_of
from secondread.service.readings import Outcome, StoredReading
from secondread.service.reviews import Review
from secondread.service.service import Service
from secondread.service.trail import Actor
from secondread.tasks import Task, list_tasks, load_task

PICTURE_PIXELS = 720  # longest side: 200 dots an inch at half the width of a page
_LIMITS = re.compile(r"^## Intended use and limits$(.*?)^## ", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Measured:
    """Sensitivity and specificity at the reading's operating point on some images; None where not measured."""

    where: str
    sensitivity: Mapping[str, Any] | None  # value, low, high
    specificity: Mapping[str, Any] | None
    n_positive: int
    n_negative: int
    chosen: bool = False  # the threshold was chosen on these images


@dataclass(frozen=True)
class AnswerFacts:
    """What is known of the model behind an answer, wherever the answer is shown."""

    task: Task | None
    limits: tuple[str, ...]
    point: OperatingPoint | None  # that decided, of the bundle or of the site; None where it is not known any more
    measured: tuple[Measured, ...]
    bundle_is_here: bool


@dataclass(frozen=True)
class ReportFacts(AnswerFacts):
    """Everything on the page."""

    reading: StoredReading
    reviews: tuple[Review, ...]  # the opinions that count, the oldest first
    reviews_needed: int
    picture: bytes | None  # PNG
    overlay: bytes | None  # PNG: the picture with the heat map laid over it


def report_facts(service: Service, reading_id: int, *, actor: Actor, with_pictures: bool = True) -> ReportFacts:
    """Gather them; looking at the reading and its pictures is noted in the trail. Raises NotThere.

    with_pictures: False where they are fetched one by one, as a page does.
    """
    reading = service.readings.get(reading_id, actor=actor)
    picture, overlay = _pictures(service, reading, actor) if with_pictures else (None, None)
    return ReportFacts(
        **vars(answer_facts(service, reading)),
        reading=reading,
        reviews=tuple(review for review in service.reviews.of(reading.id) if review.current),
        reviews_needed=service.reviews.needed,
        picture=picture,
        overlay=overlay,
    )


def answer_facts(service: Service, reading: Outcome) -> AnswerFacts:
    """Gather them; nothing is noted in the trail."""
    bundle = bundle_of(reading)
    task = bundle.task if bundle else (load_task(reading.task) if reading.task in list_tasks() else None)
    point: OperatingPoint | None = None
    measured: tuple[Measured, ...] = ()
    if bundle is not None and reading.threshold is not None:
        point = _point(service, reading, bundle)
        measured = _measured(reading, bundle, point)
    return AnswerFacts(
        task=task,
        limits=_limits(bundle, task),
        point=point,
        measured=measured,
        bundle_is_here=bundle is not None,
    )


def bundle_of(reading: Outcome) -> Bundle | None:
    """The very bundle that read it, if it is still installed."""
    with suppress(SecondReadError):
        found = load_bundle(reading.bundle.partition("@")[0])
        return found if found.sha256 == reading.bundle_sha256 else None
    return None


def _limits(bundle: Bundle | None, task: Task | None) -> tuple[str, ...]:
    """From the card, or what the task says where the bundle has none."""
    section = _LIMITS.search(bundle.card) if bundle else None
    if section is not None:
        return tuple(line[2:].strip() for line in section[1].splitlines() if line.startswith("- "))
    return task.limits if task else ()


def _pictures(service: Service, reading: StoredReading, actor: Actor) -> tuple[bytes | None, bytes | None]:
    if reading.erased_at is not None:
        return None, None
    try:
        data = service.readings.image(reading.id, actor=actor)
        image = decode(data, frame=reading.frame, limits=service.limits)
    except SecondReadError:  # erased meanwhile, or a refusal of what cannot be decoded
        return None, None
    pixels = to_display(image, longest_side=PICTURE_PIXELS)
    if not reading.heat_map:
        return encode_png(pixels), None
    strength = decode(service.readings.heat_map(reading.id, actor=actor)).pixels
    return encode_png(pixels), encode_png(blend(pixels, strength.astype("float32") / 255))


def _measured(reading: Outcome, bundle: Bundle, point: OperatingPoint | None) -> tuple[Measured, ...]:
    """First the images that the threshold was chosen on, then each split of the evidence."""
    chosen: tuple[Measured, ...] = ()
    if point is not None:
        n_positive, n_negative = (int(part.get("n") or 0) for part in (point.sensitivity, point.specificity))
        chosen = (Measured(point.data, point.sensitivity, point.specificity, n_positive, n_negative, chosen=True),)
    results = (bundle.evidence or {}).get("results", {})
    rest = (_of_split(name, table, reading) for name, table in results.items())
    return (*chosen, *(row for row in rest if row is not None))


def _of_split(name: str, table: Mapping[str, Any], reading: Outcome) -> Measured | None:
    sensitivity, specificity = rates_at_threshold(table, reading.threshold or 0.0, low=reading.low)
    if sensitivity is None and specificity is None:
        return None
    n, n_positive = int(table["n"]), int(table["n_positive"])
    return Measured(name, sensitivity, specificity, n_positive, n - n_positive)


def _point(service: Service, reading: Outcome, bundle: Bundle) -> OperatingPoint | None:
    """The operating point that decided, of the bundle or of the site."""
    points = dict(bundle.operating_points)
    points |= {
        found.name: operating_point_of(found, bundle)
        for found in service.points.history(bundle)
        if found.bundle_sha256 == reading.bundle_sha256
    }
    return points.get(reading.operating_point)
