"""What comes out for an image: before it is stored, and out of the store; under the names of the table's columns."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from secondread.service.tables import record_of
from secondread.service.triage import triage_reason
from secondread.stats.scale import score_of
from secondread.tasks import NextStep, next_step

CELLS = "cells"  # as the row's heat_map: the map lies in its map_cells
WHOLE = "all:"  # begins the point_key of a file of several frames that was read whole


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out for an image, under the names of the table's columns.

    frame: the one that answered, from 0. frames: of a file of several that was read whole, each one's number (from 1),
    probability, score, decision and refusal code.
    """

    frame: int = 0
    frames: tuple[dict[str, Any], ...] = ()
    task: str = ""  # '' where none was found
    bundle: str = ""  # task/name@hash
    bundle_sha256: str = ""
    operating_point: str = ""
    threshold: float | None = None
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    decision: str = ""  # 'positive', 'negative', 'uncertain', or '' where refused
    decision_text: str = ""
    refusal_code: str = ""
    refusal_message: str = ""
    warnings: tuple[str, ...] = ()
    findings: tuple[dict[str, Any], ...] | None = None  # {box, score, label} each; None: of a bundle without boxes
    facts: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0  # seconds

    @property
    def score(self) -> int | None:
        """0 to 100, on its decision's side of the operating point."""
        return None if self.probability is None else score_of(self.probability, self.threshold, self.low)

    @property
    def band(self) -> list[float | None] | None:
        """The bounds between which a probability is uncertain, where the operating point has them."""
        return None if self.low is None else [self.low, self.high]

    @property
    def point_key(self) -> str:
        """Tells operating points apart, also two of one name; '' for a refusal, which hangs on none.

        A file of several frames that was read whole is another reading than one of its frames.
        """
        whole = WHOLE if self.frames else ""
        if self.refusal_code or self.threshold is None:
            return whole
        band = "" if self.low is None else f"[{self.low!r},{self.high!r}]"
        return f"{whole}{self.operating_point}@{self.threshold!r}{band}"[:120]

    @property
    def worst_frame(self) -> int | None:
        """Which of several frames answered, from 1; None where there is but one, or none could be read."""
        return self.frame + 1 if self.frames and self.decision else None

    @property
    def next_step(self) -> NextStep | None:
        """What to do now; None where the answer is withheld."""
        if not (self.decision or self.refusal_code):
            return None
        return next_step(decision=self.decision, code=self.refusal_code, task=self.task)

    def contract(self, *, path: str | None, heatmap: str | None) -> dict[str, Any]:
        """The fixed shape of `secondread read --json` and of the API (see Reading.to_dict)."""
        refused = bool(self.refusal_code)
        row: dict[str, Any] = {
            "path": path,
            "task": None if refused else self.task,
            "bundle": None if refused else self.bundle,
            "probability": self.probability,
            "score": self.score,
            "decision": self.decision or None,
            "operating_point": self.operating_point or None,
            "warnings": None if refused else list(self.warnings),
            "heatmap": heatmap,
            "refusal": {"code": self.refusal_code, "message": self.refusal_message} if refused else None,
            "next_step": step.to_dict() if (step := self.next_step) else None,
            "findings": None if self.findings is None else list(self.findings),
        }
        if self.frames:
            keys = ("frame", "score", "decision", "refusal", "findings")
            frames = [{key: one.get(key) for key in keys} for one in self.frames]
            row |= {"frames": frames, "worst_frame": self.worst_frame}
        return row


@dataclass(frozen=True, kw_only=True)
class Draft(Outcome):
    """A reading as it will be stored; who asked and when comes with storing."""

    has_thumbnail: bool = False  # a small picture can be drawn of the image
    map_cells: bytes | None = None  # see map_cells.pack


@dataclass(frozen=True, kw_only=True)
class StoredReading(Outcome):
    """A reading out of the store, with the reason for its place in triage order."""

    id: int
    image_sha256: str
    name: str
    source: str
    has_thumbnail: bool
    heat_map: str  # its name, one for each image, frame and bundle; '' where there is none
    created_at: datetime
    created_by: str
    triage: float
    review_state: str
    finding: int | None
    n_reviews: int
    deleted_at: datetime | None
    erased_at: datetime | None
    hidden: bool = False  # the answer is withheld from the one who asks, until they have given their own opinion

    @property
    def reason(self) -> str:
        """Why it stands where it does in triage order."""
        return triage_reason(self.triage, self.score, self.n_reviews)

    @classmethod
    def of(cls, row: Any) -> "StoredReading":
        """From its row: a ReadingRow, or what has its columns."""
        name = heat_map_name(row.image_sha256, row.bundle_sha256, row.frame) if row.heat_map else ""
        return record_of(cls, row, hidden=False, heat_map=name)

    def withheld(self) -> "StoredReading":
        """The same without its answer and all that tells of it: which frame, how urgent, what others concluded."""
        at = 0 if self.frames else self.frame  # one that was asked for alone tells nothing
        facts = self.facts | ({"frame": at} if "frame" in self.facts else {})
        frames = tuple({name: one[name] if name == "frame" else None for name in one} for one in self.frames)
        nothing = dict.fromkeys(("threshold", "low", "high", "probability", "finding", "findings"))
        telling = ("decision", "decision_text", "operating_point", "heat_map", "refusal_code", "refusal_message")
        empty = dict.fromkeys(telling, "")
        shown = replace(self, hidden=True, frame=at, facts=facts, frames=frames, triage=0.0, warnings=())
        return replace(shown, **nothing, **empty)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """For CSV and JSON: the contract of `secondread read --json` first, then what the store adds."""
        return self.contract(path=self.name, heatmap=self.heat_map or None) | {
            "id": self.id,
            "image": self.image_sha256,
            "frame": self.frame,
            "source": self.source,
            "asked_task": self.task or None,
            "threshold": self.threshold,
            "band": self.band,
            "facts": self.facts,
            "elapsed_ms": round(1000 * self.elapsed, 1),
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
            "review_state": self.review_state,
            "finding": self.finding,
            "n_reviews": self.n_reviews,
            "reason": self.reason,
            "hidden": self.hidden,
            "deleted": self.deleted_at is not None,
            "erased": self.erased_at is not None,
        }


def heat_map_name(image_sha256: str, bundle_sha256: str, frame: int = 0) -> str:
    """One map for each image, frame and bundle; the operating point does not change it."""
    return f"{image_sha256}-{bundle_sha256[:16]}" + (f"f{frame}" if frame else "")
