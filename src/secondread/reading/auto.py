"""Readers by name, and the one that finds the task by itself."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from secondread.errors import ImageError
from secondread.images import Image, Limits
from secondread.reading.bundle import default_bundles
from secondread.reading.gate import shipped_gate
from secondread.reading.reader import DEFAULT_LIMITS, Reader, Source, open_image, read_in_order
from secondread.reading.reading import Reading, Refusal
from secondread.tasks import match_dicom


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


class AutoReader:
    """Finds the task by what a DICOM file says of itself, and reads with that task's default bundle."""

    def __init__(self, *, operating_point: str | None = None, limits: Limits = DEFAULT_LIMITS, gate: bool = True):
        self._operating_point = operating_point
        self._readers: dict[str, Reader] = {}
        self._gate = gate
        self.limits = limits

    def read(
        self, source: Source, *, operating_point: str | None = None, frame: int = 0, keep_image: bool = False
    ) -> Reading:
        """As Reader.read; refused with 'task_unknown' where the file does not say what it shows."""
        started = time.perf_counter()
        try:
            image = open_image(source, frame=frame, limits=self.limits)
        except ImageError as error:
            return Reading(None, refusal=Refusal.of(error), elapsed=time.perf_counter() - started)
        verdict = None
        task = match_dicom(image.modality, image.body_part)
        learned = shipped_gate() if self._gate else None
        if task is None and learned is not None:
            verdict = learned.judge(image)
            task = learned.task_of(verdict)
        if task is None:
            elapsed = time.perf_counter() - started
            return Reading(None, refusal=_task_unknown(image), elapsed=elapsed, image=image if keep_image else None)
        reader = self._reader(task)
        point = reader.bundle.operating_point(operating_point or self._operating_point)
        return reader._read_image(image, point, started, keep_image, verdict)

    def read_many(
        self,
        sources: Iterable[Source],
        *,
        operating_point: str | None = None,
        keep_image: bool = False,
        workers: int | None = None,
    ) -> Iterator[Reading]:
        """As Reader.read_many."""
        yield from read_in_order(self, sources, operating_point=operating_point, keep_image=keep_image, workers=workers)

    @property
    def readers(self) -> tuple[Reader, ...]:
        """Those that were needed so far, one a task."""
        return tuple(self._readers.values())

    def _reader(self, task: str) -> Reader:
        if task not in self._readers:
            self._readers[task] = Reader.load(task, limits=self.limits, gate=self._gate)
        return self._readers[task]


def _task_unknown(image: Image) -> Refusal:
    said = ", ".join(filter(None, [image.modality, image.body_part]))
    why = f"its DICOM facts ({said}) fit no task" if said else "the file does not say what it shows"
    return Refusal("task_unknown", f"{why}; choose the task by hand: {', '.join(sorted(default_bundles()))}")
