"""Series that come in object by object: when each is due, who reads it, and its reading with all its objects at once.

A series is due when all its objects are here, where one of them says how many there are; else when none has come for a
while, a shorter one once the sender has gone. What comes after it was read makes it due again, and it is read anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from secondread.errors import Conflict, NotThere
from secondread.service.database import Database
from secondread.service.dicom_facts import DicomObject, close
from secondread.service.dicom_tables import LONGEST_REASON, DicomObjectRow, DicomSeriesRow
from secondread.service.image_store import ImageStore
from secondread.service.intake import Staged
from secondread.service.outcomes import Draft, StoredReading
from secondread.service.queue import database_time
from secondread.service.readings import ReadingStore, check_kept
from secondread.service.stacks import FORMAT, Slice, pack_stack, stack_hash, unpack_stack
from secondread.service.statements import write_image
from secondread.service.tables import ImageRow, now, record_of
from secondread.service.trail import Actor, record

_MOST_ATTEMPTS = 5
_DUE_STATES = ("open", "reading")
QUIET, AFTER_SENDER = timedelta(seconds=60), timedelta(seconds=5)


@dataclass(frozen=True)
class Waiting:
    """A series that is this worker's to read, until the lease runs out."""

    series_uid: str
    study_uid: str
    modality: str
    n_expected: int | None
    attempts: int
    objects: tuple[DicomObject, ...]  # all of it that are kept, also those that were read before


def note_arrival(session: Session, row: DicomObjectRow, *, quiet: timedelta = QUIET) -> None:
    """An object of a series has come, in the transaction that keeps it. row: flushed. quiet: without an object, after
    which the series is read."""
    series = session.get(DicomSeriesRow, row.series_uid, with_for_update=True)
    if series is None:
        series = DicomSeriesRow(series_uid=row.series_uid, study_uid=row.study_uid, modality=row.modality)
        session.add(series)
    moment = database_time(session)
    series.last_at, series.state, series.attempts = moment, "open", 0
    series.n_expected = row.n_expected or series.n_expected
    session.flush()
    complete = series.n_expected is not None and _n_here(session, row.series_uid) >= series.n_expected
    series.due_at = moment if complete else moment + quiet


def note_released(session: Session, series_uids: Iterable[str], *, within: timedelta = AFTER_SENDER) -> None:
    """Whoever sent these series has closed the association: they are due soon, unless more comes."""
    soon = database_time(session) + within
    session.execute(
        update(DicomSeriesRow)
        .where(
            DicomSeriesRow.series_uid.in_(list(series_uids)),
            DicomSeriesRow.state == "open",
            DicomSeriesRow.due_at > soon,
        )
        .values(due_at=soon)
    )


