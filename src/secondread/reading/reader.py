"""A loaded bundle: a path, bytes, an array or an image in, a reading out; many of them on all cores, in order."""

import copy
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from secondread.errors import BundleDamaged, ImageError
from secondread.images import (
    Halves,
    Image,
    Limits,
    Prepared,
    prepare,
)
from secondread.images.steps import step
from secondread.reading.bundle import Bundle, load_bundle
from secondread.reading.estimator import Refused, classes_of, probabilities_of, tags
from secondread.reading.findings import Findings, findings_of
from secondread.reading.gate import Gate, Verdict, check_image, check_prepared, header_warnings, shipped_gate
from secondread.reading.heatmap import HeatMap
from secondread.reading.in_order import read_in_order
from secondread.reading.operating_point import OperatingPoint, SeriesPoint
from secondread.reading.reading import Decision, Reading, Refusal, decide
from secondread.reading.reasons import NOT_ASKED, tell
from secondread.reading.series import read_series
from secondread.reading.session import Runtime, Session, give_memory_back, open_session, runtime_asked_for, try_once
from secondread.reading.sources import DEFAULT_LIMITS, Source, open_source
from secondread.tasks import N_, Task

PointOf = Callable[[Bundle], OperatingPoint | None]
ONE_READ = N_("only frame %(frame)s of %(n)s was read")


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
        first: "Callable[[], Reader] | None" = None,
        named: bool = False,
    ):
        """named: the operating point was asked for, so it decides of series too.

        first: for a task that is asked after another, gives that one's reader when it is needed: where it sees nothing,
        this is not asked."""
        self.bundle = bundle
        self.task = bundle.task
        self.operating_point = operating_point
        self.limits = limits
        self.gate = gate
        self._session = session
        self._first = first
        self._reader_of: Callable[[str], object] | None = None
        self._point_of: PointOf | None = None
        self._named = named
        self._full = _full_strength(bundle)
        points = bundle.operating_points.values()
        self._lowest = min(point.threshold if point.low is None else point.low for point in points)

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
        before = bundle.task.asked_after
        return cls(
            bundle,
            session_of(bundle, runtime=runtime),
            operating_point=bundle.operating_point(operating_point),
            limits=limits,
            gate=gate_of(bundle) if gate else None,
            named=operating_point is not None,
            first=_first_of(before, limits=limits, runtime=runtime) if before else None,
        )

    def read(
        self,
        source: Source,
        *,
        operating_point: str | None = None,
        frame: int | None = None,
        keep_image: bool | None = None,
    ) -> Reading:
        """One image's answer: a path, the bytes of a file, a file open in binary mode, an array (see
        Image.from_array), an image of Pillow, a data set of pydicom, or a decoded Image.

        Of a file with several frames all are read, and the most suspicious answers (see `series`); frame: that one
        alone, from 0. keep_image: whether the reading holds the image as `image`; None: a small picture of it alone,
        by which notebooks show it; False: neither. A bad image is a Reading with a refusal, never an exception.
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
        by = self.series_point(operating_point)
        answer = series.answer(elapsed=time.perf_counter() - started, by=by, words=self.task.words)
        return replace(answer, task=self.task.name)

    def series_point(self, operating_point: str | None = None) -> SeriesPoint | None:
        """What decides of several pictures together: the bundle's own, unless a point is asked for by name."""
        return None if operating_point is not None or self._named else self.bundle.series

    def read_many(
        self,
        sources: Iterable[Source],
        *,
        operating_point: str | None = None,
        frame: int | None = None,
        keep_image: bool | None = False,
        workers: int | None = None,
    ) -> Iterator[Reading]:
        """Readings in the order of the sources, on all cores, holding a few images at a time whatever their number.

        frame: as of `read`, of every file. A path that cannot be opened gives a reading with the refusal code
        'cannot_open', so the others are still read.
        """
        yield from read_in_order(
            self, sources, operating_point=operating_point, frame=frame, keep_image=keep_image, workers=workers
        )

    @property
    def classes_(self) -> np.ndarray:
        """int (2,): 0 and 1, as manifests label them; their names are `task.classes`. As scikit-learn asks for it."""
        return np.array([0, 1])

    def predict_proba(
        self, X: Iterable[Source], *, on_refusal: Refused = "raise", workers: int | None = None
    ) -> np.ndarray:
        """float (n, 2): how likely each of `classes_` is, calibrated, for images of any kind that `read` takes.

        on_refusal: 'raise' stops at the first image that is refused; 'nan' gives it a row of NaN.
        Raises ReadingRefused, with its `index` and `code`; TypeError for one image in place of many.
        """
        return probabilities_of(self, X, on_refusal=on_refusal, workers=workers)

    def predict(self, X: Iterable[Source], *, workers: int | None = None) -> np.ndarray:
        """int (n,): the class of each image at the reader's operating point. Raises as `predict_proba`.

        Raises UsageError at an operating point that may answer 'uncertain', which is no class.
        """
        return classes_of(self, X, workers=workers)

    def __sklearn_tags__(self) -> object:
        """That it is a classifier of two classes, for scikit-learn's scorers."""
        return tags()

    def at(self, operating_point: str) -> "Reader":
        """The same reader with another of its bundle's operating points. Raises UnknownName."""
        twin = copy.copy(self)
        twin.operating_point, twin._named = self.bundle.operating_point(operating_point), True
        return twin

    def take_readers_from(self, reader_of: Callable[[str], object], *, point_of: PointOf | None = None) -> None:
        """Ask, of the task before, the reader that `reader_of` gives at that time: the one that answers for it here.

        point_of: the operating point that decides here in place of that bundle's own, if one does.
        """
        self._reader_of = reader_of
        self._point_of = point_of

    def with_faint_boxes(self) -> "Reader":
        """The same, but that its readings have boxes far below the operating points too: to measure them."""
        twin = copy.copy(self)
        twin._lowest = min(self._lowest, float(self.bundle.calibration.apply(np.array([_FAINT]))[0]))
        return twin

    def give_memory_back(self) -> None:
        """What its answers took, before it is let go; takes as long as an answer."""
        spec = self.bundle.prepare_spec
        give_memory_back(self._session, size=spec.size, channels=spec.depth)

    def _read_image(
        self,
        image: Image,
        point: OperatingPoint,
        started: float,
        keep_image: bool | None,
        verdict: Verdict | None = None,
    ) -> Reading:
        """verdict: the gate's, where it has looked already."""
        kept, halves = image if keep_image else None, None
        refusal = check_image(image, self.task)
        if refusal is None:
            halves = Halves(image)
            prepared = prepare(image, self.bundle.prepare_spec, halves=halves)
            refusal = check_prepared(prepared)
        if refusal is None and self.gate is not None:
            with step("gate"):
                verdict = verdict or self.gate.judge(image, halves=halves)
                refusal = self.gate.refusal(verdict, self.task)
        if refusal is None and self._first is not None:
            found = self._reader_of(self.task.asked_after) if self._reader_of is not None else None
            first = found if isinstance(found, Reader) else self._first()
            decides = self._point_of(first.bundle) if self._point_of is not None else None
            refusal = first._why_not_asked(image, self.task, decides or first.operating_point, started, verdict)
        small = shown_small(image, halves) if keep_image is None else None
        if refusal is not None:
            elapsed = time.perf_counter() - started
            return Reading(self.task.name, refusal=refusal, elapsed=elapsed, image=kept, small=small)
        with step("network"):
            probability, values, sides = self._run(prepared)
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
            found=None if sides is None else self._found(image, prepared, probability, values, sides),
            heatmap=HeatMap(values, self._map_box(prepared, values), image.width, image.height, self._full),
            elapsed=time.perf_counter() - started,
            image=kept,
            small=small,
        )

    def _why_not_asked(
        self, image: Image, next_task: Task, point: OperatingPoint, started: float, verdict: Verdict | None
    ) -> Refusal | None:
        """Where this task's own answer is no, a question that follows a yes is not asked."""
        own = self._read_image(image, point, started, keep_image=False, verdict=verdict)
        if own.refusal is not None or own.decision is not Decision.NEGATIVE:
            return own.refusal
        return Refusal(
            "not_asked",
            tell(NOT_ASKED, bundle=self.bundle.id, task=self.task.title, next=next_task.title),
        )

    def _run(self, prepared: Prepared) -> tuple[float, np.ndarray, np.ndarray | None]:
        """Calibrated probability (6 decimals), the coarse map and, where the bundle has boxes, the sides of each cell's
        (see `findings_of`), from one pass through the network.

        The map is counted from the bundle's zero: above it speaks for disease.
        """
        outputs = ["logit", "cam"] if self.bundle.boxes is None else ["logit", "cam", "box"]
        logits, maps, *sides = self._session.run(outputs, {"image": prepared.pixels[None]})
        if sides:
            logits = maps.max(axis=(1, 2))  # the answer is that of the strongest box, whatever a network says of itself
        probability = round(float(self.bundle.calibration.apply(logits)[0]), 6)
        zero = np.float32(self.bundle.heatmap.zero or 0.0)
        return probability, maps[0] - zero, sides[0][0] if sides else None

    def _found(
        self, image: Image, prepared: Prepared, probability: float, values: np.ndarray, sides: np.ndarray
    ) -> Findings:
        """values, sides: as `_run` gives them."""
        calibration, zero = self.bundle.calibration, self.bundle.heatmap.zero or 0.0
        lowest = float(calibration.undo(np.array([self._lowest]))[0]) - zero - _ROUNDED
        foci = findings_of(
            values,
            sides,
            extent=self.bundle.heatmap.extent,
            shown=prepared.box,
            size=self.bundle.prepare_spec.size,
            image_size=(image.width, image.height),
            above=min(lowest, float(np.nextafter(values.max(), np.float32(-np.inf)))),
        )
        scores = np.round(calibration.apply(np.array([one.logit + zero for one in foci])), 6)
        label = self.bundle.boxes.label if self.bundle.boxes else self.task.positive_class
        return Findings.of(foci, scores, label=label, probability=probability, lowest=self._lowest)

    def _map_box(self, prepared: Prepared, values: np.ndarray) -> tuple[float, float, float, float]:
        """The map's place on the image: its extent on the input, carried over to what the input shows."""
        left, top, right, bottom = self.bundle.heatmap.extent
        x0, y0, x1, y1 = prepared.box
        width, height = x1 - x0, y1 - y0
        return x0 + left * width, y0 + top * height, x0 + right * width, y0 + bottom * height


