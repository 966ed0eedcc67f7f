"""What a report says of a reading, gathered once, and the report as PDF."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any

import numpy as np

from secondread.errors import Busy, SecondReadError
from secondread.evidence.measured import rates_at_threshold
from secondread.evidence.outlook import Measure, Outlook, Place, below_screening, chosen_on, outlook, series_outlook
from secondread.evidence.promises import guarantees_of
from secondread.images import DETECTOR, UNSAID, decode, encode_png, spacing_of_facts
from secondread.reading import SERIES, Bundle, OperatingPoint, Region, drawn_over, named_bundle, regions_of, with_boxes
from secondread.service.boxes import SOLID, Mark, marks_of
from secondread.service.clock import local_and_utc
from secondread.service.outcomes import Outcome, StoredReading
from secondread.service.patient_lines import PatientLine
from secondread.service.picture_cache import HEAT_MAP_PIXELS
from secondread.service.points import operating_point_of
from secondread.service.prevalence import Meaning
from secondread.service.readings import check_shown
from secondread.service.reviews import Review
from secondread.service.service import Service
from secondread.service.trail import Actor
from secondread.stats.interval import Interval
from secondread.tasks import N_, Task, list_tasks, task_named

PICTURE_PIXELS = 720  # longest side: 200 dots an inch at half the width of a page
_LIMITS = re.compile(r"^## Intended use and limits$(.*?)^## ", re.MULTILINE | re.DOTALL)
_LENGTHS = {  # as the ruler of the reading room says it
    DETECTOR: N_("Millimetres at the detector: what lies in the body is smaller."),
    UNSAID: N_("Millimetres of a projection that does not say whether they are true in the body or at the detector."),
}
CHOSEN_ON_EVIDENCE = N_(
    "This site chose the threshold while looking at the evidence, the test split too: what is measured there at this "
    "threshold is too good by an amount that nobody knows."
)


@dataclass(frozen=True)
class Measured:
    """Sensitivity and specificity at the reading's operating point on some images; None where not measured."""

    where: str
    sensitivity: Mapping[str, Any] | None  # value, low, high
    specificity: Mapping[str, Any] | None
    n_positive: int
    n_negative: int
    chosen: bool = False  # the threshold was chosen on these images

    def named(self, translate: Callable[[str], str] = str) -> str:
        """As `Place.named`."""
        if not self.chosen:
            return translate(self.where)
        here = translate("where the threshold was chosen")
        return f"{chosen_on(self.where, translate)}, {here}"

    def rate(self, measure: Measure, translate: Callable[[str], str] = str) -> str:
        """As `Place.rate`."""
        n = self.n_positive if measure == "sensitivity" else self.n_negative
        value, bounds = Interval.from_dict(getattr(self, measure)).parts(
            scale=100, digits=0, too_few=translate("too few to say")
        )
        return f"{value} % ({bounds}), n = {n}" if bounds else value


@dataclass(frozen=True)
class AnswerFacts:
    """What is known of the model behind an answer, wherever the answer is shown."""

    task: Task | None
    limits: tuple[str, ...]
    point: OperatingPoint | None  # that decided, of the bundle or of the site; None where it is not known any more
    measured: tuple[Measured, ...]
    bundle_is_here: bool
    outlook: Outlook  # how it does at this point, place by place
    meaning: Meaning  # likelihood ratio of the answer, and how likely disease is where it is as common as here
    marks: tuple[Mark, ...] | None  # the boxes that are drawn; None of a bundle without
    below_screening: bool  # the point is to confirm, but calls no fewer positive than the one that finds


