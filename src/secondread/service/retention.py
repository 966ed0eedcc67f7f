"""Retention: what is older than so many days is deleted, with proof in the trail; readings stay as tombstones."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from secondread.errors import UsageError
from secondread.service.answers import forget_answers, forget_answers_on
from secondread.service.database import Database
from secondread.service.dicom_forgetting import forget_ignored, forget_objects_of
from secondread.service.image_store import ImageStore
from secondread.service.maintenance import maintenance
from secondread.service.orders import forget_orders_before
from secondread.service.tables import BatchRow, ImageRow, ItemRow, ReadingRow, ReviewRow, iso, now
from secondread.service.trail import Actor, record

WAITING_STATES = ("queued", "running")
_CHUNK = 5_000  # items in a transaction
_FACTS_THAT_STAY = (
    "width",
    "height",
    "format",
    "bit_depth",
    "photometric",
    "modality",
    "body_part",
    "n_frames",
    "frame_point",
)


@dataclass(frozen=True)
class Erased:
    """What a run of retention did."""

    images: int
    readings: int
    before: datetime  # received before this moment
    items: int = 0  # of uploads, whose names and messages were emptied
    batches: int = 0  # uploads whose source was emptied
    objects: int = 0  # rows of DICOM objects that were ignored or refused


class Retention:
    """Deletes what has been kept long enough."""

    def __init__(self, database: Database, images: ImageStore):
        self._database = database
        self._images = images

    def due(self, days: int) -> int:
        """How many images `apply` would delete now."""
        return len(self._due(_before(days)))

    def items_due(self, days: int) -> int:
        """How many names of files in uploads `apply` would empty now, besides those of images."""
        with self._database.reading() as session:
            statement = select(func.count()).select_from(_old_items(_before(days)).subquery())
            return session.scalar(statement) or 0

    def apply(self, days: int, *, actor: Actor) -> Erased:
        """Delete image, thumbnail, heat maps, names, patient lines and notes of images received over `days` days ago,
        and empty what uploads of that age say of their files, those that were refused among them.

        An image sent again counts from then; one that waits to be read stays. What was measured (probability, decision,
        findings) stays, without anything that identifies. The files go first and the trail says so after: it never
        claims a deletion that a crash prevented, and the next run ends what one began.
        Raises UsageError for less than a day, Conflict while a backup runs.
        """
        before = _before(days)
        n_readings = n_images = 0
        with maintenance(self._database, self._images.folder):
            with self._database.begin() as session:
                forget_answers(session)  # they may quote notes
            for sha256 in self._due(before):
                found = self._erase(sha256, before, days, actor)
                n_images += found is not None
                n_readings += found or 0
            n_items, n_batches = self._empty_uploads(before, days, actor)
            n_objects = self._forget_objects(before, days, actor)
        if n_images or n_items or n_objects:
            self._database.settle()
        return Erased(n_images, n_readings, before, n_items, n_batches, n_objects)

    def _forget_objects(self, before: datetime, days: int, actor: Actor) -> int:
        """Delete rows of DICOM objects of which nothing else is kept, and orders that no worklist has any more."""
        with self._database.begin() as session:
            n_objects, n_orders = forget_ignored(session, before), forget_orders_before(session, before)
            if n_objects or n_orders:
                rule = f"received more than {days} days ago"
                record(session, actor, "dicom.forgotten", "objects", rule=rule, objects=n_objects, orders=n_orders)
        return n_objects

    def _due(self, before: datetime) -> list[str]:
        waiting = select(ItemRow.image_sha256).where(ItemRow.state.in_(WAITING_STATES))
        statement = select(ImageRow.sha256).where(
            ImageRow.erased_at.is_(None),
            ImageRow.received_at < before,
            ImageRow.sha256.not_in(waiting.where(ItemRow.image_sha256.is_not(None))),
        )
        with self._database.reading() as session:
            return list(session.scalars(statement.order_by(ImageRow.sha256)))

    def _erase(self, sha256: str, before: datetime, days: int, actor: Actor) -> int | None:
        """The number of readings that became tombstones; None where the image was sent again meanwhile."""
        with self._database.begin() as session:
            image = session.get_one(ImageRow, sha256, with_for_update=True)
            if image.erased_at is not None or image.received_at >= before:
                return None
            return len(erase_image(session, self._images, image, f"received more than {days} days ago", actor))

    def _empty_uploads(self, before: datetime, days: int, actor: Actor) -> tuple[int, int]:
        """Empty names and messages of finished items of old uploads, and what was typed as the uploads' source."""
        n_items = 0
        while True:
            with self._database.begin() as session:
                ids = session.scalars(_old_items(before).limit(_CHUNK)).all()
                session.execute(update(ItemRow).where(ItemRow.id.in_(ids)).values(name="", message=""))
                n_items += len(ids)
            if len(ids) < _CHUNK:
                break
        waiting = select(ItemRow.batch_id).where(ItemRow.state.in_(WAITING_STATES))
        old = (
            BatchRow.created_at < before,
            BatchRow.id.not_in(waiting),
            or_(BatchRow.source != "", BatchRow.idempotency_key.is_not(None)),
        )
        with self._database.begin() as session:
            changed = session.execute(
                update(BatchRow).where(*old).values(source="", idempotency_key=None).returning(BatchRow.id)
            ).all()
            if n_items or changed:
                rule = f"sent more than {days} days ago"
                record(session, actor, "uploads.emptied", "batches", rule=rule, items=n_items, batches=len(changed))
        return n_items, len(changed)


