"""A loaded bundle: a path, bytes, an array or an image in, a reading out; many of them on all cores, in order."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from secondread.errors import BundleDamaged, CannotOpen, ImageError
from secondread.files import shown
from secondread.images import (
    Frames,
    Image,
    Limits,
    Picture,
    Prepared,
    is_picture,
    open_frames,
    open_picture,
    prepare,
)
from secondread.images.steps import step
from secondread.reading.bundle import Bundle, OperatingPoint, load_bundle
from secondread.reading.gate import Gate, Verdict, check_image, check_prepared, header_warnings, shipped_gate
from secondread.reading.heatmap import HeatMap
from secondread.reading.reading import Decision, Reading, Refusal
from secondread.reading.series import read_series
from secondread.reading.session import Runtime, Session, give_memory_back, open_session, runtime_asked_for, try_once
from secondread.tasks import N_

Source = str | os.PathLike[str] | bytes | np.ndarray | Image | Picture | IO[bytes]
DEFAULT_LIMITS = Limits()
ONE_READ = N_("only frame %(frame)s of %(n)s was read")


def open_source(source: Source, *, frame: int | None = None, limits: Limits = DEFAULT_LIMITS) -> Image | Frames:
    """The image of any kind of source, or all frames of a file that has several and of which none is asked for.

    frame: from 0. Raises CannotOpen or an ImageError.
    """
    if isinstance(source, Image):
        return source
    if isinstance(source, np.ndarray):
        return Image.from_array(source)
    with step("decode"):
        frames = _frames_of(source, limits)
        if frame is not None:
            return frames.frame(frame)
        if frames.n == 1:
            return frames.frame(0)
    limits.check_frames(frames.n)
    return frames


def _frames_of(source: Any, limits: Limits) -> Frames:
    if is_picture(source):
        return open_picture(source, limits=limits)
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, str | os.PathLike):
        data = _read_file(Path(source), limits)
    else:
        data = _read_object(source, limits)
    return open_frames(data, limits=limits)


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            n_bytes = os.fstat(file.fileno()).st_size
            limits.check_bytes(n_bytes)  # a huge file is refused before it is read
            # As much as it says first: to ask for all that is allowed takes that much memory for a moment. A device or
            # a pipe says nothing of its size, and a file may grow.
            data = file.read(n_bytes + 1)
            if len(data) > n_bytes:
                data += file.read(limits.max_bytes + 1 - len(data))
    except OSError as error:
        raise CannotOpen(f"cannot open '{shown(path)}': {error.strerror or error}") from error
    limits.check_bytes(len(data))
    return data


def _read_object(source: Any, limits: Limits) -> bytes:
    """What is left in an open file. Raises CannotOpen, ImageTooLarge, or TypeError: a programmer's mistake."""
    if not hasattr(source, "read"):
        raise TypeError(f"an image is a path, bytes, an array, an open file or an image of Pillow, not {type(source)}")
    try:
        data = source.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:  # the latter of a closed file
        raise CannotOpen(f"cannot read the open file: {error}") from error
    if not isinstance(data, bytes):
        raise TypeError("an open file must give bytes; open it in binary mode, 'rb'")
    limits.check_bytes(len(data))
    return data


_BATCH = 32  # paths handed to a worker at once


class Reads(Protocol):
    """What a Reader and an AutoReader have in common."""

    def read(
        self, source: Source, *, operating_point: str | None = None, frame: int | None = None, keep_image: bool = False
    ) -> Reading:
        """One source's answer."""
        ...


