"""Erasing one person everywhere: what would go, what went with proof in the trail, and a list for restored backups.

A person is known here by a pseudonym (see images.deidentify), or by any reading of theirs. What was measured stays, as
with retention; what names them goes, at once and wherever it is kept.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import String, and_, cast, func, select, update
from sqlalchemy.orm import Session

from secondread.errors import CannotOpen, Conflict, DataInvalid, NotThere, UsageError
from secondread.service.database import Database
from secondread.service.dicom_series import members_of
from secondread.service.image_store import ERASURES, ImageStore
from secondread.service.maintenance import maintenance
from secondread.service.orders import forget_orders_of
from secondread.service.retention import WAITING_STATES, erase_image
from secondread.service.tables import (
    BatchRow,
    ExportedRow,
    ImageRow,
    ItemRow,
    ReadingRow,
    ReviewRow,
    TrailRow,
    iso,
    now,
)
from secondread.service.trail import Actor, record

_PSEUDONYM = re.compile(r"[0-9a-f]{16,32}")
_MARK = re.compile(r"[0-9a-f]{64}")
_LEFT = ("report.made", "worklist.exported")  # lines of the trail of what leaves with a name or a picture in it


@dataclass(frozen=True)
class Left:
    """What was handed out before, which nothing here can take back."""

    what: str  # as the trail calls it
    at: str
    by: str
    certain: bool  # False: a list of readings, which may have held these

    def __str__(self) -> str:
        return f"{self.what} on {self.at[:16].replace('T', ' ')} UTC by {self.by}" + (
            "" if self.certain else " (perhaps)"
        )


@dataclass(frozen=True)
class Erasable:
    """What is kept of a person, and goes or stays with an erasure."""

    patient: str  # the pseudonym; '' where the image has none, and then it is the one image alone
    images: tuple[str, ...]
    readings: tuple[int, ...]
    items: int  # of uploads, whose names go
    waiting: int  # of them still in the queue, which are taken out
    notes: int  # of reviewers, which go; what they found stays
    left: tuple[Left, ...] = ()
    alike: tuple[int, ...] = ()  # readings of other images whose typed patient line is the same: look at them too
    being_read: int = field(default=0, repr=False)

    @property
    def key(self) -> str:
        """Of what was looked at: an erasure that is told it takes that and nothing else."""
        return _digest("\n".join((self.patient, *self.images, *map(str, self.readings))))[:16]

    @property
    def mark(self) -> str:
        """What the trail and the list call the person: a hash, from which nobody finds the pseudonym."""
        return mark_of(self.patient) if self.patient else ""


@dataclass(frozen=True)
class Erasing:
    """A line of the list that is kept beside the database: it lets an erasure be done again on an older backup."""

    at: str
    person: str  # see Erasable.mark; '' where the images are all that is known
    images: tuple[str, ...]


class Erasure:
    """Erases people. Safe beside a running server; not beside a backup or retention, which wait for one another."""

    def __init__(self, database: Database, images: ImageStore):
        self._database = database
        self._images = images

    @property
    def list_name(self) -> str:
        """What remembers erasures, and where it lies; a copy of it belongs to the backups."""
        return f"{ERASURES} in {self._images.storage.name}"

    def look(self, *, patient: str = "", reading: int | None = None, actor: Actor) -> Erasable:
        """What `erase` would take, noted in the trail. Raises UsageError, or NotThere where nothing is kept."""
        with self._database.begin() as session:
            found = self._found(session, patient, reading)
            record(session, actor, "erasure.looked_at", f"erasure:{found.key}", images=len(found.images))
        return found

    def erase(self, *, patient: str = "", reading: int | None = None, key: str = "", actor: Actor) -> Erasable:
        """Erase a person, and say in the trail who did, when, how much, and hashes of what; gives what went.

        key: of what was looked at before; Conflict where something came in since. Raises Conflict also while an image
        is being read or a backup runs, else as `look`. Files go first, the trail says so after, all rows in one
        transaction: an erasure that is killed is ended by doing it again.
        """
        with maintenance(self._database, self._images.folder):
            with self._database.begin() as session:
                found = self._found(session, patient, reading)
                if key and key != found.key:
                    raise Conflict("what is kept of this person has changed since it was looked at; look again")
                if found.being_read:
                    raise Conflict("an image of this person is being read now; try again in a minute")
                self._remember(Erasing(iso(now()), found.mark, found.images))
                self._take(session, found, actor)
            self._database.settle()
        return found

    def repeat(self, erasings: Iterable[Erasing], *, actor: Actor) -> int:
        """Do erasures again, on a database that was restored from before them; how many images went.

        Images that were received after an erasure are not of it.
        """
        n = 0
        with maintenance(self._database, self._images.folder):
            for one in erasings:
                with self._database.begin() as session:
                    found = self._again(session, one)
                    if found is None:
                        continue
                    self._remember(one)
                    self._take(session, found, actor)
                    n += len(found.images)
            self._database.settle()
        return n

    def _remember(self, one: Erasing) -> None:
        """Before the rows go: an erasure that is written down and was then killed is done again to no harm."""
        self._images.storage.append(ERASURES, f"{json.dumps(asdict(one))}\n".encode())

    def _found(self, session: Session, patient: str, reading: int | None) -> Erasable:
        if bool(patient) == (reading is not None):
            raise UsageError("name a patient's pseudonym or the number of a reading, one of the two")
        if reading is not None:
            row = session.get(ReadingRow, reading) if abs(reading) < 2**31 else None
            if row is None:
                raise NotThere(f"there is no reading {reading}")
            image = session.get_one(ImageRow, row.image_sha256)
            if not image.patient:
                slices = members_of(session, [image.sha256], self._images)
                of_slices = session.scalars(select(ImageRow).where(ImageRow.sha256.in_(slices)))
                return self._of(session, "", [image, *of_slices])
            patient = image.patient
        return self._of(session, *_of_patient(session, patient))

    def _again(self, session: Session, one: Erasing) -> Erasable | None:
        """What a restored database holds of it; what came in after that erasure was not meant by it, and stays."""
        at = datetime.fromisoformat(one.at)
        before = ImageRow.received_at <= (at if at.tzinfo else at.replace(tzinfo=UTC))
        here = session.scalars(select(ImageRow).where(ImageRow.erased_at.is_(None), before))
        images = [
            row for row in here if row.sha256 in one.images or (row.patient and mark_of(row.patient) == one.person)
        ]
        return self._of(session, next((row.patient for row in images if row.patient), ""), images) if images else None

    def _of(self, session: Session, patient: str, images: Sequence[ImageRow]) -> Erasable:
        if all(image.erased_at is not None for image in images):
            raise NotThere("nothing is kept of this person any more")
        hashes = tuple(sorted(image.sha256 for image in images if image.erased_at is None))
        readings = session.scalars(
            select(ReadingRow.id).where(ReadingRow.image_sha256.in_(hashes)).order_by(ReadingRow.id)
        ).all()
        items = session.execute(
            select(ItemRow.state, ItemRow.lease_until).where(ItemRow.image_sha256.in_(hashes))
        ).all()
        held = [row for row in items if row.state == "running" and row.lease_until and row.lease_until > now()]
        notes = select(func.count()).where(ReviewRow.reading_id.in_(readings), ReviewRow.note != "")
        return Erasable(
            patient=patient,
            images=hashes,
            readings=tuple(readings),
            items=len(items),
            waiting=sum(row.state in WAITING_STATES for row in items),
            notes=session.scalar(notes) or 0,
            left=tuple(_left(session, hashes, readings, images)),
            alike=_alike(session, hashes, images),
            being_read=len(held),
        )

    def _take(self, session: Session, found: Erasable, actor: Actor) -> None:
        """Files first, then rows; the lines of the trail come with the commit."""
        rows = session.scalars(
            select(ImageRow).where(ImageRow.sha256.in_(found.images)).order_by(ImageRow.sha256).with_for_update()
        ).all()
        items = ItemRow.image_sha256.in_(found.images)
        session.execute(
            update(ItemRow)
            .where(items, ItemRow.state.in_(WAITING_STATES))
            .values(state="cancelled", code="erased", lease="", lease_until=None, finished_at=now())
        )
        _empty_batches(session, found.images)
        forget_orders_of(session, found.patient)
        what = found.mark or found.images[0]
        for image in rows:
            erase_image(session, self._images, image, "the person was erased", actor, person=True)
        counts = {"images": len(rows), "readings": len(found.readings), "items": found.items, "notes": found.notes}
        left = [f"{one.what} {one.at} {one.by}" for one in found.left if one.certain]
        record(session, actor, "person.erased", f"erasure:{found.key}", person=what, left_before=left, **counts)


def note_exported(session: Session, images: Iterable[str], kind: str, actor: Actor) -> None:
    """Note which images leave in an export, in the transaction that says so in the trail."""
    moment = now()
    session.add_all(ExportedRow(image_sha256=one, kind=kind, at=moment, by=actor.name[:100]) for one in images)


def read_erasings(path: Path) -> list[Erasing]:
    """The list that was kept, the oldest first. Raises CannotOpen, DataInvalid."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotOpen(f"the list of erasures '{path}' cannot be read: {error}") from error
    found = []
    for number, line in enumerate(filter(None, lines), 1):
        try:
            told = json.loads(line)
            one = Erasing(str(told["at"]), str(told["person"]), tuple(map(str, told["images"])))
            datetime.fromisoformat(one.at)
        except (ValueError, TypeError, KeyError) as error:
            raise DataInvalid(f"line {number} of '{path}' is no erasure; give the file {ERASURES} as it was") from error
        if not all(map(_MARK.fullmatch, (*one.images, *filter(None, [one.person])))):
            raise DataInvalid(f"line {number} of '{path}' names no hashes; give the file {ERASURES} as it was")
        found.append(one)
    return found


