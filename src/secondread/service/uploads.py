"""What an upload is: what was asked of it, its images, and where each stands in the queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from secondread.service.tables import BatchRow, ItemRow, record_of
from secondread.tasks import NextStep, next_step

STATES = ("queued", "running", "done", "refused", "failed", "cancelled")


@dataclass(frozen=True)
class ReadingRequest:
    """What is asked of an image, or of every image of an upload."""

    task: str  # or 'auto'
    bundle: str = ""
    operating_point: str = ""  # '' or 'site': the site's own, or without one the bundle's
    source: str = ""
    frame: int | None = None  # from 1: this one alone of a file of several; None: all of them

    @property
    def index(self) -> int | None:
        """The frame from 0, as readers count."""
        return None if self.frame is None else self.frame - 1

    @property
    def point(self) -> str | None:
        """The bundle's operating point that is asked for by name; None where the site's decides."""
        return None if self.operating_point in ("", "site") else self.operating_point


@dataclass(frozen=True)
class NewItem:
    """An image that was staged in the store, or a file that was refused before it got there."""

    name: str
    image_sha256: str | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class Claim:
    """An item that this worker has until its lease runs out."""

    id: int
    batch: int
    name: str
    image_sha256: str
    asked: ReadingRequest
    asked_by: str
    lease: str
    attempts: int


@dataclass(frozen=True)
class Item:
    """Where one image of an upload stands."""

    id: int
    name: str
    state: str
    reading_id: int | None
    code: str
    message: str
    attempts: int

    @property
    def next_step(self) -> NextStep | None:
        """What to do now; None where it was read: then the reading says it."""
        return None if self.state == "done" else next_step(code=self.code or self.state)

    @classmethod
    def of(cls, row: ItemRow) -> "Item":
        """As its row says."""
        return record_of(cls, row)


@dataclass(frozen=True)
class Batch:
    """Where an upload stands: how many of its images are in which state."""

    id: int
    asked: ReadingRequest
    created_at: datetime
    created_by: str
    cancelled_at: datetime | None
    counts: dict[str, int]  # every one of STATES

    @classmethod
    def of(cls, row: BatchRow, counts: Mapping[tuple[int, str], int]) -> "Batch":
        """counts: (upload, state) → images; a state without any may be left out."""
        in_each = {state: counts.get((row.id, state), 0) for state in STATES}
        return record_of(cls, row, asked=record_of(ReadingRequest, row), counts=in_each)

    @property
    def n(self) -> int:
        """Images in all."""
        return sum(self.counts.values())

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.counts["queued"] + self.counts["running"] == 0