def read_in_order(
    reader: Reads,
    sources: Iterable[Source],
    *,
    operating_point: str | None,
    keep_image: bool,
    workers: int | None,
    frame: int | None = None,
) -> Iterator[Reading]:
    """Read on several threads, at most two batches a worker in flight; decoding and inference both release the GIL."""
    workers = workers or os.cpu_count() or 1

    def one(source: Source) -> Reading:
        try:
            return reader.read(source, operating_point=operating_point, frame=frame, keep_image=keep_image)
        except CannotOpen as error:
            return Reading(None, refusal=Refusal("cannot_open", str(error)))

    def some(batch: list[Source]) -> list[Reading]:
        return [one(source) for source in batch]

    waiting: deque[Future[list[Reading]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in _batches(sources, most=1 if keep_image else _BATCH, workers=workers):
                waiting.append(pool.submit(some, batch))
                if len(waiting) >= 2 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _batches(sources: Iterable[Source], *, most: int, workers: int) -> Iterator[list[Source]]:
    """Paths in batches that grow from one, since handing over small images one by one costs as much as reading them.

    What is already in memory goes alone, so that no more of it is held than must be.
    """
    batch: list[Source] = []
    given = 0
    for source in sources:
        batch.append(source)
        if not isinstance(source, str | os.PathLike) or len(batch) >= min(most, 1 + given // (2 * workers)):
            yield batch
            given, batch = given + 1, []
    if batch:
        yield batch


class Reader:
    """Reads images for one task with one bundle. Safe to share between threads."""

    def __init__(
        self,
        bundle: Bundle,
        session: Session,
        *,
        operating_point: OperatingPoint,
        limits: Limits,
        gate: Gate | None,
    ):
        self.bundle = bundle
        self.task = bundle.task
        self.operating_point = operating_point
        self.limits = limits
        self.gate = gate
        self._session = session
        self._full = _full_strength(bundle)

    @classmethod
    def load(
        cls,
        reference: str | Path | Bundle,
        *,
        operating_point: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        gate: bool = True,
        runtime: Runtime | None = None,
    ) -> "Reader":
        """Load and check a bundle. Raises CannotOpen, UnknownName, BundleForeign, BundleDamaged or ExtraMissing.

        runtime: what runs the bundle's network; by default what SECONDREAD_RUNTIME names, else ONNX Runtime.
        """
        bundle = reference if isinstance(reference, Bundle) else load_bundle(reference)
        return cls(
            bundle,
            session_of(bundle, runtime=runtime),
            operating_point=bundle.operating_point(operating_point),
            limits=limits,
            gate=gate_of(bundle) if gate else None,
        )

    def read(
        self, source: Source, *, operating_point: str | None = None, frame: int | None = None, keep_image: bool = False
    ) -> Reading:
        """One image's answer: a path, the bytes of a file, a file open in binary mode, an array (see
        Image.from_array), an image of Pillow, or a decoded Image.

        Of a file with several frames all are read, and the most suspicious answers (see `series`); frame: that one
        alone, from 0. A bad image is a Reading with a refusal, never an exception.
        Raises CannotOpen if a path cannot be read, UnknownName for an operating point that the bundle lacks.
        """
        started = time.perf_counter()
        point = self.operating_point if operating_point is None else self.bundle.operating_point(operating_point)
        try:
            found = open_source(source, frame=frame, limits=self.limits)
        except ImageError as error:
            return Reading(self.task.name, refusal=Refusal.of(error), elapsed=time.perf_counter() - started)
        if isinstance(found, Image):
            return alone(self._read_image(found, point, started, keep_image), found)
        series = read_series(found, lambda image: self._read_image(image, point, started, keep_image))
        return replace(series.answer(elapsed=time.perf_counter() - started), task=self.task.name)

    def read_many(
        self,
        sources: Iterable[Source],
        *,
        operating_point: str | None = None,
        frame: int | None = None,
        keep_image: bool = False,
        workers: int | None = None,
    ) -> Iterator[Reading]:
        """Readings in the order of the sources, on all cores, holding a few images at a time whatever their number.

        frame: as of `read`, of every file. A path that cannot be opened gives a reading with the refusal code
        'cannot_open', so the others are still read.
        """
        yield from read_in_order(
            self, sources, operating_point=operating_point, frame=frame, keep_image=keep_image, workers=workers
        )

    def give_memory_back(self) -> None:
        """What its answers took, before it is let go; takes as long as an answer."""
        spec = self.bundle.prepare_spec
        give_memory_back(self._session, size=spec.size, channels=spec.channels)

    def _read_image(
        self, image: Image, point: OperatingPoint, started: float, keep_image: bool, verdict: Verdict | None = None
    ) -> Reading:
        """verdict: the gate's, where it has looked already."""
        kept = image if keep_image else None
        refusal = check_image(image, self.task)
        if refusal is None:
            prepared = prepare(image, self.bundle.prepare_spec)
            refusal = check_prepared(prepared)
        if refusal is None and self.gate is not None:
            with step("gate"):
                refusal = self.gate.refusal(verdict or self.gate.judge(image), self.task)
        if refusal is not None:
            return Reading(self.task.name, refusal=refusal, elapsed=time.perf_counter() - started, image=kept)
        with step("network"):
            probability, values = self._run(prepared)
        decision = decide(probability, point)
        return Reading(
            task=self.task.name,
            bundle=self.bundle.id,
            probability=probability,
            decision=decision,
            operating_point=point.name,
            threshold=point.threshold,
            low=point.low,
            decision_text=self.task.words[decision],
            warnings=(*header_warnings(image, self.task), *image.notes),
            heatmap=HeatMap(values, self._map_box(prepared, values), image.width, image.height, self._full),
            elapsed=time.perf_counter() - started,
            image=kept,
        )

    def _run(self, prepared: Prepared) -> tuple[float, np.ndarray]:
        """Calibrated probability (6 decimals) and the coarse map, from one pass through the network.

        The map is counted from the bundle's zero: above it speaks for disease.
        """
        logits, maps = self._session.run(["logit", "cam"], {"image": prepared.pixels[None]})
        zero = np.float32(self.bundle.heatmap.zero or 0.0)
        return round(float(self.bundle.calibration.apply(logits)[0]), 6), maps[0] - zero

    def _map_box(self, prepared: Prepared, values: np.ndarray) -> tuple[float, float, float, float]:
        """The map's place on the image: its extent on the input, carried over to what the input shows."""
        left, top, right, bottom = self.bundle.heatmap.extent
        x0, y0, x1, y1 = prepared.box
        width, height = x1 - x0, y1 - y0
        return x0 + left * width, y0 + top * height, x0 + right * width, y0 + bottom * height


_FULL = 0.9  # the probability that a cell would have to speak for by itself to be drawn at full strength


def _full_strength(bundle: Bundle) -> float | None:
    """Where a lesion map is drawn strongest, in logits above the bundle's zero; None for another kind of map."""
    if bundle.heatmap.zero is None:
        return None
    return max(0.0, float(bundle.calibration.undo(np.array([_FULL]))[0]) - bundle.heatmap.zero)


def session_of(bundle: Bundle, *, runtime: Runtime | None = None) -> Session:
    """Its network, bounded; one that does not come with the package has answered an empty picture before.

    runtime: as of `Reader.load`. Raises BundleDamaged, ExtraMissing, or UnknownName for a runtime in the environment.
    """
    runtime = runtime or runtime_asked_for(shipped=bundle.shipped)
    session = open_session(bundle.model_path, bounded=True, runtime=runtime)
    if not bundle.shipped:
        try_once(session, size=bundle.prepare_spec.size, channels=bundle.prepare_spec.channels)
    return session


def gate_of(bundle: Bundle) -> Gate | None:
    """The gate that the bundle was measured with; None for a bundle without one, such as one of the user's own.

    Raises BundleDamaged if another gate has taken its place: the bundle's evidence would no longer hold.
    """
    wanted = bundle.gate
    if wanted is None:
        return None
    found = shipped_gate()
    if found is None or found.id != wanted:
        raise BundleDamaged(f"{bundle.id} was measured with gate {wanted}, not with the one at hand; train it again")
    return found


def decide(probability: float, point: OperatingPoint) -> Decision:
    """What follows: uncertain inside the point's band where it has one, else positive above the threshold."""
    if point.low is not None and point.high is not None and point.low < probability <= point.high:
        return Decision.UNCERTAIN
    return Decision.POSITIVE if probability > point.threshold else Decision.NEGATIVE


def alone(reading: Reading, image: Image) -> Reading:
    """The reading of one image that may be one of several, which is then said."""
    if reading.refusal is not None or image.n_frames == 1:
        return reading
    said = ONE_READ % {"frame": image.frame + 1, "n": image.n_frames}
    return replace(reading, warnings=(said, *reading.warnings))