_SMALL = 320  # pixels: the longest side of what a reading is shown with has less than twice as many
_ROUNDED = 0.01  # logits: more than what six decimals of a threshold leave open at its logit
_FAINT = -5.0  # logit: boxes below say nothing, and only lengthen the list
_FULL = 0.9  # the probability that a cell would have to speak for by itself to be drawn at full strength


def _full_strength(bundle: Bundle) -> float | None:
    """Where a lesion map is drawn strongest, in logits above the bundle's zero; None for another kind of map."""
    if bundle.heatmap.zero is None:
        return None
    return max(0.0, float(bundle.calibration.undo(np.array([_FULL]))[0]) - bundle.heatmap.zero)


def shown_small(image: Image, halves: Halves | None = None) -> Image:
    """The picture that a reading is shown with, where it does not hold its image: one of its halves, not yet shrunk
    further, since few readings are looked at. halves: of this image, where they were made."""
    times = max(0, (max(image.width, image.height) // _SMALL).bit_length() - 1)
    return replace(image, pixels=(halves or Halves(image)).level(times))


def _first_of(task: str, *, limits: Limits, runtime: Runtime | None) -> Callable[[], Reader]:
    """Loads the reader of the task before once it is needed: where one that is shared answers, it never is.

    Raises, at once, where there is no bundle of that task: CannotOpen, UnknownName, BundleForeign or BundleDamaged.
    """
    bundle, lock = load_bundle(task), threading.Lock()
    loaded: list[Reader] = []

    def first() -> Reader:
        with lock:
            if not loaded:
                loaded.append(Reader.load(bundle, limits=limits, gate=False, runtime=runtime))
            return loaded[0]

    return first


def session_of(bundle: Bundle, *, runtime: Runtime | None = None) -> Session:
    """Its network, bounded; one that does not come with the package has answered an empty picture before.

    runtime: as of `Reader.load`. Raises BundleDamaged, ExtraMissing, or UnknownName for a runtime in the environment.
    """
    runtime = runtime or runtime_asked_for(shipped=bundle.shipped)
    spec = bundle.prepare_spec
    session = open_session(bundle.model_path, side=spec.size, bounded=True, runtime=runtime)
    if not bundle.shipped:
        try_once(session, size=spec.size, channels=spec.depth, boxes=bundle.boxes is not None)
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


def alone(reading: Reading, image: Image) -> Reading:
    """The reading of one image that may be one of several, which is then said."""
    if reading.refusal is not None or image.n_frames == 1:
        return reading
    said = ONE_READ % {"frame": image.frame + 1, "n": image.n_frames}
    return replace(reading, warnings=(said, *reading.warnings))
