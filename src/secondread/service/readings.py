"""The store of readings: each kept once, found again, deleted with undo, every access in the trail."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session, undefer

from secondread.errors import Conflict, ImageError, NotAllowed, NotThere
from secondread.reading import HeatMap
from secondread.service import statements
from secondread.service.commits import GroupCommit
from secondread.service.database import Database
from secondread.service.first_opinion import note_shown, owed, owes_first, telling
from secondread.service.image_store import ImageStore
from secondread.service.map_cells import unpack
from secondread.service.outcomes import CELLS, WHOLE, Draft, Outcome, StoredReading
from secondread.service.picture_cache import GREY, PictureCache
from secondread.service.tables import ImageRow, ReadingRow, now
from secondread.service.trail import Actor, record, record_once
from secondread.service.triage import OPEN, WAITING, triage_of

_Found = TypeVar("_Found")


class ReadingStore:
    """Readings in the database. Their pictures are drawn when they are looked at (see picture_cache)."""

    def __init__(self, database: Database, images: ImageStore, pictures: PictureCache):
        self._database = database
        self._images = images
        self._pictures = pictures
        self._together = GroupCommit(database)

    def find(
        self,
        image_sha256: str,
        *,
        bundle_sha256: str,
        point_keys: Sequence[str],
        whole_keys: Sequence[str] | None = None,
        frame: int | None = None,
    ) -> StoredReading | None:
        """The stored answer of this bundle to this image, at one of these operating points ('' finds a refusal).

        whole_keys: those of a file of several frames that was read whole, where they are others. frame: of one frame
        alone, from 0; None: of the whole file, for which one frame of several never stands.
        """
        whole_keys = point_keys if whole_keys is None else whole_keys
        keys = [*point_keys, *(WHOLE + key for key in whole_keys)] if frame is None else list(point_keys)
        wanted = {"image_sha256": image_sha256, "bundle_sha256": bundle_sha256}
        wanted |= {f"key{number}": key for number, key in enumerate(keys)}
        with self._database.looking() as connection:
            rows = statements.find(len(keys)).rows(connection, **wanted)
        for row in rows:
            whole = row.frames or (row.facts.get("n_frames") or 1) == 1
            if whole if frame is None else row.frame == frame:
                return StoredReading.of(row)
        return None

    def add(
        self,
        draft: Draft,
        *,
        image_sha256: str,
        name: str,
        source: str = "",
        actor: Actor,
        before: Callable[[Session], None] | None = None,
    ) -> tuple[StoredReading, bool]:
        """Store a reading, or fetch the one that is there already; True where it is new.

        Of two processes that store the same at once, one inserts and both get that row. What several threads store at
        once is committed together. before: called in the same transaction, first: it takes the image in; without it
        the image is there, or was erased since: then NotThere is raised.
        """

        def store(session: Session) -> tuple[StoredReading, bool]:
            what = {"image_sha256": image_sha256, "name": name, "source": source}
            if before is None:
                check_kept(session, image_sha256)
            else:
                before(session)
            kept, new = self.add_within(session, draft, **what, actor=actor)
            if kept.decision:
                note_shown(session, [kept.id], actor)
            return kept, new

        return self._together(image_sha256, store)

    def add_within(
        self, session: Session, draft: Draft, *, image_sha256: str, name: str, source: str, actor: Actor
    ) -> tuple[StoredReading, bool]:
        """As `add`, inside the caller's transaction, which has seen to the image's own row."""
        values = _values(draft, image_sha256=image_sha256, name=name, source=source, actor=actor)
        inserted = statements.insert_reading(session, values)
        if inserted is not None:
            kept = StoredReading.of(SimpleNamespace(**values, id=inserted))
            record(session, actor, "reading.made", f"reading:{inserted}", **_proof(kept))
            return kept, True
        row = session.scalars(
            select(ReadingRow)
            .where(
                ReadingRow.image_sha256 == image_sha256,
                ReadingRow.frame == draft.frame,
                ReadingRow.bundle_sha256 == draft.bundle_sha256,
                ReadingRow.point_key == draft.point_key,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        ).one()
        if row.deleted_at is not None or row.erased_at is not None:
            # Sent again: what was deleted or erased comes back, with the name it has now.
            row.deleted_at, row.erased_at, row.deleted_by = None, None, ""
            for name in ("name", "source", "has_thumbnail", "heat_map", "map_cells", "facts", "findings"):
                setattr(row, name, values[name])
            action = "reading.sent_again"
        elif row.refusal_code != draft.refusal_code:  # refused again, but for another reason: settings have changed
            row.refusal_code, row.refusal_message = draft.refusal_code, draft.refusal_message
            row.frames = list(draft.frames)
            action = "reading.refused_anew"
        else:
            action = "reading.answered_from_store"
        kept = StoredReading.of(row)
        record(session, actor, action, f"reading:{row.id}", **_proof(kept))
        return kept, False

    def tell_from_store(
        self, reading: StoredReading, *, actor: Actor, before: Callable[[Session], None] | None = None
    ) -> bool:
        """Note in the trail that an image was answered with a reading that was there; False, and nothing is noted,
        where it is not there any more. before: as of `add`.
        """

        def tell(session: Session) -> None:
            if before is not None:
                before(session)  # first: from here on nobody erases the image
            if session.connection().execute(statements.IS_LIVE, {"reading": reading.id}).first() is None:
                raise NotThere(f"reading {reading.id} is not there any more")
            record(session, actor, "reading.answered_from_store", f"reading:{reading.id}")
            if reading.decision:
                note_shown(session, [reading.id], actor)

        try:
            self._together(reading.image_sha256, tell)
        except NotThere:
            return False
        return True

    def get(
        self, reading_id: int, *, actor: Actor, deleted: bool = False, answer: bool = True, stepping: bool = False
    ) -> StoredReading:
        """One reading, noted in the trail as seen. deleted: also one that was deleted. Raises NotThere.

        answer: False where only the image is shown: the answer does not count as shown by it. stepping: it is asked for
        with each frame that is looked at: of a file of several that is noted once a while.
        """

        def look(session: Session) -> StoredReading:
            found = StoredReading.of(_one(session, reading_id, deleted=deleted))
            [shown] = show(session, [found], actor) if answer or actor.opinion_first else [found]
            told: dict[str, Any] = {"answer": "withheld"} if shown.hidden else {}
            note = _once if stepping and _n_frames(found) > 1 else record
            note(session, actor, "reading.seen", f"reading:{found.id}", **told)
            return shown

        return self._looking(reading_id, look)

    def image(self, reading_id: int, *, actor: Actor) -> bytes:
        """The image's bytes as they are kept, noted in the trail. Raises NotThere."""
        return self._images.image(self.look_at_image(reading_id, actor=actor))

    def look_at_image(self, reading_id: int, *, actor: Actor) -> str:
        """The image's SHA-256, to show a picture of it; noted in the trail. Raises NotThere.

        Of a file of several frames it is noted once a while that they were opened, not every step from one to the next.
        """

        def look(session: Session) -> str:
            row = _one(session, reading_id)
            n = _n_frames(row)
            told: dict[str, Any] = {"reading": row.id} | ({"frames": n} if n > 1 else {})
            (_once if n > 1 else record)(session, actor, "image.seen", f"image:{row.image_sha256}", **told)
            return row.image_sha256

        return self._looking(reading_id, look)

    def heat_map(self, reading_id: int, *, actor: Actor, colours: str = GREY) -> bytes:
        """The heat map as a PNG, noted in the trail: grey, its strength; inferno, to lay over the image.

        Raises as `map_of`.
        """
        reading, heatmap = self._map_of(reading_id, actor)
        name = reading.heat_map.partition("-")[2]
        return self._pictures.heat_map(reading.image_sha256, name, heatmap, colours=colours)

    def map_of(self, reading_id: int, *, actor: Actor) -> HeatMap:
        """The heat map itself, noted in the trail as seen. Raises NotThere, and NotAllowed as `check_shown`."""
        return self._map_of(reading_id, actor)[1]

    def cells(self, reading: StoredReading) -> HeatMap | None:
        """The heat map of a reading that is at hand, to answer with; None where it has none, or was erased."""
        with self._database.looking() as connection:
            cells = connection.execute(statements.CELLS_OF, {"reading": reading.id}).scalar()
        return None if cells is None else unpack(cells)

    def _map_of(self, reading_id: int, actor: Actor) -> tuple[StoredReading, HeatMap]:
        def look(session: Session) -> tuple[StoredReading, HeatMap]:
            row = _one(session, reading_id, more=[undefer(ReadingRow.map_cells)])
            if row.map_cells is None:
                raise NotThere("this reading has no heat map")
            reading = StoredReading.of(row)
            check_shown(show(session, [reading], actor)[0])
            record(session, actor, "heat_map.seen", f"image:{row.image_sha256}", reading=row.id)
            return reading, unpack(row.map_cells)

        return self._looking(reading_id, look)

    def _looking(self, reading_id: int, look: Callable[[Session], _Found]) -> _Found:
        """What is only looked at is in the trail too, so that looks at many pictures are committed together as well."""
        return self._together(f"reading:{reading_id:020}", look)

    def thumbnails(self, reading_ids: Iterable[int], *, actor: Actor) -> dict[int, bytes]:
        """Small PNGs for a list, one line in the trail for all of them; those without one are left out. Raises Busy."""
        wanted = list(reading_ids)
        with self._database.begin() as session:
            rows = session.scalars(
                select(ReadingRow).where(
                    ReadingRow.id.in_(wanted), ReadingRow.has_thumbnail, ReadingRow.deleted_at.is_(None)
                )
            ).all()
            shown = _withhold(session, [StoredReading.of(row) for row in rows], actor)
            record(session, actor, "thumbnails.seen", "worklist", readings=sorted(one.id for one in shown))
        found = {}
        for one in shown:
            with suppress(ImageError, NotThere):  # beyond a limit that was lowered, or erased
                found[one.id] = self._pictures.thumbnail(one.image_sha256, one.frame)
        return found

    def is_owed(self, image_sha256: str, task: str, *, actor: Actor) -> bool:
        """Whether reading this image for a task would tell the actor an answer that is withheld from them."""
        if not (actor.opinion_first and actor.may("review")):
            return False
        with self._database.reading() as session:
            return owes_first(session, image_sha256, task, actor.name)

    def delete(self, reading_ids: Iterable[int], *, actor: Actor) -> list[int]:
        """Take readings out of sight; `undelete` brings them back. Gives those that were there."""
        return self._mark(reading_ids, actor, deleted=True)

    def undelete(self, reading_ids: Iterable[int], *, actor: Actor) -> list[int]:
        """Undo `delete`. Raises Conflict for readings that retention has erased."""
        return self._mark(reading_ids, actor, deleted=False)

    def _mark(self, reading_ids: Iterable[int], actor: Actor, *, deleted: bool) -> list[int]:
        with self._database.begin() as session:
            here = ReadingRow.deleted_at.is_(None) if deleted else ReadingRow.deleted_at.is_not(None)
            rows = session.execute(
                select(ReadingRow.id, ReadingRow.erased_at)
                .where(ReadingRow.id.in_(list(reading_ids)), here)
                .order_by(ReadingRow.id)
                .with_for_update()
            ).all()
            if not deleted and any(row.erased_at for row in rows):
                raise Conflict("retention has erased this image; what it deletes is gone for good")
            ids = [row.id for row in rows]
            session.execute(
                update(ReadingRow)
                .where(ReadingRow.id.in_(ids))
                .values(deleted_at=now() if deleted else None, deleted_by=actor.name if deleted else "")
            )
            for reading_id in ids:
                record(session, actor, "reading.deleted" if deleted else "reading.undeleted", f"reading:{reading_id}")
            return ids


