"""Retention: images older than so many days are deleted, with proof in the trail; their readings stay as tombstones."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from secondread.errors import UsageError
from secondread.service.answers import forget_answers
from secondread.service.backup import maintenance
from secondread.service.database import Database
from secondread.service.image_store import HEAT_MAPS, IMAGES, THUMBNAILS, ImageStore, thumbnail_name
from secondread.service.tables import ImageRow, ItemRow, ReadingRow, ReviewRow, iso, now
from secondread.service.trail import Actor, record


@dataclass(frozen=True)
class Erased:
    """What a run of retention did."""

    images: int
    readings: int
    before: datetime  # received before this moment


class Retention:
    """Deletes what has been kept long enough."""

    def __init__(self, database: Database, images: ImageStore):
        self._database = database
        self._images = images

    def due(self, days: int) -> int:
        """How many images `apply` would delete now."""
        return len(self._due(_before(days)))

    def apply(self, days: int, *, actor: Actor) -> Erased:
        """Delete image, thumbnail, heat maps, names, patient lines and notes of images received over `days` days ago.

        An image sent again counts from then; one that waits to be read stays. What was measured (probability, decision,
        findings) stays, without anything that identifies. The files go first and the trail says so after: it never
        claims a deletion that a crash prevented, and the next run ends what one began.
        Raises UsageError for less than a day, Conflict while a backup runs.
        """
        before = _before(days)
        n_readings = n_images = 0
        with maintenance(self._images.folder):
            with self._database.begin() as session:
                forget_answers(session)  # they may quote notes
            for sha256 in self._due(before):
                found = self._erase(sha256, before, days, actor)
                n_images += found is not None
                n_readings += found or 0
        return Erased(n_images, n_readings, before)

    def _due(self, before: datetime) -> list[str]:
        waiting = select(ItemRow.image_sha256).where(ItemRow.state.in_(("queued", "running")))
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
            rows = session.execute(
                select(ReadingRow.id, ReadingRow.frame, ReadingRow.heat_map).where(ReadingRow.image_sha256 == sha256)
            ).all()
            ids = [row.id for row in rows]
            self._images.erase(IMAGES, sha256)
            for frame in {0, *(row.frame for row in rows)}:
                self._images.erase(THUMBNAILS, thumbnail_name(sha256, frame))
            for row in rows:
                if row.heat_map:
                    self._images.erase(HEAT_MAPS, row.heat_map)
            moment = now()
            image.erased_at, image.patient, image.patient_line = moment, "", {}
            session.execute(
                update(ReadingRow)
                .where(ReadingRow.id.in_(ids))
                .values(name="", has_thumbnail=False, heat_map="", erased_at=moment)
            )
            session.execute(update(ItemRow).where(ItemRow.image_sha256 == sha256).values(name=""))
            session.execute(update(ReviewRow).where(ReviewRow.reading_id.in_(ids)).values(note=""))
            record(
                session,
                actor,
                "image.erased",
                f"image:{sha256}",
                rule=f"received more than {days} days ago",
                received_at=iso(image.received_at),
                erased_at=iso(moment),
                n_bytes=image.n_bytes,
                readings=ids,
            )
            return len(ids)


def _before(days: int) -> datetime:
    if days < 1:
        raise UsageError("retention is 1 day or more; 0 keeps everything and is not applied")
    return now() - timedelta(days=days)
