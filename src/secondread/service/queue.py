"""The queue of images to be read: it lives in the database of the readings, and that is its point."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from secondread.errors import IdempotencyKeyReused, NotAllowed, NotThere
from secondread.service.database import Database
from secondread.service.fairness import Rotation
from secondread.service.outcomes import Draft, StoredReading
from secondread.service.readings import ReadingStore, check_kept, clean_name
from secondread.service.tables import WAITING, BatchRow, ItemRow, now, record_of
from secondread.service.trail import Actor, record
from secondread.service.uploads import Batch, Claim, Item, NewItem, ReadingRequest

_MOST_ATTEMPTS = 3
_LONGEST_LEASE = timedelta(minutes=15)  # one that ends later still, by more than two leases, is of a clock that was set


def database_time(session: Session) -> datetime:
    """This moment by the clock that all workers of a database share: their own machines' may differ."""
    if session.get_bind().dialect.name == "sqlite":
        return now()  # a file of this machine
    found: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return found


class Queue:
    """Uploads and their images. Safe with any number of workers in any number of processes.

    clock: what leases are counted by; it may be set forward or back. Set forward, an image at hand is given to another
    worker once, and one of the two finishes; set back, a lease that would last far longer than any is over.
    """

    def __init__(
        self,
        database: Database,
        readings: ReadingStore,
        *,
        lease_seconds: float = 120.0,
        clock: Callable[[Session], datetime] = database_time,
    ):
        self._database = database
        self._readings = readings
        self._clock = clock
        self.lease = timedelta(seconds=lease_seconds)
        self._turns = Rotation()

    def submit(
        self,
        asked: ReadingRequest,
        items: Sequence[NewItem],
        *,
        actor: Actor,
        idempotency_key: str | None = None,
        request_sha256: str = "",
        before: Callable[[Session], None] | None = None,
    ) -> int:
        """Put an upload into the queue, whole or not at all; gives its number.

        The images are in the store already. before: called in the same transaction, before the items are: it writes
        their images' rows. idempotency_key: of two submissions with one key, the second gives the
        number of the first. It is the account's own: others may use the same. request_sha256: of all that was sent;
        '' where that is not known. Raises IdempotencyKeyReused where the first with that key was another.
        """
        key = None if idempotency_key is None else _key_of(actor, idempotency_key)
        try:
            with self._database.begin() as session:
                if key is not None and (known := _by_key(session, key, request_sha256)) is not None:
                    return known
                if before is not None:
                    before(session)
                wanted = asdict(asked) | {"source": asked.source.replace("\0", "")[:200]}
                batch = BatchRow(**wanted, created_by=actor.name, idempotency_key=key, request_sha256=request_sha256)
                session.add(batch)
                session.flush()
                session.add_all(
                    ItemRow(
                        batch_id=batch.id,
                        name=clean_name(item.name),
                        image_sha256=item.image_sha256,
                        state="queued" if item.image_sha256 else "refused",
                        code=item.code,
                        message=item.message,
                    )
                    for item in items
                )
                record(session, actor, "batch.submitted", f"batch:{batch.id}", n=len(items), task=asked.task)
                return batch.id
        except IntegrityError:  # the same key at the same moment, from another process
            with self._database.reading() as session:
                if key is None or (known := _by_key(session, key, request_sha256)) is None:
                    raise
                return known

    def sent_before(self, idempotency_key: str, *, request_sha256: str, actor: Actor) -> int | None:
        """The upload that came with this key, to be asked before anything is taken in. Raises as `submit`."""
        with self._database.reading() as session:
            return _by_key(session, _key_of(actor, idempotency_key), request_sha256)

    def claim(self) -> Claim | None:
        """The next image to read, now this worker's; None where nothing waits."""
        lease = secrets.token_hex(16)
        with self._database.begin() as session:
            moment = self._clock(session)
            never = moment + max(_LONGEST_LEASE, 2 * self.lease)
            over = or_(ItemRow.lease_until < moment, ItemRow.lease_until > never)
            overdue = and_(ItemRow.state == "running", over)
            found = self._next(session, or_(ItemRow.state == "queued", overdue))
            if found is None:
                return None
            row, batch = found
            self._turns.served(batch.created_by)
            if row.attempts >= _MOST_ATTEMPTS:
                # Who reads it dies of it, or of something else every time: the others must not wait for it.
                message = f"reading it ended the worker {row.attempts} times; send it again or report it"
                _close(row, "failed", code="worker_died", message=message)
                record(session, Actor(batch.created_by, "worker"), "item.failed", f"item:{row.id}", code=row.code)
                session.flush()
            else:
                row.state, row.lease, row.lease_until = "running", lease, moment + self.lease
                row.attempts += 1
                asked = record_of(ReadingRequest, batch)
                return record_of(Claim, row, batch=batch.id, asked=asked, asked_by=batch.created_by)
        return self.claim()

    def _next(self, session: Session, free: ColumnElement[bool]) -> tuple[ItemRow, BatchRow] | None:
        """The item whose turn it is: accounts take turns, and of each the first upload goes first. None waits: None.

        free: whether an item may be taken.
        """
        uploads = _waiting_uploads(session)
        for account in self._turns.order({upload.created_by for upload in uploads}):
            for upload in uploads:
                if upload.created_by != account:
                    continue
                row = session.scalar(
                    select(ItemRow)
                    .where(ItemRow.batch_id == upload.id, text(WAITING), free)
                    .order_by(ItemRow.id)
                    .limit(1)
                    .with_for_update(skip_locked=True)
                )
                if row is not None:
                    return row, upload
        return None

    def renew(self, claim: Claim) -> bool:
        """Prolong the lease of a slow reading; False where it has been lost."""
        with self._database.begin() as session:
            changed = session.execute(
                update(ItemRow)
                .where(ItemRow.id == claim.id, ItemRow.lease == claim.lease, ItemRow.state == "running")
                .values(lease_until=self._clock(session) + self.lease)
                .returning(ItemRow.id)
            )
            return changed.first() is not None

    def finish(self, claim: Claim, found: Draft | StoredReading) -> StoredReading | None:
        """Store the reading and close the item, in one transaction; None where the lease was lost meanwhile.

        found: a reading that was there already only closes the item. Who lost the lease was too slow, and another
        worker reads the image: only one of them can finish.
        """
        actor = Actor(claim.asked_by, "worker")
        with self._database.begin() as session:
            row = _held(session, claim)
            if row is None:
                return None
            if isinstance(found, Draft):
                what = {"image_sha256": claim.image_sha256, "name": claim.name, "source": claim.asked.source}
                check_kept(session, claim.image_sha256)
                found, _ = self._readings.add_within(session, found, **what, actor=actor)
            else:
                record(session, actor, "reading.answered_from_store", f"reading:{found.id}", item=row.id)
            row.reading_id = found.id
            state = "refused" if found.refusal_code else "done"
            _close(row, state, code=found.refusal_code, message=found.refusal_message)
            return found

    def fail(self, claim: Claim, *, code: str, message: str) -> bool:
        """Close the item with an error of ours; False where the lease was lost."""
        with self._database.begin() as session:
            row = _held(session, claim)
            if row is None:
                return False
            _close(row, "failed", code=code, message=message[:1000])
            record(session, Actor(claim.asked_by, "worker"), "item.failed", f"item:{row.id}", code=code)
            return True

    def give_back(self, claim: Claim, *, seconds: float = 0.0) -> None:
        """Put an unread item back, for a worker that stops or cannot read now: it does not count as an attempt.

        seconds: how long the others go first, for an image that there was no room for. Another worker may have the item
        by now, its lease having run out in an outage: then only the count is put right.
        """
        with self._database.begin() as session:
            row = session.get(ItemRow, claim.id, with_for_update=True)
            if row is None or row.state not in ("queued", "running"):
                return
            row.attempts = max(row.attempts - 1, 0)
            if row.state == "running" and row.lease == claim.lease:
                row.lease = ""
                if seconds > 0:
                    row.lease_until = self._clock(session) + timedelta(seconds=seconds)
                else:
                    row.state, row.lease_until = "queued", None

    def cancel(self, batch_id: int, *, actor: Actor) -> int:
        """Take what still waits out of the queue; what is being read is finished. Gives how many.

        Raises NotThere, or NotAllowed where it is another's upload and the actor no administrator.
        """
        with self._database.begin() as session:
            batch = _ones_own(session, batch_id, actor)
            waiting = session.scalars(
                select(ItemRow)
                .where(ItemRow.batch_id == batch_id, ItemRow.state == "queued")
                .order_by(ItemRow.id)
                .with_for_update()
            ).all()
            for row in waiting:
                _close(row, "cancelled", code="cancelled", message="taken out of the queue before it was read")
            batch.cancelled_at = batch.cancelled_at or now()
            record(session, actor, "batch.cancelled", f"batch:{batch_id}", n=len(waiting))
            return len(waiting)

    def retry(self, batch_id: int, *, actor: Actor) -> int:
        """Put failed and cancelled items of an upload back into the queue. Gives how many. Raises as `cancel`."""
        with self._database.begin() as session:
            _ones_own(session, batch_id, actor).cancelled_at = None
            ids = session.scalars(
                select(ItemRow.id)
                .where(
                    ItemRow.batch_id == batch_id,
                    ItemRow.state.in_(("failed", "cancelled")),
                    ItemRow.image_sha256.is_not(None),
                )
                .order_by(ItemRow.id)
                .with_for_update()
            ).all()
            session.execute(
                update(ItemRow)
                .where(ItemRow.id.in_(ids))
                .values(state="queued", attempts=0, code="", message="", finished_at=None)
            )
            record(session, actor, "batch.retried", f"batch:{batch_id}", n=len(ids))
            return len(ids)

    def batch(self, batch_id: int) -> Batch:
        """Where an upload stands. Raises NotThere."""
        with self._database.reading() as session:
            return Batch.of(_batch(session, batch_id), _counts(session, [batch_id]))

    def batches(self, *, created_by: str | None = None, limit: int = 50) -> list[Batch]:
        """The latest uploads, the newest first."""
        statement = select(BatchRow).order_by(BatchRow.id.desc()).limit(limit)
        if created_by is not None:
            statement = statement.where(BatchRow.created_by == created_by)
        with self._database.reading() as session:
            rows = session.scalars(statement).all()
            counts = _counts(session, [row.id for row in rows])
        return [Batch.of(row, counts) for row in rows]

    def items(self, batch_id: int, *, after: int = 0, limit: int = 500) -> list[Item]:
        """The images of an upload in their order. after: the id of the last one seen."""
        statement = select(ItemRow).where(ItemRow.batch_id == batch_id, ItemRow.id > after)
        with self._database.reading() as session:
            rows = session.scalars(statement.order_by(ItemRow.id).limit(limit)).all()
        return [Item.of(row) for row in rows]

    def waiting(self) -> int:
        """How many images wait or are being read now."""
        with self._database.reading() as session:
            return session.scalar(select(func.count()).where(ItemRow.state.in_(("queued", "running")))) or 0


