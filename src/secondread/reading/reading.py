"""What comes out of a reader: a reading, or a refusal with its reason."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from secondread.errors import ImageError
from secondread.images import Image
from secondread.reading.heatmap import HeatMap
from secondread.stats.scale import score_of


class Decision(StrEnum):
    """What follows at the operating point."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNCERTAIN = "uncertain"


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

    def to_dict(self) -> dict[str, Any]:
        """One element of `frames`."""
        return {
            "frame": self.frame,
            "score": self.score,
            "decision": None if self.decision is None else str(self.decision),
            "refusal": None if self.refusal is None else self.refusal.code,
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
    heatmap: HeatMap | None = field(default=None, repr=False)
    refusal: Refusal | None = None
    elapsed: float = 0.0  # seconds from bytes to answer
    image: Image | None = field(default=None, repr=False)  # kept only on request
    frames: tuple[FrameAnswer, ...] = field(default=(), repr=False)  # of every picture, where there are several
    worst_frame: int | None = None  # which of them answers, from 1; None where none was read, or there is but one

    @property
    def score(self) -> int | None:
        """0 to 100, the probability in percent on its decision's side of the operating point: see `score_of`."""
        return None if self.probability is None else score_of(self.probability, self.threshold, self.low)

    def to_dict(self, *, path: str | None, heatmap: str | None = None) -> dict[str, Any]:
        """The fixed JSON shape of `secondread read --json` and of the HTTP API.

        path: what the caller named the image; heatmap: where its picture is. `frames` and `worst_frame` are there only
        where the file has several pictures.
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
        }
        if self.frames:
            row |= {"frames": [one.to_dict() for one in self.frames], "worst_frame": self.worst_frame}
        return row
