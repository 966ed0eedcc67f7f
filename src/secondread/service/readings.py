"""The store of readings: each kept once, found again, deleted with undo, every access in the trail."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from secondread.errors import Conflict, NotAllowed, NotThere
from secondread.service.database import Database
from secondread.service.first_opinion import note_shown, owed
from secondread.service.image_store import HEAT_MAPS, THUMBNAILS, ImageStore, heat_map_name, thumbnail_name
from secondread.service.tables import ImageRow, ReadingRow, now, record_of
from secondread.service.trail import Actor, record
from secondread.service.triage import OPEN, WAITING, triage_of, triage_reason
from secondread.stats.scale import score_of

WHOLE = "all:"  # begins the point_key of a file of several frames that was read whole


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out for an image, under the names of the table's columns.

    frame: the one that answered, from 0. frames: of a file of several that was read whole, each one's number (from 1),
    probability, score, decision and refusal code.
    """

    frame: int = 0
    frames: tuple[dict[str, Any], ...] = ()
    task: str = ""  # '' where none was found
    bundle: str = ""  # task/name@hash
    bundle_sha256: str = ""
    operating_point: str = ""
    threshold: float | None = None
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    decision: str = ""  # 'positive', 'negative', 'uncertain', or '' where refused
    decision_text: str = ""
    refusal_code: str = ""
    refusal_message: str = ""
    warnings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0  # seconds

    @property
    def score(self) -> int | None:
        """0 to 100, on its decision's side of the operating point."""
        return None if self.probability is None else score_of(self.probability, self.threshold, self.low)

    @property
    def band(self) -> list[float | None] | None:
        """The bounds between which a probability is uncertain, where the operating point has them."""
        return None if self.low is None else [self.low, self.high]

    @property
    def point_key(self) -> str:
        """Tells operating points apart, also two of one name; '' for a refusal, which hangs on none.

        A file of several frames that was read whole is another reading than one of its frames.
        """
        whole = WHOLE if self.frames else ""
        if self.refusal_code or self.threshold is None:
            return whole
        band = "" if self.low is None else f"[{self.low!r},{self.high!r}]"
        return f"{whole}{self.operating_point}@{self.threshold!r}{band}"[:120]

    @property
    def worst_frame(self) -> int | None:
        """Which of several frames answered, from 1; None where there is but one, or none could be read."""
        return self.frame + 1 if self.frames and self.decision else None

    def contract(self, *, path: str | None, heatmap: str | None) -> dict[str, Any]:
        """The fixed shape of `secondread read --json` and of the API (see Reading.to_dict)."""
        refused = bool(self.refusal_code)
        row: dict[str, Any] = {
            "path": path,
            "task": None if refused else self.task,
            "bundle": None if refused else self.bundle,
            "probability": self.probability,
            "score": self.score,
            "decision": self.decision or None,
            "operating_point": self.operating_point or None,
            "warnings": None if refused else list(self.warnings),
            "heatmap": heatmap,
            "refusal": {"code": self.refusal_code, "message": self.refusal_message} if refused else None,
        }
        if self.frames:
            frames = [{key: one[key] for key in ("frame", "score", "decision", "refusal")} for one in self.frames]
            row |= {"frames": frames, "worst_frame": self.worst_frame}
        return row


@dataclass(frozen=True, kw_only=True)
class Draft(Outcome):
    """A reading as it will be stored, with its pictures; who asked and when comes with storing."""

    thumbnail: bytes | None = None  # PNG
    heat_map: bytes | None = None  # PNG, grey: 0 nothing, 255 strongest; coloured where it is shown