_OPENED = timedelta(minutes=30)  # for which a file of several frames counts as opened
_once = partial(record_once, within=_OPENED)


def _n_frames(reading: Any) -> int:
    """Of a StoredReading, or of its row."""
    return int(reading.facts.get("n_frames") or 1)


def live_reading(session: Session, reading_id: int, *, actor: Actor) -> StoredReading:
    """One reading as the actor may see it, within the caller's transaction. Raises NotThere."""
    return show(session, [StoredReading.of(_one(session, reading_id))], actor)[0]


def check_kept(session: Session, image_sha256: str) -> None:
    """Hold an image's row until the transaction ends. Raises NotThere where it was erased since it was taken in."""
    erased = select(ImageRow.erased_at).where(ImageRow.sha256 == image_sha256).with_for_update(read=True)
    if session.scalar(erased) is not None:
        raise NotThere("the image was erased while it was read; nothing of it is kept")


def show(session: Session, readings: Sequence[StoredReading], actor: Actor) -> list[StoredReading]:
    """What of these the actor may see: with `opinion_first`, answers on which they owe an opinion are withheld.

    All that is not withheld is noted as shown, for those whose opinion would count.
    """
    shown = _withhold(session, readings, actor)
    note_shown(session, (one.id for one in shown if one.decision), actor)
    return shown