def _waiting_uploads(session: Session) -> Sequence[BatchRow]:
    """Uploads of which an item waits or is being read, in their order: found from one to the next, not item by item."""
    # In the order of the small index, or SQLite would go through what was read long ago by another one.
    lowest = select(ItemRow.batch_id).where(text(WAITING)).order_by(ItemRow.batch_id, ItemRow.id).limit(1)
    first = select(lowest.scalar_subquery().label("id")).cte("waiting", recursive=True)
    after = lowest.where(ItemRow.batch_id > first.c.id).scalar_subquery()
    waiting = first.union_all(select(after).where(first.c.id.is_not(None)))
    return session.scalars(select(BatchRow).join(waiting, waiting.c.id == BatchRow.id).order_by(BatchRow.id)).all()


def _held(session: Session, claim: Claim) -> ItemRow | None:
    """The item, locked, if it is still this worker's."""
    row = session.get(ItemRow, claim.id, with_for_update=True)
    return row if row is not None and row.state == "running" and row.lease == claim.lease else None


def _close(row: ItemRow, state: str, *, code: str = "", message: str = "") -> None:
    row.state, row.code, row.message = state, code, message
    row.lease, row.lease_until, row.finished_at = "", None, now()


def _batch(session: Session, batch_id: int) -> BatchRow:
    row = session.get(BatchRow, batch_id) if abs(batch_id) < 2**31 else None
    if row is None:
        raise NotThere(f"there is no upload {batch_id}")
    return row


