"""Readers by name, and the one that finds the task by itself."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from secondread.errors import ImageError
from secondread.images import Frames, Image, Limits
from secondread.images.steps import step
from secondread.reading import reasons
from secondread.reading.bundle import named_bundle
from secondread.reading.gate import Verdict, check_size, shipped_gate
from secondread.reading.in_order import read_in_order
from secondread.reading.lookup import SHIPPED, default_bundles, folder_of
from secondread.reading.reader import Reader, alone, shown_small
from secondread.reading.reading import Reading, Refusal
from secondread.reading.reasons import tell
from secondread.reading.series import read_series
from secondread.reading.sources import DEFAULT_LIMITS, Source, open_source
from secondread.tasks import match_dicom, modality_said, part_said


def load(
    reference: str | Path,
    *,
    operating_point: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    gate: bool = True,
) -> "Reader | AutoReader":
    """A reader for a task ('fracture'), a shipped bundle ('fracture/paper'), a bundle's folder, or 'auto'.

    'auto' takes the task from what a DICOM file says of itself, or from what the gate sees.
    gate: whether the learned gate may refuse; without it only what needs no learning is refused.
    Raises CannotOpen, UnknownName, BundleForeign or BundleDamaged.
    """
    if str(reference) == "auto":
        return AutoReader(operating_point=operating_point, limits=limits, gate=gate)
    return Reader.load(reference, operating_point=operating_point, limits=limits, gate=gate)


def read(
    source: Source, bundle: str | Path = "auto", *, operating_point: str | None = None, frame: int | None = None
) -> Reading:
    """One image's answer: `load(bundle).read(source)`, where readers that come with the package are kept for the next.

    bundle: as of `load`. For many images, or for one of your own bundles again and again, keep a reader yourself.
    Raises as `load` and `Reader.read`.
    """
    folder = None if str(bundle) == "auto" else folder_of(str(bundle))
    comes_along = str(bundle) == "auto" or (folder is not None and folder.is_relative_to(SHIPPED))
    reader = _kept(folder) if comes_along else load(bundle)
    return reader.read(source, operating_point=operating_point, frame=frame)


@cache
def _kept(folder: Path | None) -> "Reader | AutoReader":
    """None: 'auto'."""
    return load("auto" if folder is None else folder)


def load_named(
    name: str, *, operating_point: str | None = None, limits: Limits = DEFAULT_LIMITS, gate: bool = True
) -> "Reader | AutoReader":
    """As `load`, of names alone: a path is none, so what a request says may be given as it came.

    Raises UnknownName, BundleForeign or BundleDamaged.
    """
    if name == "auto":
        return AutoReader(operating_point=operating_point, limits=limits, gate=gate)
    return Reader.load(named_bundle(name), operating_point=operating_point, limits=limits, gate=gate)


class AutoReader:
    """Finds the task by what a DICOM file says, else by what the gate sees, and reads with its default bundle."""

    def __init__(self, *, operating_point: str | None = None, limits: Limits = DEFAULT_LIMITS, gate: bool = True):
        self._operating_point = operating_point
        self._readers: dict[str, Reader] = {}
        self._gate = gate
        self._reader_of: Callable[[str], Reader | AutoReader] | None = None
        self.limits = limits

    def take_readers_from(self, reader_of: Callable[[str], "Reader | AutoReader"]) -> None:
        """Read with these, by task, from now on: whoever has loaded them need not have them twice."""
        self._reader_of = reader_of

    def read(
        self,
        source: Source,
        *,
        operating_point: str | None = None,
        frame: int | None = None,
        keep_image: bool | None = None,
    ) -> Reading:
        """As Reader.read; refused with 'task_unknown' where neither the file nor the gate says what it shows.

        Of several frames each is asked what it shows, and all are read for the task that the most of them name.
        """
        started = time.perf_counter()
        try:
            found = open_source(source, frame=frame, limits=self.limits)
        except ImageError as error:
            return Reading(None, refusal=Refusal.of(error), elapsed=time.perf_counter() - started)
        if isinstance(found, Image):
            task, verdict = self._look(found)
            one = self._reader(task) if task else None
            return alone(self._read_as(one, found, verdict, operating_point, started, keep_image), found)
        task, verdicts = self._look_at_all(found)
        reader = self._reader(task) if task else None  # once: another may answer for the task before the last frame

        def read(image: Image) -> Reading:
            return self._read_as(reader, image, verdicts.get(image.frame), operating_point, started, keep_image)

        series = read_series(found, read)
        asked = operating_point or self._operating_point
        by, words = (reader.series_point(asked), reader.task.words) if reader else (None, None)
        return replace(series.answer(elapsed=time.perf_counter() - started, by=by, words=words), task=task)

    def _look_at_all(self, frames: Frames) -> tuple[str | None, dict[int, Verdict]]:
        """The task that the most of a file's frames name, and what the gate made of each."""
        named: Counter[str] = Counter()
        verdicts = {}
        for image in frames:
            if isinstance(image, ImageError):
                continue
            task, verdict = self._look(image)
            if verdict is None:  # the header says it, or nobody can
                return task, {}
            verdicts[image.frame] = verdict
            named.update([task] if task else [])
            del image  # before the next one is decoded
        return (named.most_common(1)[0][0] if named else None), verdicts

    def _look(self, image: Image) -> tuple[str | None, Verdict | None]:
        """The task that one image names, by its header or to the gate; and the gate's verdict, where it was asked."""
        task = match_dicom(image.modality, *image.parts)
        learned = shipped_gate() if self._gate else None
        if task is not None or learned is None:
            return task, None
        with step("gate"):
            verdict = learned.judge(image)
        return learned.task_of(verdict), verdict

    def _read_as(
        self,
        reader: Reader | None,
        image: Image,
        verdict: Verdict | None,
        operating_point: str | None,
        started: float,
        keep_image: bool | None,
    ) -> Reading:
        if reader is None:
            elapsed = time.perf_counter() - started
            learned = None if verdict is None else shipped_gate()
            facts = _facts_of(image)
            refusal = check_size(image)  # no task would read it
            if learned is not None and verdict is not None:
                refusal, facts = refusal or learned.way_up(verdict), learned.seen(verdict, facts)
            return Reading(
                None,
                refusal=refusal or _task_unknown(facts),
                elapsed=elapsed,
                image=image if keep_image else None,
                small=shown_small(image) if keep_image is None else None,
            )
        point = reader.bundle.operating_point(operating_point or self._operating_point)
        return reader._read_image(image, point, started, keep_image, verdict)

    def read_many(
        self,
        sources: Iterable[Source],
        *,
        operating_point: str | None = None,
        frame: int | None = None,
        keep_image: bool | None = False,
        workers: int | None = None,
    ) -> Iterator[Reading]:
        """As Reader.read_many."""
        yield from read_in_order(
            self, sources, operating_point=operating_point, frame=frame, keep_image=keep_image, workers=workers
        )

    @property
    def readers(self) -> tuple[Reader, ...]:
        """Those that were needed so far: one a task, or several where another was given since."""
        return tuple(self._readers.values())

    def _reader(self, task: str) -> Reader:
        found = self._reader_of(task) if self._reader_of is not None else None  # each time: it may be another one now
        if not isinstance(found, Reader):
            own = (reader for reader in self.readers if reader.task.name == task)
            found = next(own, None) or Reader.load(task, limits=self.limits, gate=self._gate)
        self._readers[found.bundle.id] = found
        return found


def _facts_of(image: Image) -> str:
    """What the header says, as the first part of the sentence on why no task was found."""
    said = ", ".join(filter(None, [modality_said(image.modality), part_said(image.body_part)]))
    return tell(reasons.FIT_NO_TASK, said=said) if said else reasons.SAYS_NOTHING


def _task_unknown(facts: str) -> Refusal:
    return Refusal("task_unknown", tell(reasons.TASK_UNKNOWN, facts=facts, tasks=", ".join(sorted(default_bundles()))))
