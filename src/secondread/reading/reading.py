"""What comes out of a reader: a reading, or a refusal with its reason."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from secondread.errors import ImageError
from secondread.images import Image
from secondread.reading.findings import Finding, Findings
from secondread.reading.heatmap import HeatMap
from secondread.reading.operating_point import OperatingPoint
from secondread.stats.scale import score_of
from secondread.tasks import NextStep, next_step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from secondread.reading.sources import Source


class Decision(StrEnum):
    """What follows at the operating point."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNCERTAIN = "uncertain"


def decide(probability: float, point: OperatingPoint) -> Decision:
    """What follows: uncertain inside the point's band where it has one, else positive above the threshold."""
    if point.low is not None and point.high is not None and point.low < probability <= point.high:
        return Decision.UNCERTAIN
    return Decision.POSITIVE if probability > point.threshold else Decision.NEGATIVE


@dataclass(frozen=True)
class Refusal:
    """Why an image was not read: a code for programs, a sentence for people."""

    code: str
    message: str

    @classmethod
    def of(cls, error: ImageError) -> "Refusal":
        """The refusal for bytes that cannot become an image."""
        return cls(error.code, str(error))


@dataclass(frozen=True)
class FrameAnswer:
    """What came out for one of several pictures of a file."""

    frame: int  # from 1, as people and DICOM count
    probability: float | None = None
    score: int | None = None  # 0 to 100; None where it was not read
    decision: Decision | None = None
    refusal: Refusal | None = None
    found: Findings | None = None  # of a bundle that has boxes

    def to_dict(self, *, least: float | None = None) -> dict[str, Any]:
        """One element of `frames`. least: what the score of a box has to reach, see `Findings.reaching`."""
        return {
            "frame": self.frame,
            "score": self.score,
            "decision": None if self.decision is None else str(self.decision),
            "refusal": None if self.refusal is None else self.refusal.code,
            "findings": None if self.found is None else [one.to_dict() for one in self.found.reaching(least)],
        }


@dataclass(frozen=True)
class Reading:
    """One image's answer, or of a file of several pictures that of the most suspicious one.

    Where `refusal` is set, everything that would follow from a model is None.
    """

    task: str | None
    bundle: str | None = None  # task/name@first 8 digits of its hash
    probability: float | None = None  # of the positive class, calibrated, 6 decimals
    decision: Decision | None = None
    operating_point: str | None = None
    threshold: float | None = None  # of the operating point: positive above it
    low: float | None = None  # of the operating point: the lower end of its uncertain band
    decision_text: str = ""  # the decision in the task's words
    warnings: tuple[str, ...] = ()
    found: Findings | None = field(default=None, repr=False)  # of a bundle that has boxes
    heatmap: HeatMap | None = field(default=None, repr=False)
    refusal: Refusal | None = None
    elapsed: float = 0.0  # seconds from bytes to answer
    image: Image | None = field(default=None, repr=False)  # kept only on request
    small: Image | None = field(default=None, repr=False, compare=False)  # below 640 pixels, to be shown
    frames: tuple[FrameAnswer, ...] = field(default=(), repr=False)  # of every picture, where there are several
    worst_frame: int | None = None  # the most suspicious, from 1; None where none was read, or there is but one
    frame_threshold: float | None = None  # of the point that decides of each picture, where a series has its own
    frame_low: float | None = None

    @property
    def score(self) -> int | None:
        """0 to 100, the probability in percent on its decision's side of the operating point: see `score_of`."""
        return None if self.probability is None else score_of(self.probability, self.threshold, self.low)

    @property
    def next_step(self) -> NextStep:
        """What to do now, in English, for whoever stands beside the patient: after this answer or this refusal."""
        code = "" if self.refusal is None else self.refusal.code
        return next_step(decision=str(self.decision or ""), code=code, task=self.task)

    @property
    def findings(self) -> tuple[Finding, ...] | None:
        """The boxes that reach one of the bundle's operating points, the strongest first; None without boxes.

        The image is positive exactly where at least one of them reaches the point that decides: see `Findings`.
        """
        return None if self.found is None else self.found.reaching(self._least)

    @property
    def _least(self) -> float | None:
        """Of a picture: a series may be decided on another scale."""
        threshold, low = self.threshold, self.low
        if self.frame_threshold is not None:
            threshold, low = self.frame_threshold, self.frame_low
        return threshold if low is None else low

    def to_dict(self, *, path: str | None = None, heatmap: str | None = None) -> dict[str, Any]:
        """What `secondread read --json` and the HTTP API share: both add likelihood ratios, the API more.

        path: what the caller named the image; heatmap: where its picture is. `findings` is None where the bundle has no
        boxes; `frames` and `worst_frame` are there only where the file has several pictures.
        """
        refused = self.refusal is not None
        row: dict[str, Any] = {
            "path": path,
            "task": None if refused else self.task,
            "bundle": None if refused else self.bundle,
            "probability": self.probability,
            "score": self.score,
            "decision": None if self.decision is None else str(self.decision),
            "operating_point": None if refused else self.operating_point,
            "warnings": None if refused else list(self.warnings),
            "heatmap": None if refused else heatmap,
            "refusal": {"code": self.refusal.code, "message": self.refusal.message} if self.refusal else None,
            "next_step": self.next_step.to_dict(),
            "findings": None if self.findings is None else [one.to_dict() for one in self.findings],
        }
        if self.frames:
            frames = [one.to_dict(least=self._least) for one in self.frames]
            row |= {"frames": frames, "worst_frame": self.worst_frame}
        return row

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        image: "Source | None" = None,
        heatmap: bool = True,
        boxes: bool = True,
        bar: bool = True,
    ) -> "Axes":
        """Draw the picture, with the heat map and the boxes over it and the probability on a bar below, into axes of
        matplotlib, and return these.

        ax: by default those of a new figure. image: the one that was read, as `read` takes it, where the reading holds
        none (see `keep_image`); without it the map is drawn alone. A refusal without a picture is drawn as its
        sentence. Raises ExtraMissing without matplotlib (the extra `train`), UsageError where there is nothing to draw
        or `image` is another one, and for an image that cannot be decoded what `images.decode` raises.
        """
        from secondread.reading.plot import plot_reading

        return plot_reading(self, ax, image=image, heatmap=heatmap, boxes=boxes, bar=bar)

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture with its map, the answer and the probability on a bar."""
        from secondread.reading.notebook import reading_html

        return reading_html(self)