@dataclass(frozen=True)
class ReportFacts(AnswerFacts):
    """Everything on the page."""

    reading: StoredReading
    reviews: tuple[Review, ...]  # the opinions that count, the oldest first
    reviews_needed: int
    picture: bytes | None  # PNG
    overlay: bytes | None  # PNG: the picture with heat map and outlines over it; None where they are not to be drawn
    mapped: bool  # whether the heat map is among what is drawn
    outlined: bool  # whether outlines are among what is drawn
    has_map: bool  # whether there is a heat map that could be drawn
    cell: tuple[float, float] | None  # width and height of a cell of the map, pixels of the image; None: not known
    patient: PatientLine | None  # None where the site wants no such line
    zone: tzinfo | None  # whose time is shown beside UTC; None: the machine's

    @property
    def evidence(self) -> tuple[Place | Measured, ...]:
        """What a page shows of it: other hospitals, or where there are none what its recipe does at those left out;
        then the best and worst at home, then where it was chosen."""
        other = self.outlook.elsewhere or self.outlook.left_out
        places = (*other[:MOST_PLACES], *self.outlook.at_home_extremes[:MOST_PLACES])
        return (*places, *(row for row in self.measured if row.chosen))

    @property
    def cell_pixels(self) -> int | None:
        """The longer side of a cell of the map; None where it was not kept."""
        return None if self.cell is None else max(1, round(max(self.cell)))

    @property
    def cell_millimetres(self) -> tuple[int | None, str]:
        """The longer side in millimetres, and the kind of length that is (see `images.Geometry`); None: the file does
        not say how large its pixels are."""
        header, modality = self.reading.facts.get("header") or {}, str(self.reading.facts.get("modality", ""))
        spacing, kind = spacing_of_facts(header, modality)
        if self.cell is None or spacing is None:
            return None, ""
        (width, height), (of_row, of_column) = self.cell, spacing
        return max(1, round(max(width * of_column, height * of_row))), kind

    def cell_told(self, _: Callable[[str], str] = str) -> list[str]:
        """How large a cell of the map is, as sentences; none where that was not kept."""
        millimetres, kind = self.cell_millimetres
        size = {"n": self.cell_pixels, "mm": millimetres}
        if self.cell_pixels is None:
            return []
        if millimetres is None:
            return [_("The map knows nothing finer than its cells of about %(n)s pixels.") % size]
        told = _("The map knows nothing finer than its cells of about %(n)s pixels, here %(mm)s mm.") % size
        return [told, _(_LENGTHS[kind])] if kind in _LENGTHS else [told]

    def map_caption(self, _: Callable[[str], str] = str) -> list[str]:
        """What a heat map is and is not, and how much its cells let it say: sentences, in print and as PDF alike."""
        told = [
            _("The same with the heat map: what the model used, not where disease is.")
            if self.mapped
            else _("The same with the boxes that the network found.")
        ]
        if self.marks:
            told.append(
                _(
                    "Boxes enclose what looks diseased to the network: solid lines where it is sure, dotted ones where "
                    "it is in doubt. They are no border of a lesion."
                )
            )
        if not self.mapped:
            return told
        if self.outlined:
            told.append(_("Outlines enclose the strongest places of the map; they are no border of a lesion."))
        return [*told, *self.cell_told(_)]

    @property
    def on_paper(self) -> StoredReading:
        """The reading with as many warnings as a page has room for."""
        return replace(self.reading, warnings=tuple(short(text, MOST_LETTERS) for text in self.shown_warnings))

    def moment(self, at: datetime) -> str:
        """In the site's time and in UTC."""
        return local_and_utc(at, self.zone)

    @property
    def shown_reviews(self) -> tuple[Review, ...]:
        """As many as a page has room for, the latest; the others are on the reading's own page."""
        return self.reviews[-MOST_REVIEWS:]

    @property
    def shown_limits(self) -> tuple[str, ...]:
        """As many as a page has room for."""
        return self.limits[:MOST_LIMITS]

    @property
    def shown_warnings(self) -> tuple[str, ...]:
        """As many as a page has room for."""
        return self.reading.warnings[:MOST_WARNINGS]


MOST_WARNINGS, MOST_LIMITS, MOST_REVIEWS, MOST_PLACES = 4, 6, 4, 4  # on one page; the same in print and as PDF
MOST_LETTERS = 240  # of a warning or note on that page


