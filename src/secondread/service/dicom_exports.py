"""Results of readings on their way to a hospital's archive: which object goes where, and whether it has arrived."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from secondread.service.database import Database
from secondread.service.dicom_tables import DicomExportRow
from secondread.service.identities import IDENTIFY
from secondread.service.outcomes import StoredReading
from secondread.service.outgoing import Outgoing
from secondread.service.tables import ImageRow, record_of
from secondread.service.trail import Actor, record

_GIVE_UP = timedelta(days=7)
NODE = Actor("node", "dicom", scopes=frozenset({"read", "write", IDENTIFY}))  # the one that may open identities


@dataclass(frozen=True)
class Export:
    """One object with results, on its way to one destination. state: waiting, sent or failed."""

    id: int
    reading_id: int
    destination: str
    kind: str  # sr, capture, gsps or map
    sop_instance_uid: str
    state: str
    attempts: int
    next_attempt_at: datetime
    last_error: str
    created_at: datetime
    sent_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        moments = ("next_attempt_at", "created_at", "sent_at")
        return vars(self) | {name: at.isoformat() if (at := getattr(self, name)) else None for name in moments}


class DicomExports(Outgoing[Export]):
    """Safe with any number of nodes in any number of processes."""

    def __init__(self, database: Database):
        super().__init__(database, DicomExportRow, Export, together=DicomExportRow.destination, give_up=_GIVE_UP)

    def add(
        self, reading_id: int, objects: Sequence[tuple[str, str]], destinations: Iterable[str], *, again: bool = False
    ) -> list[Export]:
        """Put objects on their way; what is on its way or has arrived already is left as it is.

        objects: (kind, SOP instance UID). again: sends also what has arrived or failed before. Gives all their rows.
        """
        wanted = [(kind, uid, place) for place in dict.fromkeys(destinations) for kind, uid in objects]
        for last in (False, True):
            try:
                with self._database.begin() as session:
                    return [record_of(Export, row) for row in self._added(session, reading_id, wanted, again)]
            except IntegrityError:  # the same at the same moment, from another process
                if last:
                    raise
        raise AssertionError("unreachable")

    def _added(
        self, session: Session, reading_id: int, wanted: Sequence[tuple[str, str, str]], again: bool
    ) -> list[DicomExportRow]:
        known = select(DicomExportRow).where(
            DicomExportRow.sop_instance_uid.in_([uid for _, uid, _ in wanted]),
            DicomExportRow.destination.in_([place for _, _, place in wanted]),
        )
        rows = {(row.sop_instance_uid, row.destination): row for row in session.scalars(known.with_for_update())}
        if again:
            self._again(session, list(rows.values()))
        for kind, uid, place in wanted:
            if (uid, place) not in rows:
                row = DicomExportRow(reading_id=reading_id, kind=kind, sop_instance_uid=uid, destination=place)
                session.add(row)
                rows[uid, place] = row
        session.flush()
        return sorted(rows.values(), key=lambda row: row.id)

    def is_ours(self, sop_instance_uid: str) -> bool:
        """Whether an object with results has this UID, which it keeps whatever an archive writes into it."""
        ours = select(DicomExportRow.id).where(DicomExportRow.sop_instance_uid == sop_instance_uid).limit(1)
        with self._database.reading() as session:
            return session.scalar(ours) is not None

    def stand_ins_of(self, reading: StoredReading) -> tuple[str, str]:
        """The pseudonyms of the person and of the study that it is of; '' where there is none."""
        of_image = select(ImageRow.patient, ImageRow.study).where(ImageRow.sha256 == reading.image_sha256)
        with self._database.reading() as session:
            patient, study = session.execute(of_image).one()
        return patient, study

    def noted(self, session: Session, row: Any) -> None:
        """The trail knows what left the house."""
        told = {"kind": row.kind, "destination": row.destination, "object": row.sop_instance_uid}
        record(session, NODE, "dicom.sent", f"reading:{row.reading_id}", **told)