@dataclass(frozen=True, kw_only=True)
class StoredReading(Outcome):
    """A reading out of the store, with the reason for its place in triage order."""

    id: int
    image_sha256: str
    name: str
    source: str
    has_thumbnail: bool
    heat_map: str  # its name in the image store; '' where there is none
    created_at: datetime
    created_by: str
    triage: float
    review_state: str
    finding: int | None
    n_reviews: int
    deleted_at: datetime | None
    erased_at: datetime | None
    hidden: bool = False  # the answer is withheld from the one who asks, until they have given their own opinion

    @property
    def reason(self) -> str:
        """Why it stands where it does in triage order."""
        return triage_reason(self.triage, self.score, self.n_reviews)

    @classmethod
    def of(cls, row: ReadingRow) -> "StoredReading":
        """From its row."""
        return record_of(cls, row, hidden=False)

    def withheld(self) -> "StoredReading":
        """The same without its answer and all that tells of it: which frame, how urgent, what others concluded."""
        frames = tuple({name: one[name] if name == "frame" else None for name in one} for one in self.frames)
        nothing = dict.fromkeys(("threshold", "low", "high", "probability", "finding"))
        empty = dict.fromkeys(("decision", "decision_text", "operating_point", "heat_map"), "")
        return replace(self, hidden=True, frame=0, frames=frames, triage=0.0, warnings=(), **nothing, **empty)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """For CSV and JSON: the contract of `secondread read --json` first, then what the store adds."""
        return self.contract(path=self.name, heatmap=self.heat_map or None) | {
            "id": self.id,
            "image": self.image_sha256,
            "frame": self.frame,
            "source": self.source,
            "asked_task": self.task or None,
            "threshold": self.threshold,
            "band": self.band,
            "facts": self.facts,
            "elapsed_ms": round(1000 * self.elapsed, 1),
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
            "review_state": self.review_state,
            "finding": self.finding,
            "n_reviews": self.n_reviews,
            "reason": self.reason,
            "hidden": self.hidden,
            "deleted": self.deleted_at is not None,
            "erased": self.erased_at is not None,
        }


