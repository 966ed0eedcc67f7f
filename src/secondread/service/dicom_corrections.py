"""Objects that came again under their number as another patient's or study's: kept aside until a person has decided.

A mistake at the scanner is mended so, and so does a fault look that mixes up two people: no program tells them apart.
The first object stays, with its reading; accepted, the second takes its place, is read anew and its results are sent
under the right name. Nothing that identifies stands here in the open.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.orm import Session

from secondread.errors import Conflict, NotThere
from secondread.service.database import Database
from secondread.service.dicom_facts import Arrival, write_facts
from secondread.service.dicom_series import note_arrival
from secondread.service.dicom_tables import DicomCorrectionRow, DicomExportRow, DicomObjectRow, DicomSeriesRow
from secondread.service.identities import Identities
from secondread.service.image_store import ImageStore
from secondread.service.queue import database_time
from secondread.service.tables import ImageRow, ReadingRow, now, record_of
from secondread.service.trail import Actor, record

_CORRECTED = "the object was corrected: it is another patient's or study's"


@dataclass(frozen=True)
class Correction:
    """One that waits to be decided, or was. reading: that the first object has now, where it has one."""

    id: int
    calling_aet: str
    received_at: datetime
    state: str  # open, accepted or rejected
    decided_by: str
    reading: int | None


@dataclass(frozen=True)
class LeftResult:
    """A result that an archive has under the first patient, and that nobody but its administrator can take out."""

    destination: str
    kind: str
    sop_instance_uid: str


class Corrections:
    """What administrators decide. Safe with any number of processes."""

    def __init__(self, database: Database, images: ImageStore, identities: Identities):
        self._database = database
        self._images = images
        self._identities = identities

    def latest(self, limit: int = 50, *, open_only: bool = True) -> list[Correction]:
        """The newest first."""
        rows = select(DicomCorrectionRow, DicomObjectRow.reading_id).outerjoin(
            DicomObjectRow, DicomObjectRow.sop_instance_uid == DicomCorrectionRow.sop_instance_uid
        )
        if open_only:
            rows = rows.where(DicomCorrectionRow.state == "open")
        with self._database.reading() as session:
            found = session.execute(rows.order_by(DicomCorrectionRow.id.desc()).limit(limit)).all()
            return [record_of(Correction, row, reading=reading) for row, reading in found]

    def accept(self, number: int, *, actor: Actor) -> tuple[LeftResult, ...]:
        """Let the second object stand in place of the first: it is read anew, and its results go out; in one
        transaction. The first one's reading is taken out of sight. Gives its results that an archive has.

        Raises NotThere, and Conflict for one that was decided.
        """
        with self._database.begin() as session:
            one = self._open_one(session, number)
            image = session.get_one(ImageRow, one.image_sha256, with_for_update=True)
            of_object = select(DicomObjectRow).where(DicomObjectRow.sop_instance_uid == one.sop_instance_uid)
            row = session.scalars(of_object.with_for_update()).one()
            before, old_series = row.reading_id, row.series_uid
            write_facts(row, one.facts)
            row.image_sha256, row.sealed, row.sha256 = one.image_sha256, one.sealed, one.sha256
            row.reading_id, row.told_at, row.attempts, row.reason = None, None, 0, ""
            row.received_at = row.next_attempt_at = database_time(session)
            session.flush()
            if one.study_sealed:
                self._identities.keep_within(session, row.study_uid, image.patient, one.study_sealed)
            if row.state == "waiting":
                note_arrival(session, row)
            left = _withdraw(session, before, old_series, actor)
            self._decide(session, one, "accepted", actor, object=row.id, reading=before)
        return left

    def reject(self, number: int, *, actor: Actor) -> None:
        """The first object stays as it is; of the second nothing is kept. Raises as `accept`."""
        with self._database.begin() as session:
            one = self._open_one(session, number)
            image = session.get_one(ImageRow, one.image_sha256, with_for_update=True)
            if not session.scalar(select(or_(*_uses(image.sha256, but=one.id)))):
                self._images.forget(image.sha256)
                image.erased_at, image.patient, image.study, image.header = now(), "", "", {}
            one.sealed = one.study_sealed = b""
            self._decide(session, one, "rejected", actor)

    def _open_one(self, session: Session, number: int) -> DicomCorrectionRow:
        row = session.get(DicomCorrectionRow, number, with_for_update=True)
        if row is None:
            raise NotThere(f"there is no correction {number}; `secondread dicom corrections` lists them")
        if row.state != "open":
            raise Conflict(f"correction {number} was {row.state} by {row.decided_by}")
        return row

    def _decide(self, session: Session, one: DicomCorrectionRow, state: str, actor: Actor, **told: Any) -> None:
        one.state, one.decided_at, one.decided_by = state, now(), actor.name
        record(session, actor, f"dicom.correction_{state}", f"correction:{one.id}", **told)


def keep_aside(session: Session, arrival: Arrival, sealed: tuple[bytes, bytes], actor: Actor) -> None:
    """The row of what came, once whatever the number of times; its image's row is written before."""
    facts, staged = arrival.facts, arrival.staged
    assert staged is not None, "an object without a file is nobody's"
    same = (
        DicomCorrectionRow.sop_instance_uid == facts.sop_instance_uid,
        DicomCorrectionRow.sha256 == facts.sha256,
    )
    if session.scalar(select(exists().where(*same))):
        return
    row = DicomCorrectionRow(
        sop_instance_uid=facts.sop_instance_uid,
        sha256=facts.sha256,
        image_sha256=staged.sha256,
        facts=vars(facts),
        study_sealed=sealed[0],
        sealed=sealed[1],
        calling_aet=facts.calling_aet,
    )
    session.add(row)
    session.flush()
    record(session, actor, "dicom.conflict", f"correction:{row.id}", calling=facts.calling_aet)


