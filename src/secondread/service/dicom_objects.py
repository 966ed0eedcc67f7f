"""What a DICOM node received: kept durably before the sender is told so, read once, and handed on once it is read.

Rows speak of pseudonyms alone; the file itself lies among the images, as any that was uploaded. A transaction locks
images first, then objects: so does an erasure.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from secondread.service.commits import GroupCommit
from secondread.service.database import Database
from secondread.service.dicom_corrections import keep_aside
from secondread.service.dicom_facts import Arrival, DicomObject, close, write_facts
from secondread.service.dicom_series import note_arrival, note_released
from secondread.service.dicom_tables import DUE, LONGEST_REASON, UNTOLD, DicomCorrectionRow, DicomObjectRow
from secondread.service.identities import Identities
from secondread.service.image_store import ImageStore
from secondread.service.intake import Intake
from secondread.service.orders import note_arrived
from secondread.service.outcomes import Draft, StoredReading
from secondread.service.queue import database_time
from secondread.service.readings import ReadingStore, check_kept
from secondread.service.tables import ImageRow, now, record_of
from secondread.service.trail import Actor, record
from secondread.service.uploads import Claim, ReadingRequest

STATES = ("received", "waiting", "read", "refused", "ignored", "failed")
NEW, SAME, OTHER, CONFLICT = "new", "same", "other", "conflict"
_MOST_ATTEMPTS = 5


class DicomObjects:
    """Safe with any number of nodes and workers in any number of processes.

    lease_seconds: after which an object whose worker was killed is read by another. quiet_seconds: without another
    object, after which a series is whole.
    """

    def __init__(
        self,
        database: Database,
        images: ImageStore,
        intake: Intake,
        readings: ReadingStore,
        identities: Identities,
        *,
        lease_seconds: float = 120.0,
        quiet_seconds: float = 60.0,
    ):
        self._database = database
        self._images = images
        self._intake = intake
        self._readings = readings
        self._identities = identities
        self._together = GroupCommit(database)
        self.lease = timedelta(seconds=lease_seconds)
        self._quiet = timedelta(seconds=quiet_seconds)

    def put(self, arrival: Arrival, *, actor: Actor) -> str:
        """Keep an object; durable when it returns. What several threads keep at once is committed together.

        Gives NEW, SAME for one that is here already, OTHER for another content of the same UID: the first stays. So it
        does for CONFLICT, another patient's or another study's under that UID, which is kept aside until somebody has
        decided (see Corrections). What was refused, ignored or erased before is taken as new.
        Raises ServiceError, CannotWrite, DiskFull.
        """
        if (known := self._known(arrival)) is not None:
            return self._aside(arrival, actor) if known == CONFLICT else known
        if arrival.staged is not None:
            self._images.keep(arrival.staged.sha256, arrival.staged.data)
        sealed = self._sealed(arrival)
        for last in (False, True):
            try:
                found = self._together(
                    arrival.facts.sop_instance_uid, lambda session: self._put(session, arrival, sealed, actor)
                )
                return self._aside(arrival, actor) if found == CONFLICT else found
            except IntegrityError:  # the same object at the same moment, from another process
                if last:
                    raise
        raise AssertionError("unreachable")

    def known(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """Which of these have come before, whatever became of them, erased ones too: not to be asked for again.

        Pseudonyms. What failed by an error of ours may come again.
        """
        here = DicomObjectRow.sop_instance_uid.in_(sop_instance_uids), DicomObjectRow.state != "failed"
        with self._database.reading() as session:
            erased = (
                select(DicomObjectRow.sop_instance_uid)
                .join(ImageRow, ImageRow.sha256 == DicomObjectRow.image_sha256)
                .where(DicomObjectRow.sop_instance_uid.in_(sop_instance_uids), ImageRow.erased_at.is_not(None))
            )
            return {
                *session.scalars(select(DicomObjectRow.sop_instance_uid).where(*here)),
                *session.scalars(erased),
                *session.scalars(
                    select(DicomCorrectionRow.sop_instance_uid).where(
                        DicomCorrectionRow.sop_instance_uid.in_(sop_instance_uids)
                    )
                ),
            }

    def _known(self, arrival: Arrival) -> str | None:
        with self._database.reading() as session:
            return _known_as(_live(session, arrival.facts.sop_instance_uid), arrival)

    def _aside(self, arrival: Arrival, actor: Actor) -> str:
        """Keep what came under a UID that is another's here."""
        assert arrival.staged is not None, "an object without a file is nobody's"
        self._images.keep(arrival.staged.sha256, arrival.staged.data)
        sealed = self._sealed(arrival)
        with self._database.begin() as session:
            self._intake.keep_within(session, arrival.staged, actor=actor)
            keep_aside(session, arrival, sealed, actor)
        return CONFLICT

    def _sealed(self, arrival: Arrival) -> tuple[bytes, bytes]:
        """Of the study and of the object; done before the transaction, which is short."""
        if arrival.staged is None or arrival.identity is None or arrival.instance is None:
            return b"", b""
        facts = arrival.facts
        return (
            self._identities.seal(facts.study_uid, arrival.identity),
            self._identities.seal_instance(facts.sop_instance_uid, arrival.instance),
        )

    def _put(self, session: Session, arrival: Arrival, sealed: tuple[bytes, bytes], actor: Actor) -> str:
        facts, staged = arrival.facts, arrival.staged
        if (known := _known_as(_live(session, facts.sop_instance_uid), arrival)) is not None:
            return known
        if staged is not None:
            self._intake.keep_within(session, staged, actor=actor)
            if sealed[0]:
                self._identities.keep_within(session, facts.study_uid, staged.patient, sealed[0])
        row = session.scalars(
            select(DicomObjectRow).where(DicomObjectRow.sop_instance_uid == facts.sop_instance_uid).with_for_update()
        ).one_or_none()
        if row is None:
            row = DicomObjectRow(sop_instance_uid=facts.sop_instance_uid)
            session.add(row)
        write_facts(row, vars(facts))
        row.image_sha256 = staged.sha256 if staged else None
        row.sealed, row.reading_id, row.told_at, row.attempts = sealed[1], None, None, 0
        row.received_at = row.next_attempt_at = now()
        session.flush()
        if row.state == "waiting":
            note_arrival(session, row, quiet=self._quiet)
        if staged is not None:
            note_arrived(session, study_uid=facts.study_uid, accession=arrival.accession)
        return NEW

    def claim(self) -> Claim | None:
        """The next picture to read, now this worker's until the lease runs out; None where none is due."""
        with self._database.reading() as session:
            if session.execute(_due(session).with_only_columns(DicomObjectRow.id)).first() is None:
                return None
        with self._database.begin() as session:
            row = session.scalars(_due(session).with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            if row.attempts < _MOST_ATTEMPTS:
                row.attempts, row.next_attempt_at = row.attempts + 1, database_time(session) + self.lease
                return _claim(row)
            # Who reads it dies of it, every time: the others must not wait for it.
            self._fail(session, row, "worker_died", f"reading it ended the worker {row.attempts} times")
        return self.claim()

    def renew(self, claim: Claim) -> bool:
        """Prolong the lease of a slow reading; False where it has been lost."""
        with self._database.begin() as session:
            row = _held(session, claim)
            if row is not None:
                row.next_attempt_at = database_time(session) + self.lease
            return row is not None

    def finish(self, claim: Claim, found: Draft | StoredReading) -> StoredReading | None:
        """Store the reading and close the object, in one transaction; None where another worker has it by now.

        Raises NotThere where the image was erased meanwhile.
        """
        actor = Actor(claim.asked_by, "worker")
        with self._database.begin() as session:
            check_kept(session, claim.image_sha256)
            row = _held(session, claim)
            if row is None:
                return None
            if isinstance(found, Draft):
                what = {"image_sha256": claim.image_sha256, "name": claim.name, "source": claim.asked.source}
                found, _ = self._readings.add_within(session, found, **what, actor=actor)
            else:
                record(session, actor, "reading.answered_from_store", f"reading:{found.id}", object=row.id)
            close(row, found)
            return found

    def fail(self, claim: Claim, *, code: str, message: str) -> bool:
        """Close an object that cannot be read by an error of ours; False where the lease was lost."""
        with self._database.begin() as session:
            row = _held(session, claim)
            if row is not None:
                self._fail(session, row, code, message)
            return row is not None

    def _fail(self, session: Session, row: DicomObjectRow, code: str, message: str) -> None:
        row.state, row.reason = "failed", f"{code}: {message}"[:LONGEST_REASON]
        record(session, Actor(_asked_by(row), "worker"), "dicom.failed", f"object:{row.id}", code=code)

    def give_back(self, claim: Claim, *, seconds: float = 0.0) -> None:
        """Put an unread object back, to be read in so many seconds: it does not count as an attempt."""
        with self._database.begin() as session:
            row = _held(session, claim)
            if row is not None:
                row.attempts -= 1
                row.next_attempt_at = database_time(session) + timedelta(seconds=seconds)

    def untold(self, limit: int = 100) -> dict[int, tuple[str, ...]]:
        """Readings whose results were not handed to the outbox yet, the oldest first, with where they go."""
        columns = select(DicomObjectRow.reading_id, DicomObjectRow.destinations)
        with self._database.reading() as session:
            rows = session.execute(columns.where(text(UNTOLD)).order_by(DicomObjectRow.id).limit(limit)).all()
        found: dict[int, tuple[str, ...]] = {}
        for reading_id, destinations in rows:
            assert reading_id is not None, "the statement asks for those that have one"
            found[reading_id] = tuple(dict.fromkeys((*found.get(reading_id, ()), *destinations)))
        return found

    def told(self, reading_id: int) -> None:
        """The outbox has the results of this reading now."""
        with self._database.begin() as session:
            session.execute(
                update(DicomObjectRow)
                .where(DicomObjectRow.reading_id == reading_id, DicomObjectRow.told_at.is_(None))
                .values(told_at=now())
            )

    def note_sent(self, series_uids: Collection[str]) -> None:
        """A sender that sent objects of these series has ended its association: they may be whole now."""
        if series_uids:
            with self._database.begin() as session:
                note_released(session, series_uids)

    def of_reading(self, reading_id: int) -> list[DicomObject]:
        """The objects that a reading read, in the order of their numbers."""
        return self._objects(DicomObjectRow.reading_id == reading_id)

    def of_series(self, series_uid: str) -> list[DicomObject]:
        """The objects of a series that are kept, in the order of their numbers. series_uid: the pseudonym."""
        return self._objects(DicomObjectRow.series_uid == series_uid, DicomObjectRow.image_sha256.is_not(None))

    def _objects(self, *which: Any) -> list[DicomObject]:
        order = (DicomObjectRow.instance_number, DicomObjectRow.id)
        with self._database.reading() as session:
            return [_object(row) for row in session.scalars(select(DicomObjectRow).where(*which).order_by(*order))]

    def kept(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """Which of these are here, with their files: what a storage commitment may promise. Pseudonyms."""
        columns = select(DicomObjectRow.sop_instance_uid, DicomObjectRow.image_sha256)
        with self._database.reading() as session:
            rows = session.execute(
                columns.join(ImageRow, ImageRow.sha256 == DicomObjectRow.image_sha256).where(
                    DicomObjectRow.sop_instance_uid.in_(sop_instance_uids), ImageRow.erased_at.is_(None)
                )
            ).all()
        return {uid for uid, sha256 in rows if sha256 and self._images.exists(sha256)}

    def counts(self) -> dict[str, int]:
        """How many objects are in which state."""
        with self._database.reading() as session:
            rows = session.execute(select(DicomObjectRow.state, func.count()).group_by(DicomObjectRow.state))
            return dict.fromkeys(STATES, 0) | {row[0]: row[1] for row in rows}

    def latest(self, limit: int = 20) -> list[DicomObject]:
        """What came in last."""
        with self._database.reading() as session:
            rows = session.scalars(select(DicomObjectRow).order_by(DicomObjectRow.id.desc()).limit(limit))
            return [_object(row) for row in rows]


def _due(session: Session) -> Any:
    return (
        select(DicomObjectRow)
        .where(text(DUE), DicomObjectRow.next_attempt_at <= database_time(session))
        .order_by(DicomObjectRow.next_attempt_at, DicomObjectRow.id)
        .limit(1)
    )


def _held(session: Session, claim: Claim) -> DicomObjectRow | None:
    """The row, locked, if it is still this worker's: who claims it later has counted one attempt more."""
    row = session.get(DicomObjectRow, claim.id, with_for_update=True)
    return row if row is not None and row.state == "received" and row.attempts == claim.attempts else None


def _claim(row: DicomObjectRow) -> Claim:
    assert row.image_sha256 is not None, "an object without a file is due to be read"
    asked = ReadingRequest(row.task, operating_point=row.operating_point, source=row.calling_aet)
    name = _object(row).name
    return Claim(row.id, 0, name, row.image_sha256, asked, _asked_by(row), f"attempt {row.attempts}", row.attempts)


def _asked_by(row: DicomObjectRow) -> str:
    return f"dicom:{row.calling_aet}"


def _live(session: Session, sop_instance_uid: str) -> Any:
    """What is known of an object whose file is here, or that was read of one; None for any other."""
    columns = select(DicomObjectRow.sha256, DicomObjectRow.study_uid, ImageRow.patient)
    return session.execute(
        columns.join(ImageRow, ImageRow.sha256 == DicomObjectRow.image_sha256).where(
            DicomObjectRow.sop_instance_uid == sop_instance_uid,
            DicomObjectRow.state != "failed",
            ImageRow.erased_at.is_(None),
        )
    ).first()


def _known_as(row: Any, arrival: Arrival) -> str | None:
    if row is None:
        return None
    facts, staged = arrival.facts, arrival.staged
    if row.sha256 == facts.sha256:
        return SAME
    return OTHER if staged is None or (row.study_uid, row.patient) == (facts.study_uid, staged.patient) else CONFLICT


def _object(row: DicomObjectRow) -> DicomObject:
    return record_of(DicomObject, row)