def erase_image(
    session: Session, images: ImageStore, image: ImageRow, rule: str, actor: Actor, *, person: bool = False
) -> list[int]:
    """Delete an image's files, then all that its rows say of whose it is, within the caller's transaction.

    person: the person asked to be erased: of facts and sources, which retention leaves, no free text stays either.
    Returns the numbers of the readings that are tombstones now. What stays is what was measured, when, by what and what
    reviewers found: none of it names anyone.
    """
    readings = session.scalars(select(ReadingRow).where(ReadingRow.image_sha256 == image.sha256)).all()
    ids = [row.id for row in readings]
    n_files = images.forget(image.sha256, unfinished=person)
    moment = now()
    was = {"received_at": iso(image.received_at), "n_bytes": image.n_bytes}
    image.erased_at, image.patient, image.study, image.patient_line, image.header = moment, "", "", {}, {}
    for row in readings:
        row.name, row.has_thumbnail, row.heat_map, row.map_cells, row.erased_at = "", False, "", None, moment
        row.facts = _facts(row.facts, person=person)
        row.source = "" if person else row.source
    session.execute(update(ItemRow).where(ItemRow.image_sha256 == image.sha256).values(name="", message=""))
    forget_objects_of(session, image.sha256, reason=rule)
    session.execute(update(ReviewRow).where(ReviewRow.reading_id.in_(ids)).values(note=""))
    forget_answers_on(session, ids)
    record(
        session,
        actor,
        "image.erased",
        f"image:{image.sha256}",
        rule=rule,
        erased_at=iso(moment),
        readings=ids,
        files=n_files,
        **was,
    )
    return ids


def _facts(facts: dict[str, Any], *, person: bool) -> dict[str, Any]:
    kept = {name: value for name, value in facts.items() if name != "header"}
    return {name: kept[name] for name in _FACTS_THAT_STAY if name in kept} if person else kept


def _old_items(before: datetime) -> Any:
    return (
        select(ItemRow.id)
        .join(BatchRow, BatchRow.id == ItemRow.batch_id)
        .where(
            BatchRow.created_at < before,
            ItemRow.state.not_in(WAITING_STATES),
            or_(ItemRow.name != "", ItemRow.message != ""),
        )
        .order_by(ItemRow.id)
    )


def _before(days: int) -> datetime:
    if days < 1:
        raise UsageError("retention is 1 day or more; 0 keeps everything and is not applied")
    return now() - timedelta(days=days)