class DicomSeries:
    """Safe with any number of workers in any number of processes.

    lease_seconds: after which a series whose worker was killed is read by another.
    """

    def __init__(self, database: Database, images: ImageStore, readings: ReadingStore, *, lease_seconds: float = 600.0):
        self._database = database
        self._images = images
        self._readings = readings
        self.lease = timedelta(seconds=lease_seconds)

    def claim(self) -> Waiting | None:
        """The series that is due longest, with its objects; None where none is due."""
        with self._database.reading() as session:
            due = DicomSeriesRow.state.in_(_DUE_STATES), DicomSeriesRow.due_at <= database_time(session)
            if session.scalars(select(DicomSeriesRow.series_uid).where(*due).limit(1)).first() is None:
                return None
        with self._database.begin() as session:
            first = select(DicomSeriesRow).where(*due).order_by(DicomSeriesRow.due_at).limit(1)
            row = session.scalars(first.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            if row.attempts < _MOST_ATTEMPTS:
                row.state, row.attempts, row.due_at = "reading", row.attempts + 1, database_time(session) + self.lease
                objects = session.scalars(
                    select(DicomObjectRow)
                    .where(
                        DicomObjectRow.series_uid == row.series_uid,
                        DicomObjectRow.image_sha256.is_not(None),
                        DicomObjectRow.state != "failed",
                    )
                    .order_by(DicomObjectRow.instance_number, DicomObjectRow.id)
                ).all()
                return record_of(Waiting, row, objects=tuple(record_of(DicomObject, one) for one in objects))
            row.state, row.reason = "refused", f"reading it ended the worker {row.attempts} times"
            self._fail_objects(session, row)
            record(session, Actor("node", "dicom"), "dicom.failed", f"series:{row.series_uid}", reason=row.reason)
        return self.claim()

    def renew(self, claim: Waiting) -> bool:
        """Prolong the lease of a long series; False where it has been lost."""
        with self._database.begin() as session:
            row = self._held(session, claim)
            if row is not None:
                row.due_at = database_time(session) + self.lease
            return row is not None

    def stage(self, slices: Sequence[Slice]) -> Staged:
        """Keep the list of a series' slices, as an image; its row comes with `finish`.

        Raises NotThere, and Conflict where they are of several people.
        """
        data, sha256 = pack_stack(slices), stack_hash(slices)
        with self._database.reading() as session:
            middle = session.get_one(ImageRow, slices[len(slices) // 2].sha256)
            of = select(ImageRow.patient).where(ImageRow.sha256.in_({one.sha256 for one in slices})).distinct()
            if len(session.scalars(of.limit(2)).all()) > 1:
                raise Conflict("slices of several people came under the number of one series; none of it is read")
            told = tuple(middle.warnings), middle.header, FORMAT
            staged = Staged(sha256, data, *told, patient=middle.patient, study=middle.study, changed=True)
        self._images.keep(sha256, data)
        return staged

    def slices(self, image_sha256: str) -> tuple[Slice, ...]:
        """Those that a reading's image lists, in their order; empty where it is no series. Raises NotThere."""
        return unpack_stack(self._images.image(image_sha256)) or ()

    def finish(
        self,
        claim: Waiting,
        slices: Sequence[Slice],
        read: Sequence[DicomObject],
        left: Sequence[tuple[DicomObject, str]],
        found: Draft | StoredReading,
        *,
        name: str,
        source: str,
        actor: Actor,
    ) -> int | None:
        """Store the reading and close the series and all its objects, in one transaction; gives the reading's number.

        slices: in the order in which they were read. read: the objects of the slices; left: the others, with why they
        are no part of it. None where another worker has the series by now, or an object came meanwhile: then it will be
        read again, with that. Raises NotThere where a slice was erased meanwhile.
        """
        sha256 = stack_hash(slices)
        with self._database.begin() as session:
            images = sorted({one.sha256 for one in slices})
            for image in images:
                check_kept(session, image)
            rows = {one.id: one for one in self._objects(session, claim)}
            row = self._held(session, claim)
            if row is None:
                return None
            self._take_in(session, sha256, slices, actor)
            if isinstance(found, Draft):
                what = {"image_sha256": sha256, "name": name, "source": source}
                found, _ = self._readings.add_within(session, found, **what, actor=actor)
            else:
                record(session, actor, "reading.answered_from_store", f"reading:{found.id}", series=row.series_uid)
            row.state, row.reading_id = "refused" if found.refusal_code else "read", found.id
            row.reason = found.refusal_code
            for one in read:
                close(rows[one.id], found)
            self._leave(session, rows, left)
            return found.id

    def leave(self, claim: Waiting, left: Sequence[tuple[DicomObject, str]], reason: str, *, actor: Actor) -> None:
        """Close a series of which nothing is to be read, with the reason, and that of each object."""
        with self._database.begin() as session:
            rows = {one.id: one for one in self._objects(session, claim)}
            row = self._held(session, claim)
            if row is None:
                return
            row.state, row.reason = "ignored", reason[:LONGEST_REASON]
            self._leave(session, rows, left)
            record(session, actor, "dicom.series_ignored", f"series:{row.series_uid}", reason=row.reason)

    def give_back(self, claim: Waiting, *, seconds: float) -> None:
        """Put a series back, to be read in so many seconds; the attempt does not count."""
        with self._database.begin() as session:
            row = self._held(session, claim)
            if row is not None:
                row.state, row.attempts = "open", row.attempts - 1
                row.due_at = database_time(session) + timedelta(seconds=seconds)

    def fail(self, claim: Waiting, reason: str, *, actor: Actor) -> None:
        """Close a series that cannot be read by an error of ours, with the reason."""
        with self._database.begin() as session:
            row = self._held(session, claim)
            if row is not None:
                row.state, row.reason = "refused", reason[:LONGEST_REASON]
                self._fail_objects(session, row)
                record(session, actor, "dicom.failed", f"series:{row.series_uid}", reason=row.reason)

    def _take_in(self, session: Session, sha256: str, slices: Sequence[Slice], actor: Actor) -> None:
        """The row of the list of slices; a file that was erased in between is written once more."""
        middle = session.get_one(ImageRow, slices[len(slices) // 2].sha256)
        row = {
            "sha256": sha256,
            "n_bytes": len(pack_stack(slices)),
            "format": FORMAT,
            "patient": middle.patient,
            "study": middle.study,
            "deidentified": middle.deidentified,
            "warnings": list(middle.warnings),
            "header": middle.header,
            "received_at": now(),
        }
        write_image(session, row)
        record(session, actor, "image.received", f"image:{sha256}", format=FORMAT, n_slices=len(slices))
        if not self._images.exists(sha256):
            self._images.keep(sha256, pack_stack(slices))

    def _held(self, session: Session, claim: Waiting) -> DicomSeriesRow | None:
        """The row, locked, if it is still this worker's: who claims it later has counted one attempt more."""
        row = session.get(DicomSeriesRow, claim.series_uid, with_for_update=True)
        return row if row is not None and row.state == "reading" and row.attempts == claim.attempts else None

    def _objects(self, session: Session, claim: Waiting) -> Sequence[DicomObjectRow]:
        ids = [one.id for one in claim.objects]
        mine = select(DicomObjectRow).where(DicomObjectRow.series_uid == claim.series_uid)
        return [row for row in session.scalars(mine.with_for_update()) if row.id in set(ids)]

    def _leave(
        self, session: Session, rows: dict[int, DicomObjectRow], left: Sequence[tuple[DicomObject, str]]
    ) -> None:
        for one, why in left:
            rows[one.id].state, rows[one.id].reason = "ignored", why[:LONGEST_REASON]
        session.flush()

    def _fail_objects(self, session: Session, row: DicomSeriesRow) -> None:
        waiting = DicomObjectRow.series_uid == row.series_uid, DicomObjectRow.state == "waiting"
        session.execute(update(DicomObjectRow).where(*waiting).values(state="failed", reason=row.reason))


def members_of(session: Session, image_sha256s: Iterable[str], images: ImageStore) -> set[str]:
    """The slices of those of these images that are lists of slices."""
    found: set[str] = set()
    for sha256 in session.scalars(
        select(ImageRow.sha256).where(ImageRow.sha256.in_(list(image_sha256s)), ImageRow.format == FORMAT)
    ):
        try:
            found |= {one.sha256 for one in unpack_stack(images.image(sha256)) or ()}
        except NotThere:
            continue
    return found


def _n_here(session: Session, series_uid: str) -> int:
    here = DicomObjectRow.series_uid == series_uid, DicomObjectRow.image_sha256.is_not(None)
    return session.scalar(select(func.count()).select_from(DicomObjectRow).where(*here)) or 0