def short(text: str, most: int) -> str:
    """At most so many characters, the cut shown."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def report_facts(
    service: Service, reading_id: int, *, actor: Actor, with_pictures: bool = True, heat_map: bool = False
) -> ReportFacts:
    """Gather them; looking at the reading and its pictures is noted in the trail. Raises NotThere.

    with_pictures: False where they are fetched one by one, as a page does. heat_map: draw it on a negative too, where
    it is drawn only when it is asked for.
    """
    reading = service.readings.get(reading_id, actor=actor)
    if with_pictures:
        check_shown(reading)
    known = answer_facts(service, reading)
    bundle = bundle_of(reading)
    wanted = reading.heat_map and (heat_map or reading.decision in ("positive", "uncertain"))
    picture, overlay = None, None
    outlined = bundle is not None and bundle.maps_lesions and known.marks is None
    if with_pictures:
        picture, overlay = _pictures(service, reading, actor, bool(wanted), outlined, known.marks or ())
    return ReportFacts(
        **vars(known),
        reading=reading,
        reviews=tuple(review for review in service.reviews.of(reading.id) if review.current),
        reviews_needed=service.reviews.needed,
        picture=picture,
        overlay=overlay,
        mapped=overlay is not None and bool(wanted),
        outlined=overlay is not None and outlined,
        has_map=bool(reading.heat_map),
        cell=cell_of(reading),
        patient=service.patient_lines.of(reading.image_sha256),
        zone=service.zone,
    )


def answer_facts(service: Service, reading: Outcome, *, loaded: Bundle | None = None) -> AnswerFacts:
    """Gather them; nothing is noted in the trail. loaded: the bundle that read it, where it is at hand."""
    bundle = loaded if loaded is not None and loaded.sha256 == reading.bundle_sha256 else bundle_of(reading)
    task = bundle.task if bundle else (task_named(reading.task) if reading.task in list_tasks() else None)
    point: OperatingPoint | None = None
    measured: tuple[Measured, ...] = ()
    if bundle is not None and reading.threshold is not None:
        point = _point(service, reading, bundle)
        measured = () if reading.operating_point == SERIES else _measured(reading, bundle, point)
    return AnswerFacts(
        task=task,
        limits=(*_of_choice(service, reading), *_limits(bundle, task)),
        point=point,
        measured=measured,
        bundle_is_here=bundle is not None,
        outlook=_outlook(bundle, reading.threshold, reading.low, reading.operating_point),
        meaning=service.prevalences.meaning_of(reading),
        marks=marks_of(reading, bundle),
        below_screening=bundle is not None and point is not None and below_screening(bundle, point),
    )


def bundle_of(reading: Outcome) -> Bundle | None:
    """The very bundle that read it, if it is still installed."""
    with suppress(SecondReadError):
        found = named_bundle(reading.bundle.partition("@")[0])
        return found if found.sha256 == reading.bundle_sha256 else None
    return None


@lru_cache(maxsize=128)  # what hangs on the threshold alone is worked out once: it is told with every answer
def _outlook(bundle: Bundle | None, threshold: float | None, low: float | None, point: str) -> Outlook:
    if bundle is None or threshold is None:
        return Outlook(())
    if point == SERIES:
        return series_outlook(bundle.evidence)
    return outlook(bundle.evidence, threshold, low, point=point)


def _of_choice(service: Service, reading: Outcome) -> tuple[str, ...]:
    """What has to be said of a threshold that the site chose, if this one was."""
    chosen = service.points.named(reading.operating_point)
    return () if chosen is None or chosen.independent else (CHOSEN_ON_EVIDENCE,)


def _limits(bundle: Bundle | None, task: Task | None) -> tuple[str, ...]:
    """From the card, or what the task says where the bundle has none."""
    section = _LIMITS.search(bundle.card) if bundle else None
    if section is not None:
        return tuple(line[2:].strip() for line in section[1].splitlines() if line.startswith("- "))
    return task.limits if task else ()


def cell_of(reading: Outcome) -> tuple[float, float] | None:
    """Width and height of a cell of its heat map, in pixels of the image; None where that was not kept."""
    kept: Sequence[float] | None = reading.facts.get("map_cell")
    return (float(kept[0]), float(kept[1])) if kept else None


def regions_on(reading: Outcome, levels: np.ndarray) -> list[Region]:
    """The places that its heat map names, wherever they are drawn or told. Only for a bundle that maps lesions."""
    width, height = int(reading.facts["width"]), int(reading.facts["height"])
    return regions_of(levels, width=width, height=height, cell=cell_of(reading))


def _pictures(
    service: Service, reading: StoredReading, actor: Actor, heat_map: bool, outlined: bool, marks: Sequence[Mark]
) -> tuple[bytes | None, bytes | None]:
    if reading.erased_at is not None:
        return None, None
    try:
        sha256 = service.readings.look_at_image(reading.id, actor=actor)
        picture = service.pictures.shown(sha256, reading.frame, longest_side=PICTURE_PIXELS)
    except Busy:
        raise
    except SecondReadError:  # erased meanwhile, or a refusal of what cannot be decoded
        return None, None
    if not (heat_map or marks):
        return picture, None
    pixels, width = decode(picture).pixels, int(reading.facts["width"])
    levels = np.zeros(pixels.shape[:2], np.uint8)
    if heat_map:
        levels = service.readings.map_of(reading.id, actor=actor).levels(longest_side=HEAT_MAP_PIXELS)
    regions = regions_on(reading, levels) if heat_map and outlined else []
    drawn = drawn_over(pixels, levels, regions, width=width, least_side=PICTURE_PIXELS)
    boxes = [(one.box, one.line == SOLID) for one in marks]
    return picture, encode_png(with_boxes(drawn, boxes, width=width))


def _measured(reading: Outcome, bundle: Bundle, point: OperatingPoint | None) -> tuple[Measured, ...]:
    """Other hospitals first, then the other splits, last the images that the threshold was chosen on."""
    chosen: tuple[Measured, ...] = ()
    if point is not None:
        n_positive, n_negative = point.sensitivity.n or 0, point.specificity.n or 0
        rates = point.sensitivity.to_dict(), point.specificity.to_dict()
        chosen = (Measured(point.data, *rates, n_positive, n_negative, chosen=True),)
    return (*_on_splits(bundle, reading.threshold or 0.0, reading.low), *chosen)


@lru_cache(maxsize=128)
def _on_splits(bundle: Bundle, threshold: float, low: float | None) -> tuple[Measured, ...]:
    results = (bundle.evidence or {}).get("results", {})
    found = [row for name, table in results.items() if (row := _of_split(name, table, threshold, low)) is not None]
    return tuple(sorted(found, key=lambda row: not row.where.startswith("external")))


def _of_split(name: str, table: Mapping[str, Any], threshold: float, low: float | None) -> Measured | None:
    sensitivity, specificity = rates_at_threshold(table, threshold, low=low)
    if sensitivity is None and specificity is None:
        return None
    n, n_positive = int(table["n"]), int(table["n_positive"])
    return Measured(name, sensitivity, specificity, n_positive, n - n_positive)


def _point(service: Service, reading: Outcome, bundle: Bundle) -> OperatingPoint | None:
    """The operating point that decided, of the bundle or of the site."""
    point = bundle.operating_points.get(reading.operating_point)
    if bundle.series is not None and reading.operating_point == SERIES:
        return bundle.series.point
    found = service.points.named(reading.operating_point)
    if found is not None and found.bundle_sha256 == reading.bundle_sha256:
        point = operating_point_of(found, bundle)
    return None if point is None else replace(point, guarantees=guarantees_of(bundle, point))
