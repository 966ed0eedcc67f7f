"""An upload and its images as the queue speaks of them: what is asked, what was claimed, where each stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from secondread.service._tables import BatchRow, ItemRow

STATES = ("queued", "running", "done", "refused", "failed", "cancelled")


@dataclass(frozen=True)
class Asked:
    """What is asked of every image of an upload."""

    task: str  # or 'auto'
    bundle: str = ""
    operating_point: str = ""
    source: str = ""

    @classmethod
    def of(cls, row: BatchRow) -> "Asked":
        """What the row of an upload says was asked."""
        return cls(row.task, row.bundle, row.operating_point, row.source)


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
    asked: Asked
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

    @classmethod
    def of(cls, row: ItemRow) -> "Item":
        """As its row says."""
        return cls(row.id, row.name, row.state, row.reading_id, row.code, row.message, row.attempts)


@dataclass(frozen=True)
class Batch:
    """Where an upload stands: how many of its images are in which state."""

    id: int
    asked: Asked
    created_at: datetime
    created_by: str
    cancelled_at: datetime | None
    counts: dict[str, int]  # every one of STATES

    @classmethod
    def of(cls, row: BatchRow, counts: Mapping[tuple[int, str], int]) -> "Batch":
        """counts: (upload, state) → images; a state without any may be left out."""
        in_each = {state: counts.get((row.id, state), 0) for state in STATES}
        return cls(row.id, Asked.of(row), row.created_at, row.created_by, row.cancelled_at, in_each)

    @property
    def n(self) -> int:
        """Images in all."""
        return sum(self.counts.values())

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.counts["queued"] + self.counts["running"] == 0
