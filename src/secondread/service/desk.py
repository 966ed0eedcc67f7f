"""The one reading desk: from the bytes of a file to the stored reading, whoever asks.

Pages, API and queue come here and show what comes out; so does whatever takes images in later.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from secondread.errors import ImageError, NotThere
from secondread.images import Image
from secondread.images.steps import step
from secondread.reading import (
    SERIES,
    Findings,
    FrameAnswer,
    HeatMap,
    OperatingPoint,
    Reader,
    Reading,
    Refusal,
    check_image,
    decide,
)
from secondread.service.image_store import ImageStore
from secondread.service.intake import Intake, Sent, Staged
from secondread.service.map_cells import pack
from secondread.service.outcomes import Draft, Outcome, StoredReading
from secondread.service.points import OperatingPoints
from secondread.service.readers import GetReader
from secondread.service.readings import ReadingStore, check_shown
from secondread.service.stacks import decode_kept, picture_of, slices_of
from secondread.service.trail import Actor
from secondread.service.uploads import ReadingRequest
from secondread.stats.scale import score_of
from secondread.tasks import Task, modality_said, part_said

_OPINION_FIRST = (
    "this question follows another one, whose answer on this image is withheld until your own opinion is given; "
    "give it, and ask again"
)


@dataclass(frozen=True)
class Answered:
    """What came out for a file, and the pictures that are at hand to show with it."""

    outcome: Outcome  # a StoredReading, or a Draft of a refusal that is not kept
    task: Task | None = None
    image: Image | None = field(default=None, repr=False)
    heatmap: HeatMap | None = field(default=None, repr=False)
    from_store: bool = False

    @property
    def stored(self) -> StoredReading | None:
        """The reading that is kept; None for a refusal of what must not be."""
        return self.outcome if isinstance(self.outcome, StoredReading) else None


class ReadingDesk:
    """Takes in, answers from the store or reads, and stores. Safe to share between threads.

    readers: see GetReader. turn: held while an image is decoded and read, to bound how many are at once.
    """

    def __init__(
        self,
        intake: Intake,
        images: ImageStore,
        readings: ReadingStore,
        points: OperatingPoints,
        readers: GetReader,
        *,
        turn: AbstractContextManager[Any] | None = None,
    ):
        self._intake = intake
        self._images = images
        self._readings = readings
        self._points = points
        self._readers = readers
        self._turn = turn or nullcontext()

    def check(self, asked: ReadingRequest) -> None:
        """A wrong name is told before anything is taken in. Raises UnknownName, or UsageError."""
        reader = self._readers(asked.task, asked.bundle)
        if isinstance(reader, Reader) and asked.point is not None:
            reader.bundle.operating_point(asked.point)

    def answer(self, sent: Sent, asked: ReadingRequest, *, name: str = "", actor: Actor) -> Answered:
        """The stored reading of one file, or a refusal.

        The image's file is written first, then its row and the reading's in one transaction, both together with those
        of other threads. Every answer is kept but for those on bytes that are no image, or that hold names which cannot
        be taken out.
        Raises UnknownName and the errors of loading a bundle.
        """
        try:
            with step("receive"):
                staged = self._intake.receive(sent)
        except ImageError as error:
            reader = self._readers(asked.task, asked.bundle)
            task = reader.task if isinstance(reader, Reader) else None
            refusal = Reading(task.name if task else None, refusal=Refusal.of(error))
            return Answered(_draft(refusal, Staged("", b""), None, None), task)
        reader = self._readers(asked.task, asked.bundle)
        if isinstance(reader, Reader) and self._readings.is_owed(staged.sha256, reader.task.name, actor=actor):
            withheld = Reading(reader.task.name, refusal=Refusal("opinion_first", _OPINION_FIRST))
            return Answered(_draft(withheld, Staged("", b""), None, None), reader.task)
        return self._from_store(staged, asked, actor) or self._read_and_store(staged, asked, name, actor)

    def look(self, sha256: str, asked: ReadingRequest) -> Draft | StoredReading:
        """What is answered to an image that is staged, without storing it: for the queue, which does so as it closes
        the item. Raises NotThere where the image was erased, and as `answer`.
        """
        return self.look_at(self._intake.staged(sha256), asked)

    def look_at(self, staged: Staged, asked: ReadingRequest) -> Draft | StoredReading:
        """The same of an image that is at hand, as it is kept."""
        known = self._known(staged.sha256, asked)
        with suppress(ImageError):  # beyond a limit that was lowered: then reading it says so
            if known is not None and self._still_read(self._image(staged, known), asked):
                return known
        return self._read(staged, asked)[0]

    def read_again(self, first: StoredReading, asked: ReadingRequest, *, actor: Actor) -> StoredReading:
        """Another bundle's reading of what the first one read, the whole file or one frame of it; noted in the trail.
        Raises NotThere, NotAllowed as `check_shown` for a task that is asked after the first one's, and as `answer`.
        """
        reader = self._readers(asked.task, asked.bundle)
        if isinstance(reader, Reader) and reader.task.asked_after == first.task:
            check_shown(first)  # that a question which follows a yes is answered, or not, tells the first answer
        several = (first.facts.get("n_frames") or 1) > 1 and not first.frames
        asked = replace(asked, frame=first.frame + 1 if several else None)
        self._readings.look_at_image(first.id, actor=actor)
        draft = self._read(self._intake.staged(first.image_sha256), asked)[0]
        return self._readings.add(
            draft, image_sha256=first.image_sha256, name=first.name, source=first.source, actor=actor
        )[0]

    def map_of(self, reading: StoredReading, frame: int, *, actor: Actor) -> HeatMap:
        """The heat map of any frame of a file that was read whole, by the bundle that read it. frame: from 0.

        Only the worst frame's is kept; another's is made when it is asked for. Raises NotThere where that frame was not
        read, or the bundle or the image is not here any more.
        """
        if not any(one["frame"] == frame + 1 and one["decision"] for one in reading.frames):
            raise NotThere(f"frame {frame + 1} was not read, so it has no heat map")
        task, _, name = reading.bundle.partition("@")[0].partition("/")
        reader = self._readers(task, name)
        if not isinstance(reader, Reader) or reader.bundle.sha256 != reading.bundle_sha256:
            raise NotThere("the bundle that read this file is not installed any more")
        data, inside = picture_of(self._images, self._readings.image(reading.id, actor=actor), frame)
        with self._turn:
            heatmap = reader.read(data, frame=inside).heatmap
        if heatmap is None:
            raise NotThere(f"frame {frame + 1} has no heat map")
        return heatmap

    def _read_and_store(self, staged: Staged, asked: ReadingRequest, name: str, actor: Actor) -> Answered:
        draft, reading, used = self._read(staged, asked)
        with step("store"):
            self._images.keep(staged.sha256, staged.data)
            stored, _ = self._readings.add(
                draft,
                image_sha256=staged.sha256,
                name=name,
                source=asked.source,
                actor=actor,
                before=self._taking_in(staged, actor),
            )
        return Answered(stored, used.task if used else None, reading.image, reading.heatmap)

    def _from_store(self, staged: Staged, asked: ReadingRequest, actor: Actor) -> Answered | None:
        known = self._known(staged.sha256, asked)
        if known is None:
            return None
        try:
            image = self._image(staged, known)
        except ImageError:  # beyond a limit that was lowered
            return None
        if not self._still_read(image, asked):
            return None
        heatmap = self._readings.cells(known)
        if not self._readings.tell_from_store(known, actor=actor, before=self._taking_in(staged, actor)):
            return None
        reader = self._readers(asked.task, asked.bundle)
        return Answered(known, reader.task if isinstance(reader, Reader) else None, image, heatmap, from_store=True)

    def _taking_in(self, staged: Staged, actor: Actor) -> Callable[[Session], None]:
        return partial(self._intake.keep_within, staged=staged, actor=actor)

    def _image(self, staged: Staged, known: StoredReading) -> Image:
        with self._turn:
            return decode_kept(self._images, staged.data, known.frame, self._intake.limits)

    def _still_read(self, image: Image, asked: ReadingRequest) -> bool:
        """Whether the task's file still lets such a header be read: it may have said less when this was stored."""
        reader = self._readers(asked.task, asked.bundle)
        return not isinstance(reader, Reader) or check_image(image, reader.task) is None

    def _known(self, sha256: str, asked: ReadingRequest) -> StoredReading | None:
        """What this bundle said of this image before. A refusal is looked at again: settings may have changed."""
        if asked.task == "auto" and not asked.bundle:
            return None  # which task it is, the image itself must say
        reader = self._readers(asked.task, asked.bundle)
        if not isinstance(reader, Reader):
            return None
        point = self._point(reader, asked) or reader.operating_point
        series = reader.series_point() if asked.point is None else None
        return self._readings.find(
            sha256,
            bundle_sha256=reader.bundle.sha256,
            point_keys=[_key_of(point)],
            whole_keys=None if series is None else [_key_of(series.point)],
            frame=asked.index,
        )

    def _read(self, staged: Staged, asked: ReadingRequest) -> tuple[Draft, Reading, Reader | None]:
        """What is kept is read, so that an image sent at once and one through the queue cannot differ."""
        reader = self._readers(asked.task, asked.bundle)
        with self._turn:
            source = slices_of(self._images, staged.data, self._intake.limits) or staged.data
            reading = reader.read(source, operating_point=asked.point, frame=asked.index, keep_image=True)
        among = (reader,) if isinstance(reader, Reader) else reader.readers
        of_task = [one for one in among if one.task.name == reading.task]
        used = next((one for one in of_task if reading.bundle in (None, one.bundle.id)), None)
        point = None if used is None or reading.refusal is not None else self._point(used, asked)
        return _draft(reading, staged, used, point), reading, used

    def _point(self, reader: Reader, asked: ReadingRequest) -> OperatingPoint | None:
        """The point that decides in place of the reader's own: the one asked for, or the site's."""
        if asked.point is not None:
            return reader.bundle.operating_point(asked.point)
        return self._points.active_point(reader.bundle)