def _ones_own(session: Session, batch_id: int, actor: Actor) -> BatchRow:
    """The upload, for whoever may change it: who sent it, and administrators."""
    row = _batch(session, batch_id)
    if row.created_by != actor.name and not actor.may("admin"):
        raise NotAllowed(f"upload {batch_id} is another's; ask them or an administrator")
    return row


def _key_of(actor: Actor, key: str) -> str:
    """As it stands in the table, whose column takes 200 characters."""
    full = f"{actor.name}:{key}"
    return full if len(full) <= 200 else hashlib.sha256(full.encode()).hexdigest()


def _by_key(session: Session, key: str, request_sha256: str) -> int | None:
    row = session.execute(
        select(BatchRow.id, BatchRow.request_sha256).where(BatchRow.idempotency_key == key)
    ).one_or_none()
    if row is None:
        return None
    if row.request_sha256 and request_sha256 and row.request_sha256 != request_sha256:
        raise IdempotencyKeyReused
    return int(row.id)


def _counts(session: Session, batch_ids: Sequence[int]) -> dict[tuple[int, str], int]:
    statement = (
        select(ItemRow.batch_id, ItemRow.state, func.count())
        .where(ItemRow.batch_id.in_(batch_ids))
        .group_by(ItemRow.batch_id, ItemRow.state)
    )
    return {(batch, state): n for batch, state, n in session.execute(statement)}
