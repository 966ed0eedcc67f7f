"""Every table of the service. A change here needs a migration, and a test compares the two."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """A moment as text that sorts by time: '2026-03-01T07:05:00.000000Z'."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_Record = TypeVar("_Record")


def record_of(kind: type[_Record], row: Any, **more: Any) -> _Record:
    """The frozen dataclass of a row: every field from the column of its name, but for those given in `more`.

    A list in a column (of JSON) becomes a tuple.
    """
    names = (field.name for field in fields(kind) if field.name not in more)  # type: ignore[arg-type]
    values = {name: getattr(row, name) for name in names}
    return kind(**{name: tuple(at) if isinstance(at, list) else at for name, at in values.items()}, **more)


class UtcTime(TypeDecorator[datetime]):
    """A column of moments. SQLite knows no zones, so it is given UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """What the database is given. A moment without a zone is a bug of ours."""
        if value is None:
            return None
        assert value.tzinfo is not None, "a moment without a zone"
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What the program is given."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_LIVE, _GONE = "deleted_at IS NULL", "deleted_at IS NOT NULL"


def _live(name: str, *columns: str) -> Index:
    """An index of what was not deleted. With the column that says so SQLite need not look at the row for it."""
    return Index(name, *columns, "deleted_at", postgresql_where=text(_LIVE), sqlite_where=text(_LIVE))


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[dict[str, Any]]: JSON,
    }


class ImageRow(Base):
    """A stored image, named by the SHA-256 of its bytes as they are kept."""

    __tablename__ = "images"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    n_bytes: Mapped[int]
    format: Mapped[str] = mapped_column(String(16))
    patient: Mapped[str] = mapped_column(String(64), default="", index=True)  # a pseudonym, as of all of a person
    study: Mapped[str] = mapped_column(String(64), default="", index=True)  # pseudonym of its Study Instance UID
    deidentified: Mapped[bool] = mapped_column(default=False)
    warnings: Mapped[list[str]]  # what should be known of how it is kept
    header: Mapped[dict[str, Any]] = mapped_column(default=dict)  # how it was taken, as the file said when it was sent
    patient_line: Mapped[dict[str, Any]] = mapped_column(default=dict)  # as people typed it for the report
    received_at: Mapped[datetime] = mapped_column(default=now, index=True)
    erased_at: Mapped[datetime | None]  # by retention: the files are gone


class ReadingRow(Base):
    """One reading: what was read, by what, what came out, who asked, and where its review stands."""

    __tablename__ = "readings"
    __table_args__ = (
        # The same image by the same bundle at the same operating point is one reading. Empty text, not NULL, stands
        # for what a refusal lacks: NULLs are never equal.
        Index("uq_readings_what", "image_sha256", "frame", "bundle_sha256", "point_key", unique=True),
        # Of the worklist (see service.walking): the orders, and the orders within one task, source, answer or state.
        _live("ix_readings_date", "created_at", "id"),
        _live("ix_readings_score", "sort_score", "id"),
        _live("ix_readings_triage", "triage", "id"),
        _live("ix_readings_task_date", "task", "created_at", "id"),
        _live("ix_readings_task_triage", "task", "triage", "id"),
        _live("ix_readings_source", "source", "created_at", "id"),
        _live("ix_readings_decision_score", "decision", "sort_score", "id"),
        _live("ix_readings_state_date", "review_state", "created_at", "id"),
        _live("ix_readings_state_triage", "review_state", "decision", "triage", "id"),
        _live("ix_readings_name", "name"),
        Index("ix_readings_deleted", "created_at", "id", postgresql_where=text(_GONE), sqlite_where=text(_GONE)),
        _live("ix_readings_bundle_date", "bundle_sha256", "created_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_sha256: Mapped[str] = mapped_column(ForeignKey("images.sha256"))
    frame: Mapped[int] = mapped_column(default=0)  # that answered, from 0
    frames: Mapped[list[dict[str, Any]]] = mapped_column(default=list)  # of a file that was read whole: each one's
    name: Mapped[str] = mapped_column(Text, default="")  # as sent; emptied by retention
    source: Mapped[str] = mapped_column(String(200), default="")
    task: Mapped[str] = mapped_column(String(100), default="")  # empty where none was found
    bundle: Mapped[str] = mapped_column(String(200), default="")  # task/name@hash
    bundle_sha256: Mapped[str] = mapped_column(String(64), default="")
    point_key: Mapped[str] = mapped_column(String(120), default="")
    operating_point: Mapped[str] = mapped_column(String(100), default="")
    threshold: Mapped[float | None] = mapped_column(Float(53))
    low: Mapped[float | None] = mapped_column(Float(53))
    high: Mapped[float | None] = mapped_column(Float(53))
    probability: Mapped[float | None] = mapped_column(Float(53))
    sort_score: Mapped[float] = mapped_column(Float(53), default=-1.0)  # the probability; -1 for a refusal
    decision: Mapped[str] = mapped_column(String(16), default="")
    decision_text: Mapped[str] = mapped_column(Text, default="")
    refusal_code: Mapped[str] = mapped_column(String(40), default="")
    refusal_message: Mapped[str] = mapped_column(Text, default="")
    warnings: Mapped[list[str]]
    findings: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))  # of a bundle with boxes
    facts: Mapped[dict[str, Any]]  # width, height, format, bit_depth, modality, body_part, n_frames, notes
    has_thumbnail: Mapped[bool] = mapped_column(default=False)  # it could be decoded: a small picture can be drawn
    # '' none; 'cells': in map_cells; else the name of a picture of an earlier version, yet to be taken over.
    heat_map: Mapped[str] = mapped_column(String(120), default="")
    map_cells: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # see map_cells.pack; not for lists
    elapsed: Mapped[float] = mapped_column(Float(53), default=0.0)  # seconds
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(100), default="")
    triage: Mapped[float] = mapped_column(Float(53), default=0.0)  # whole part: the class; fraction: order within
    review_state: Mapped[str] = mapped_column(String(16), default="open")
    finding: Mapped[int | None]  # what reviewers concluded: 1 disease, 0 none
    n_reviews: Mapped[int] = mapped_column(default=0)
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str] = mapped_column(String(100), default="")
    erased_at: Mapped[datetime | None]  # by retention: what identifies is gone, the row stays


class ReviewRow(Base):
    """One opinion of a qualified person. Rows are never changed but by retention, which empties the note."""

    __tablename__ = "reviews"
    __table_args__ = (Index("ix_reviews_reviewer_reading", "reviewer", "reading_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    reviewer: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(16))  # 'review' or 'adjudication'
    verdict: Mapped[str] = mapped_column(String(16))  # 'agree', 'disagree' or 'unsure'
    finding: Mapped[int | None]  # 1 disease, 0 none, None not said
    note: Mapped[str] = mapped_column(Text, default="")
    saw_answer: Mapped[bool] = mapped_column(default=True)  # False: written down before the answer was shown
    decision_then: Mapped[str] = mapped_column(String(16), default="")
    probability_then: Mapped[float | None] = mapped_column(Float(53))
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"), unique=True)
    made_at: Mapped[datetime] = mapped_column(default=now)


class DrawnBoxesRow(Base):
    """All boxes of an image as a person left them. Rows are never changed: who saves again adds one."""

    __tablename__ = "drawn_boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    person: Mapped[str] = mapped_column(String(100))
    boxes: Mapped[list[dict[str, Any]]]  # {box, of}: see service.boxes.DrawnBox
    found: Mapped[list[list[float]]] = mapped_column(JSON)  # the network's at that time, as they were drawn
    made_at: Mapped[datetime] = mapped_column(default=now)


class BatchRow(Base):
    """An upload: many images and what was asked of them."""

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(100))
    bundle: Mapped[str] = mapped_column(String(200), default="")
    operating_point: Mapped[str] = mapped_column(String(100), default="")
    frame: Mapped[int | None]  # from 1; none: all of them
    source: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(100), default="", index=True)
    cancelled_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(200), unique=True)
    request_sha256: Mapped[str] = mapped_column(String(64), default="")  # keyed; of what that key first came with


WAITING = "state IN ('queued', 'running')"  # as it stands in the index: a statement with these words finds it


class ItemRow(Base):
    """One image of an upload on its way to a reading."""

    __tablename__ = "items"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'refused', 'failed', 'cancelled')", name="state"),
        # Few items wait at any time, however many were read: a small index finds the next one of each upload.
        Index("ix_items_waiting", "batch_id", "id", postgresql_where=text(WAITING), sqlite_where=text(WAITING)),
        Index("ix_items_batch", "batch_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id"))
    name: Mapped[str] = mapped_column(Text, default="")
    image_sha256: Mapped[str | None] = mapped_column(ForeignKey("images.sha256"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    reading_id: Mapped[int | None] = mapped_column(ForeignKey("readings.id"), index=True)
    code: Mapped[str] = mapped_column(String(40), default="")
    message: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    lease: Mapped[str] = mapped_column(String(64), default="")  # of the worker that has it now
    lease_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class AnswerRow(Base):
    """A request with an Idempotency-Key, and what it was answered with; keyed hashes of both."""

    __tablename__ = "answers"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]  # none while it is being answered
    content_type: Mapped[str] = mapped_column(String(100), default="")
    body: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(index=True)


class PointRow(Base):
    """A site's own operating point for one bundle, bound to that bundle's hash."""

    __tablename__ = "site_points"
    __table_args__ = (
        Index(
            "uq_site_points_active",
            "bundle_sha256",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
            sqlite_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(100))
    bundle: Mapped[str] = mapped_column(String(200))  # task/name@hash
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    threshold: Mapped[float] = mapped_column(Float(53))
    low: Mapped[float | None] = mapped_column(Float(53))
    high: Mapped[float | None] = mapped_column(Float(53))
    prevalence: Mapped[float | None] = mapped_column(Float(53))  # where the reader is used
    measured: Mapped[dict[str, Any]]  # sensitivity and specificity with intervals, on which images
    note: Mapped[str] = mapped_column(Text, default="")
    chosen_by: Mapped[str] = mapped_column(String(100))
    chosen_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(String(100), default="")


class PrevalenceRow(Base):
    """How common disease is among those examined here, for one task."""

    __tablename__ = "site_prevalences"
    __table_args__ = (
        Index(
            "uq_site_prevalences_active",
            "task",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
            sqlite_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(100))
    prevalence: Mapped[float] = mapped_column(Float(53))
    note: Mapped[str] = mapped_column(Text, default="")
    chosen_by: Mapped[str] = mapped_column(String(100))
    chosen_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(String(100), default="")


class ShownRow(Base):
    """That the answer of a reading was shown to a person, and when first: no opinion of theirs is blind after that."""

    __tablename__ = "shown_answers"

    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id"), primary_key=True)
    person: Mapped[str] = mapped_column(String(100), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)


class ExportedRow(Base):
    """That an image left in an export of reviewed images, so that an erasure can name where it went."""

    __tablename__ = "exported_images"

    id: Mapped[int] = mapped_column(primary_key=True)
    image_sha256: Mapped[str] = mapped_column(ForeignKey("images.sha256"), index=True)
    kind: Mapped[str] = mapped_column(String(40))  # as the trail calls it: 'reviews.exported', 'scores.exported'
    at: Mapped[datetime] = mapped_column(default=now)
    by: Mapped[str] = mapped_column(String(100))


class TrailRow(Base):
    """One line of the audit trail; triggers forbid to change or delete it."""

    __tablename__ = "trail"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(27))  # as text: what was hashed, to the letter
    actor: Mapped[str] = mapped_column(String(100))
    via: Mapped[str] = mapped_column(String(100))
    address: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(200), index=True)
    detail: Mapped[str] = mapped_column(Text)  # canonical JSON
    prev: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