def _key_of(point: OperatingPoint) -> str:
    return Outcome(operating_point=point.name, threshold=point.threshold, low=point.low, high=point.high).point_key


def _draft(reading: Reading, staged: Staged, reader: Reader | None, point: OperatingPoint | None) -> Draft:
    """What is stored of a reading that kept its image.

    reader: the one that read it, None where no task was found. point: which decides in place of the reader's own.
    """
    image, refusal = reading.image, reading.refusal
    draft = Draft(
        task=reading.task or "",
        bundle=reader.bundle.id if reader else "",
        bundle_sha256=reader.bundle.sha256 if reader else "",
        elapsed=round(reading.elapsed, 6),
        frame=image.frame if image else 0,
        frames=tuple(_frame(one, None) for one in reading.frames),
        facts=_facts(image, staged) if image else {},
        has_thumbnail=image is not None,
    )
    if refusal is not None:
        return replace(draft, refusal_code=refusal.code, refusal_message=refusal.message)
    assert reader is not None, "an answer without its reader"
    assert reading.probability is not None
    series = reader.bundle.series if reading.operating_point == SERIES else None
    if point is None:
        own, name = reader.operating_point, reading.operating_point
        point = own if series or own.name == name else reader.bundle.operating_point(name)
    alone = point  # of a single picture
    frames = tuple(_frame(one, point) for one in reading.frames)
    facts = draft.facts
    if series is not None:  # the site's point, or the bundle's for single pictures, decides of each slice alone
        facts = facts | {"frame_point": [point.threshold, point.low]}
        point = series.point
    decision = decide(reading.probability, point)
    heat_map = reading.heatmap
    return replace(
        draft,
        operating_point=point.name,
        threshold=point.threshold,
        low=point.low,
        high=point.high,
        probability=reading.probability,
        decision=str(decision),
        frames=frames,
        findings=_boxes(reading.found, alone),
        decision_text=reader.task.words[decision],
        warnings=tuple(dict.fromkeys((*reading.warnings, *staged.notes))),
        map_cells=None if heat_map is None else pack(heat_map),
        facts=facts | ({} if heat_map is None else {"map_cell": [round(side, 1) for side in heat_map.cell]}),
    )