class ReadingStore:
    """Readings in the database, their pictures in the folder."""

    def __init__(self, database: Database, images: ImageStore):
        self._database = database
        self._images = images

    def find(
        self, image_sha256: str, *, bundle_sha256: str, point_keys: Sequence[str], frame: int | None = None
    ) -> StoredReading | None:
        """The stored answer of this bundle to this image, at one of these operating points ('' finds a refusal).

        frame: of one frame alone, from 0; None: of the whole file, for which one frame of several never stands.
        """
        keys = [*point_keys, *(WHOLE + key for key in point_keys)] if frame is None else list(point_keys)
        statement = select(ReadingRow).where(
            ReadingRow.image_sha256 == image_sha256,
            ReadingRow.bundle_sha256 == bundle_sha256,
            ReadingRow.point_key.in_(keys),
            ReadingRow.deleted_at.is_(None),
            ReadingRow.erased_at.is_(None),
        )
        if frame is not None:
            statement = statement.where(ReadingRow.frame == frame)
        with self._database.reading() as session:
            rows = session.scalars(statement.order_by(ReadingRow.id)).all()
            found = (row for row in rows if frame is not None or row.frames or (row.facts.get("n_frames") or 1) == 1)
            row = next(found, None)
            return StoredReading.of(row) if row else None

    def add(
        self, draft: Draft, *, image_sha256: str, name: str, source: str = "", actor: Actor
    ) -> tuple[StoredReading, bool]:
        """Store a reading, or fetch the one that is there already; True where it is new.

        Of two processes that store the same at once, one inserts and both get that row.
        """
        self.keep_pictures(draft, image_sha256)
        try:
            with self._database.begin() as session:
                what = {"image_sha256": image_sha256, "name": name, "source": source}
                row, new = self.add_within(session, draft, **what, actor=actor)
                if row.decision:
                    note_shown(session, [row.id], actor)
                return StoredReading.of(row), new
        except NotThere:  # erased while it was read: no picture of it may come after
            self._images.forget(image_sha256)
            raise

    def keep_pictures(self, draft: Draft, image_sha256: str) -> None:
        """Write thumbnail and heat map, before the row that speaks of them."""
        if draft.thumbnail is not None:
            self._images.add_picture(THUMBNAILS, thumbnail_name(image_sha256, draft.frame), draft.thumbnail)
        if draft.heat_map is not None:
            name = heat_map_name(image_sha256, draft.bundle_sha256, draft.frame)
            self._images.add_picture(HEAT_MAPS, name, draft.heat_map)

    def add_within(
        self, session: Session, draft: Draft, *, image_sha256: str, name: str, source: str, actor: Actor
    ) -> tuple[ReadingRow, bool]:
        """As `add`, inside the caller's transaction; the pictures are there already.

        Raises NotThere where the image was erased since it was taken in.
        """
        erased = select(ImageRow.erased_at).where(ImageRow.sha256 == image_sha256).with_for_update(read=True)
        if session.scalar(erased) is not None:
            raise NotThere("the image was erased while it was read; nothing of it is kept")
        values = _values(draft, image_sha256=image_sha256, name=name, source=source, actor=actor)
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        inserted = session.execute(
            insert(ReadingRow)
            .values(**values)
            .on_conflict_do_nothing(index_elements=["image_sha256", "frame", "bundle_sha256", "point_key"])
            .returning(ReadingRow.id)
        ).scalar()
        if inserted is not None:
            row = session.get_one(ReadingRow, inserted)
            record(session, actor, "reading.made", f"reading:{row.id}", **_proof(row))
            return row, True
        row = session.scalars(
            select(ReadingRow)
            .where(
                ReadingRow.image_sha256 == image_sha256,
                ReadingRow.frame == draft.frame,
                ReadingRow.bundle_sha256 == draft.bundle_sha256,
                ReadingRow.point_key == draft.point_key,
            )
            .with_for_update()
        ).one()
        if row.deleted_at is not None or row.erased_at is not None:
            # Sent again: what was deleted or erased comes back, with the name it has now.
            row.deleted_at, row.erased_at, row.deleted_by = None, None, ""
            row.name, row.source = values["name"], values["source"]
            row.has_thumbnail, row.heat_map = values["has_thumbnail"], values["heat_map"]
            row.facts = values["facts"]
            record(session, actor, "reading.sent_again", f"reading:{row.id}", **_proof(row))
        elif row.refusal_code != draft.refusal_code:  # refused again, but for another reason: settings have changed
            row.refusal_code, row.refusal_message = draft.refusal_code, draft.refusal_message
            row.frames = list(draft.frames)
            record(session, actor, "reading.refused_anew", f"reading:{row.id}", **_proof(row))
        else:
            record(session, actor, "reading.answered_from_store", f"reading:{row.id}", **_proof(row))
        return row, False

    def tell_from_store(self, reading: StoredReading, *, actor: Actor) -> None:
        """Note in the trail that an image was answered with a reading that was there."""
        with self._database.begin() as session:
            record(session, actor, "reading.answered_from_store", f"reading:{reading.id}")
            if reading.decision:
                note_shown(session, [reading.id], actor)

    def get(self, reading_id: int, *, actor: Actor, deleted: bool = False, answer: bool = True) -> StoredReading:
        """One reading, noted in the trail as seen. deleted: also one that was deleted. Raises NotThere.

        answer: False where only the image is shown: the answer does not count as shown by it.
        """
        with self._database.begin() as session:
            row = _one(session, reading_id, deleted=deleted)
            found = StoredReading.of(row)
            [shown] = show(session, [found], actor) if answer or actor.opinion_first else [found]
            record(
                session, actor, "reading.seen", f"reading:{row.id}", **({"answer": "withheld"} if shown.hidden else {})
            )
            return shown

    def image(self, reading_id: int, *, actor: Actor) -> bytes:
        """The image's bytes as they are kept, noted in the trail. Raises NotThere."""
        return self._images.image(self.look_at_image(reading_id, actor=actor))

    def look_at_image(self, reading_id: int, *, actor: Actor) -> str:
        """The image's SHA-256, to show a picture of it; noted in the trail. Raises NotThere."""
        with self._database.begin() as session:
            row = _one(session, reading_id)
            record(session, actor, "image.seen", f"image:{row.image_sha256}", reading=row.id)
            return row.image_sha256

    def heat_map(self, reading_id: int, *, actor: Actor) -> bytes:
        """The heat map's strength as a grey PNG, noted in the trail. Raises NotThere."""
        with self._database.begin() as session:
            row = _one(session, reading_id)
            if not row.heat_map:
                raise NotThere("this reading has no heat map")
            check_shown(show(session, [StoredReading.of(row)], actor)[0])
            record(session, actor, "heat_map.seen", f"image:{row.image_sha256}", reading=row.id)
        return self._images.picture(HEAT_MAPS, row.heat_map)

    def thumbnails(self, reading_ids: Iterable[int], *, actor: Actor) -> dict[int, bytes]:
        """Small PNGs for a list, one line in the trail for all of them; those without one are left out."""
        wanted = list(reading_ids)
        with self._database.begin() as session:
            rows = session.execute(
                select(ReadingRow.id, ReadingRow.image_sha256, ReadingRow.frame).where(
                    ReadingRow.id.in_(wanted), ReadingRow.has_thumbnail, ReadingRow.deleted_at.is_(None)
                )
            ).all()
            record(session, actor, "thumbnails.seen", "worklist", readings=sorted(row.id for row in rows))
        names = {row.id: thumbnail_name(row.image_sha256, row.frame) for row in rows}
        return {reading_id: self._images.picture(THUMBNAILS, name) for reading_id, name in names.items()}

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


