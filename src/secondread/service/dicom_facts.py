"""What is known of a DICOM object as it comes in, and as it is kept. UIDs are pseudonyms, words those of the field."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from secondread.service.dicom_tables import DicomObjectRow
from secondread.service.identities import Identity, Instance
from secondread.service.intake import Staged
from secondread.service.outcomes import StoredReading
from secondread.service.tables import now


@dataclass(frozen=True)
class Facts:
    """What is known of an object besides its pixels, and what is to be done with it. UIDs are pseudonyms."""

    sop_instance_uid: str
    sop_class: str
    series_uid: str = ""
    study_uid: str = ""
    transfer_syntax: str = ""
    size: int = 0
    sha256: str = ""
    calling_aet: str = ""
    called_aet: str = ""
    peer: str = ""
    state: str = "received"
    reason: str = ""
    rule: str = ""
    task: str = ""
    operating_point: str = ""
    destinations: tuple[str, ...] = ()
    modality: str = ""
    series_description: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    image_type: str = ""
    rows: int = 0
    columns: int = 0
    n_frames: int = 1
    n_expected: int | None = None


@dataclass(frozen=True)
class Arrival:
    """One object as it came in. staged: as it will be kept; None where nothing of it is."""

    facts: Facts
    staged: Staged | None = None
    identity: Identity | None = field(default=None, repr=False)
    instance: Instance | None = field(default=None, repr=False)
    accession: str = ""  # what stands for its accession number, see Intake.accession_of


@dataclass(frozen=True)
class DicomObject:
    """What is known of an object that was received."""

    id: int
    sop_instance_uid: str
    sop_class: str
    series_uid: str
    study_uid: str
    transfer_syntax: str
    image_sha256: str | None
    received_at: datetime
    calling_aet: str
    state: str
    reason: str
    rule: str
    task: str
    operating_point: str
    destinations: tuple[str, ...]
    reading_id: int | None
    modality: str
    series_description: str
    series_number: int | None
    instance_number: int | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    image_type: str
    rows: int
    columns: int
    n_frames: int
    n_expected: int | None
    attempts: int

    @property
    def name(self) -> str:
        """What the reading is called in lists: nothing that identifies."""
        parts = (("series", self.series_number), ("image", self.instance_number))
        return " ".join([self.modality or "DICOM", *(f"{word} {n}" for word, n in parts if n is not None)])


def write_facts(row: DicomObjectRow, facts: Mapping[str, Any]) -> None:
    """What is known of an object, into its row. facts: by the names of Facts."""
    for name, value in facts.items():
        setattr(row, name, list(value) if isinstance(value, tuple) else value)


def close(row: DicomObjectRow, found: StoredReading) -> None:
    """Say in an object's row what its reading is, or that of the series it belongs to."""
    row.reading_id = found.id
    row.state = "refused" if found.refusal_code else "read"
    row.reason = found.refusal_code
    row.told_at = None if row.destinations else now()