def mark_of(patient: str) -> str:
    """A pseudonym as the trail and the list of erasures call it."""
    return _digest(f"secondread erasure\0{patient}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _of_patient(session: Session, patient: str) -> tuple[str, Sequence[ImageRow]]:
    """The whole pseudonym and its images. A file of ours has its first 16 digits, in capitals, as the patient's ID."""
    wanted = patient.strip().lower()
    if not _PSEUDONYM.fullmatch(wanted):
        raise UsageError(
            "this is no pseudonym; give the 32 digits of `patient` in an export, or the 16 of the patient's ID in a "
            "file of ours, or the number of a reading"
        )
    rows = session.scalars(select(ImageRow).where(ImageRow.patient.startswith(wanted)).order_by(ImageRow.sha256)).all()
    if not rows:
        raise NotThere("no image of this patient is kept; it may have been erased already")
    if len({row.patient for row in rows}) > 1:
        raise UsageError("several patients have pseudonyms that begin so; give all 32 digits")
    return rows[0].patient, rows


def _left(
    session: Session, hashes: Sequence[str], readings: Sequence[int], images: Sequence[ImageRow]
) -> Iterable[Left]:
    exported = select(ExportedRow).where(ExportedRow.image_sha256.in_(hashes)).order_by(ExportedRow.id)
    yield from dict.fromkeys(Left(row.kind, iso(row.at), row.by, True) for row in session.scalars(exported))
    subjects = [f"reading:{one}" for one in readings]
    since = iso(min(image.received_at for image in images))
    for subject, sure in ((TrailRow.subject.in_(subjects), True), (TrailRow.subject == "worklist", False)):
        lines = select(TrailRow).where(subject, TrailRow.action.in_(_LEFT), TrailRow.at >= since).order_by(TrailRow.seq)
        yield from dict.fromkeys(Left(row.action, row.at, row.actor, sure) for row in session.scalars(lines))


def _alike(session: Session, hashes: Sequence[str], images: Sequence[ImageRow]) -> tuple[int, ...]:
    lines = {_plain(image.patient_line) for image in images} - {""}
    if not lines:
        return ()
    typed = session.scalars(select(ImageRow).where(cast(ImageRow.patient_line, String) != "{}"))
    others = [row.sha256 for row in typed if row.sha256 not in hashes and _plain(row.patient_line) in lines]
    return tuple(
        session.scalars(select(ReadingRow.id).where(ReadingRow.image_sha256.in_(others)).order_by(ReadingRow.id))
    )


def _plain(line: dict[str, Any]) -> str:
    return " ".join(str(line.get("patient", "")).casefold().split())


def _empty_batches(session: Session, hashes: Sequence[str]) -> None:
    """Empty the source of finished uploads that hold such an image, and what was refused in those of no one else."""
    mine = select(ItemRow.batch_id).where(ItemRow.image_sha256.in_(hashes))
    open_ = select(ItemRow.batch_id).where(ItemRow.state.in_(WAITING_STATES))
    session.execute(
        update(BatchRow).where(BatchRow.id.in_(mine), BatchRow.id.not_in(open_)).values(source="", idempotency_key=None)
    )
    others = select(ItemRow.batch_id).where(
        and_(ItemRow.image_sha256.is_not(None), ItemRow.image_sha256.not_in(hashes))
    )
    session.execute(
        update(ItemRow)
        .where(ItemRow.batch_id.in_(mine), ItemRow.batch_id.not_in(others), ItemRow.image_sha256.is_(None))
        .values(name="", message="")
    )
