"""A loaded bundle: a path, bytes, an array or an image in, a reading out; many of them on all cores, in order."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from secondread.errors import BundleDamaged, CannotOpen, ImageError
from secondread.images import Image, Limits, Prepared, decode, prepare
from secondread.reading.bundle import Bundle, OperatingPoint, load_bundle
from secondread.reading.gate import Gate, Verdict, check_image, check_prepared, shipped_gate
from secondread.reading.heatmap import HeatMap
from secondread.reading.reading import Decision, Reading, Refusal
from secondread.reading.session import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Source = str | os.PathLike[str] | bytes | np.ndarray | Image
DEFAULT_LIMITS = Limits()


def open_image(source: Source, *, frame: int = 0, limits: Limits = DEFAULT_LIMITS) -> Image:
    """The decoded image of any kind of source. Raises CannotOpen or an ImageError."""
    if isinstance(source, Image):
        return source
    if isinstance(source, np.ndarray):
        return Image.from_array(source)
    data = source if isinstance(source, bytes) else _read_file(Path(source), limits)
    return decode(data, frame=frame, limits=limits)


def _read_file(path: Path, limits: Limits) -> bytes:
    try:
        limits.check_bytes(path.stat().st_size)  # a huge file is refused before it is read
        return path.read_bytes()
    except OSError as error:
        raise CannotOpen(f"cannot open '{path}': {error.strerror or error}") from error


_BATCH = 32  # paths handed to a worker at once


class Reads(Protocol):
    """What a Reader and an AutoReader have in common."""

    def read(
        self, source: Source, *, operating_point: str | None = None, frame: int = 0, keep_image: bool = False
    ) -> Reading:
        """One image's answer."""
        ...


def read_in_order(
    reader: Reads, sources: Iterable[Source], *, operating_point: str | None, keep_image: bool, workers: int | None
) -> Iterator[Reading]:
    """Read on several threads, at most two batches a worker in flight; decoding and inference both release the GIL."""
    workers = workers or os.cpu_count() or 1

    def one(source: Source) -> Reading:
        try:
            return reader.read(source, operating_point=operating_point, keep_image=keep_image)
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
        session: "InferenceSession",
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

    @classmethod
    def load(
        cls,
        reference: str | Path,
        *,
        operating_point: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        gate: bool = True,
    ) -> "Reader":
        """Load and check a bundle. Raises CannotOpen, UnknownName, BundleForeign or BundleDamaged."""
        bundle = load_bundle(reference)
        return cls(
            bundle,
            open_session(bundle.model_path),
            operating_point=bundle.operating_point(operating_point),
            limits=limits,
            gate=gate_of(bundle) if gate else None,
        )

    def read(
        self, source: Source, *, operating_point: str | None = None, frame: int = 0, keep_image: bool = False
    ) -> Reading:
        """One image's answer: a path, the bytes of a file, an array (see Image.from_array) or a decoded Image.

        A bad image is a Reading with a refusal, never an exception. frame: of a multi-frame file, from 0.
        Raises CannotOpen if a path cannot be read, UnknownName for an operating point that the bundle lacks.
        """
        started = time.perf_counter()
        point = self.operating_point if operating_point is None else self.bundle.operating_point(operating_point)
        try:
            image = open_image(source, frame=frame, limits=self.limits)
        except ImageError as error:
            return Reading(self.task.name, refusal=Refusal.of(error), elapsed=time.perf_counter() - started)
        return self._read_image(image, point, started, keep_image)

    def read_many(
        self,
        sources: Iterable[Source],
        *,
        operating_point: str | None = None,
        keep_image: bool = False,
        workers: int | None = None,
    ) -> Iterator[Reading]:
        """Readings in the order of the sources, on all cores, holding a few images at a time whatever their number.

        A path that cannot be opened gives a reading with the refusal code 'cannot_open', so the others are still read.
        """
        yield from read_in_order(self, sources, operating_point=operating_point, keep_image=keep_image, workers=workers)

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
            refusal = self.gate.refusal(verdict or self.gate.judge(image), self.task)
        if refusal is not None:
            return Reading(self.task.name, refusal=refusal, elapsed=time.perf_counter() - started, image=kept)
        probability, values = self._run(prepared)
        decision = decide(probability, point)
        return Reading(
            task=self.task.name,
            bundle=self.bundle.id,
            probability=probability,
            decision=decision,
            operating_point=point.name,
            decision_text=self.task.words[decision],
            warnings=_warnings(image),
            heatmap=HeatMap(values, self._map_box(prepared, values), image.width, image.height),
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


def _warnings(image: Image) -> tuple[str, ...]:
    frames = (f"only frame {image.frame + 1} of {image.n_frames} was read",) if image.n_frames > 1 else ()
    return (*frames, *image.notes)
