"""What comes out of a reader: a reading, or a refusal with its reason."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from secondread.errors import ImageError
from secondread.images import Image
from secondread.reading.heatmap import HeatMap


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
class Reading:
    """One image's answer. Where `refusal` is set, everything that would follow from a model is None."""

    task: str | None
    bundle: str | None = None  # task/name@first 8 digits of its hash
    probability: float | None = None  # of the positive class, calibrated, 6 decimals
    decision: Decision | None = None
    operating_point: str | None = None
    decision_text: str = ""  # the decision in the task's words
    warnings: tuple[str, ...] = ()
    heatmap: HeatMap | None = field(default=None, repr=False)
    refusal: Refusal | None = None
    elapsed: float = 0.0  # seconds from bytes to answer
    image: Image | None = field(default=None, repr=False)  # kept only on request

    @property
    def score(self) -> int | None:
        """0 to 100, the probability in percent, as programmes write it down."""
        return None if self.probability is None else round(100 * self.probability)

    def to_dict(self, *, path: str | None, heatmap: str | None = None) -> dict[str, Any]:
        """The fixed JSON shape of `secondread read --json` and of the HTTP API.

        path: what the caller named the image; heatmap: where its picture is.
        """
        refused = self.refusal is not None
        return {
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