def _frame(one: FrameAnswer, point: OperatingPoint | None) -> dict[str, Any]:
    """What is stored of one of several frames. point: which decides; None where none of them was read."""
    row: dict[str, Any] = {"frame": one.frame, "probability": one.probability, "score": None, "decision": None}
    if point is not None and one.probability is not None:
        row["score"] = score_of(one.probability, point.threshold, point.low)
        row["decision"] = str(decide(one.probability, point))
    boxes = _boxes(one.found, point)
    found = {} if boxes is None else {"findings": list(boxes)}
    return row | {"refusal": one.refusal.code if one.refusal else None} | found


def _boxes(found: Findings | None, point: OperatingPoint | None) -> tuple[dict[str, Any], ...] | None:
    """Those that reach the point that decides, or any of the bundle's."""
    if found is None:
        return None
    least = None if point is None else point.threshold if point.low is None else point.low
    return tuple(one.to_dict() for one in found.reaching(least))


def _facts(image: Image, staged: Staged) -> dict[str, Any]:
    """What is known of an image besides its pixels."""
    return {
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "bit_depth": image.bit_depth,
        "photometric": image.photometric,
        "modality": modality_said(image.modality),
        "body_part": part_said(image.body_part),
        "frame": image.frame,
        "n_frames": image.n_frames,
        "notes": list(image.notes),
        "header": staged.header or dict(image.header),
    }