def _withhold(session: Session, readings: Sequence[StoredReading], actor: Actor) -> list[StoredReading]:
    """As `show`, without a note: for what tells no more of an answer than which frame it came from."""
    if not (actor.opinion_first and actor.may("review")):
        return list(readings)
    waiting = [one.id for one in readings if one.decision and one.review_state in (OPEN, WAITING)]
    hidden = owed(session, waiting, actor.name) | telling(session, readings, actor.name)
    return [one.withheld() if one.id in hidden else one for one in readings]


def check_shown(reading: StoredReading) -> None:
    """Raises NotAllowed where the answer is withheld from the one who asks."""
    if reading.hidden:
        raise NotAllowed("your own opinion comes first: give it, and the answer is shown")


def _one(session: Session, reading_id: int, *, deleted: bool = False, more: Sequence[Any] = ()) -> ReadingRow:
    """more: options of the statement."""
    row = session.get(ReadingRow, reading_id, options=more) if abs(reading_id) < 2**31 else None
    if row is None or (row.deleted_at is not None and not deleted):
        raise NotThere(f"there is no reading {reading_id}; it may have been deleted")
    return row


def _values(draft: Draft, *, image_sha256: str, name: str, source: str, actor: Actor) -> dict[str, Any]:
    """The row: what came out under its own names, and what follows from it."""
    came_out = {column.name: getattr(draft, column.name) for column in fields(Outcome)}
    return (
        _AT_FIRST
        | came_out
        | {
            "warnings": list(draft.warnings),
            "frames": list(draft.frames),
            "findings": None if draft.findings is None else list(draft.findings),
            "image_sha256": image_sha256,
            "name": clean_name(name),
            "source": source.replace("\0", "")[:200],
            "point_key": draft.point_key,
            "sort_score": -1.0 if draft.probability is None else draft.probability,
            "has_thumbnail": draft.has_thumbnail,
            "heat_map": "" if draft.map_cells is None else CELLS,
            "map_cells": draft.map_cells,
            "created_at": now(),
            "created_by": actor.name,
            "triage": triage_of(decision=draft.decision, probability=draft.probability, review_state=OPEN),
        }
    )


_AT_FIRST: dict[str, Any] = {
    "review_state": OPEN,
    "finding": None,
    "n_reviews": 0,
    "deleted_at": None,
    "erased_at": None,
}


def _proof(row: StoredReading) -> dict[str, Any]:
    """What the trail keeps of a reading: nothing that identifies."""
    return {
        "image": row.image_sha256,
        "bundle": row.bundle,
        "operating_point": row.operating_point,
        "probability": row.probability,
        "decision": row.decision,
        "refusal": row.refusal_code,
    }


def clean_name(name: str) -> str:
    """A file's name as it may be stored and shown: no control characters, at most 500 characters."""
    return "".join(letter for letter in name if letter.isprintable())[-500:]