def show(session: Session, readings: Sequence[StoredReading], actor: Actor) -> list[StoredReading]:
    """What of these the actor may see: with `opinion_first`, answers on which they owe an opinion are withheld.

    All that is not withheld is noted as shown, for those whose opinion would count.
    """
    answered = [one for one in readings if one.decision]
    waiting = [one.id for one in answered if one.review_state in (OPEN, WAITING)]
    hidden = owed(session, waiting, actor.name) if actor.opinion_first and actor.may("review") else frozenset()
    note_shown(session, (one.id for one in answered if one.id not in hidden), actor)
    return [one.withheld() if one.id in hidden else one for one in readings]


def check_shown(reading: StoredReading) -> None:
    """Raises NotAllowed where the answer is withheld from the one who asks."""
    if reading.hidden:
        raise NotAllowed("your own opinion comes first: give it, and the answer is shown")


def _one(session: Session, reading_id: int, *, deleted: bool = False) -> ReadingRow:
    row = session.get(ReadingRow, reading_id) if abs(reading_id) < 2**31 else None
    if row is None or (row.deleted_at is not None and not deleted):
        raise NotThere(f"there is no reading {reading_id}; it may have been deleted")
    return row


def _values(draft: Draft, *, image_sha256: str, name: str, source: str, actor: Actor) -> dict[str, Any]:
    """The row: what came out under its own names, and what follows from it."""
    came_out = {column.name: getattr(draft, column.name) for column in fields(Outcome)}
    return came_out | {
        "warnings": list(draft.warnings),
        "frames": list(draft.frames),
        "image_sha256": image_sha256,
        "name": clean_name(name),
        "source": source.replace("\0", "")[:200],
        "point_key": draft.point_key,
        "sort_score": -1.0 if draft.probability is None else draft.probability,
        "has_thumbnail": draft.thumbnail is not None,
        "heat_map": "" if draft.heat_map is None else heat_map_name(image_sha256, draft.bundle_sha256, draft.frame),
        "created_at": now(),
        "created_by": actor.name,
        "triage": triage_of(decision=draft.decision, probability=draft.probability, review_state=OPEN),
    }


def _proof(row: ReadingRow) -> dict[str, Any]:
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