def forget_corrections_of(session: Session, image_sha256: str) -> None:
    """In the transaction that erases an image: what was to take its place, and what it was to take the place of."""
    objects = select(DicomObjectRow.sop_instance_uid).where(DicomObjectRow.image_sha256 == image_sha256)
    own = DicomCorrectionRow.image_sha256 == image_sha256
    session.execute(delete(DicomCorrectionRow).where(own | DicomCorrectionRow.sop_instance_uid.in_(objects)))


def _withdraw(session: Session, reading_id: int | None, series_uid: str, actor: Actor) -> tuple[LeftResult, ...]:
    """Take the first object's reading out of sight and stop its results; the other slices of it are read anew."""
    if reading_id is None:
        return ()
    session.execute(
        update(ReadingRow)
        .where(ReadingRow.id == reading_id, ReadingRow.deleted_at.is_(None))
        .values(deleted_at=now(), deleted_by=actor.name)
    )
    record(session, actor, "reading.deleted", f"reading:{reading_id}", why=_CORRECTED)
    mine = DicomExportRow.reading_id == reading_id
    waiting = mine & (DicomExportRow.state == "waiting")
    session.execute(update(DicomExportRow).where(waiting).values(state="failed", last_error=_CORRECTED))
    others = DicomObjectRow.reading_id == reading_id, DicomObjectRow.series_uid == series_uid
    if series_uid and session.scalar(select(exists().where(*others))):
        due = {"state": "open", "attempts": 0, "due_at": database_time(session)}
        session.execute(update(DicomSeriesRow).where(DicomSeriesRow.series_uid == series_uid).values(**due))
    sent = select(DicomExportRow).where(mine, DicomExportRow.state == "sent").order_by(DicomExportRow.id)
    return tuple(record_of(LeftResult, row) for row in session.scalars(sent))


def _uses(image_sha256: str, *, but: int) -> Iterable[Any]:
    """Conditions, one of which holds where something else needs the image. but: the correction that gives it up."""
    others = DicomCorrectionRow.image_sha256 == image_sha256, DicomCorrectionRow.id != but
    yield exists().where(DicomObjectRow.image_sha256 == image_sha256)
    yield exists().where(ReadingRow.image_sha256 == image_sha256)
    yield exists().where(*others, DicomCorrectionRow.state == "open")
