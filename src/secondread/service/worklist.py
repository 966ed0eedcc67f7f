"""The worklist: readings in the order in which they need a person, filtered, cut into pages in milliseconds."""

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from secondread.errors import UnknownName, UsageError
from secondread.service.database import Database
from secondread.service.readings import StoredReading, show
from secondread.service.tables import ReadingRow, ReviewRow, iso
from secondread.service.trail import Actor, record
from secondread.service.triage import DONE, REVIEW_STATES, SETTLED

_ORDERS: dict[str, tuple[InstrumentedAttribute[Any], bool]] = {  # name → column, whether the largest comes first
    "triage": (ReadingRow.triage, False),
    "newest": (ReadingRow.created_at, True),
    "oldest": (ReadingRow.created_at, False),
    "highest": (ReadingRow.sort_score, True),
    "lowest": (ReadingRow.sort_score, False),
}
ORDERS = tuple(_ORDERS)
BY_TIME = ("newest", "oldest")  # orders that tell nothing of the answers
_DECISIONS = ("positive", "negative", "uncertain")
_MOST = 500  # rows of a page
_LONGEST_CURSOR = 200  # characters
_LARGEST_VALUE = 100  # of what rows are ordered by, besides their time
_CHUNK = 500  # rows of an export held at a time


@dataclass(frozen=True)
class Filter:
    """What a worklist shows; what is None does not matter."""

    task: str | None = None
    decision: str | None = None  # 'positive', 'negative' or 'uncertain'
    refused: bool | None = None
    since: datetime | None = None  # with a zone; from this moment
    until: datetime | None = None  # before this moment
    source: str | None = None
    reviewer: str | None = None  # whose opinion is there
    reviewed: bool | None = None  # whether all reviews that are needed were made
    review_state: str | None = None
    text: str | None = None  # part of the name, whatever its case
    bundle: str | None = None  # task/name@hash
    image: str | None = None  # its SHA-256: all readings of one image, for comparing bundles
    batch: int | None = None
    deleted: bool = False  # True: only what was deleted, to bring it back

    def __post_init__(self) -> None:
        if self.decision is not None and self.decision not in _DECISIONS:
            raise UnknownName.of("decision", self.decision, _DECISIONS)
        if self.review_state is not None and self.review_state not in REVIEW_STATES:
            raise UnknownName.of("review state", self.review_state, REVIEW_STATES)
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise UsageError("a date needs its time zone, as 2026-03-01T00:00:00+00:00")


@dataclass(frozen=True)
class Page:
    """Some rows of the worklist, and how to ask for the next ones."""

    rows: tuple[StoredReading, ...]
    next: str | None  # a cursor; None at the end


_FREE = ("text", "source")  # of a filter: people type there what they like, and the trail keeps it for good


class Worklist:
    """Readings as a person goes through them."""

    def __init__(self, database: Database):
        self._database = database

    def page(
        self,
        only: Filter | None = None,
        *,
        order: str = "triage",
        after: str | None = None,
        limit: int = 50,
        actor: Actor,
    ) -> Page:
        """The next rows in that order. Raises UnknownName, or UsageError for a cursor of another order.

        order: one of ORDERS. after: `next` of the page before. limit: 1 to 500.
        Pages go on where the last one ended, however many rows came in between: no row is skipped or shown twice unless
        it moved. The rows shown are noted in the trail.
        """
        if not 1 <= limit <= _MOST:
            raise UsageError(f"a page has 1 to {_MOST} rows, not {limit}")
        _check_first(only, order, actor)
        statement = _ordered(conditions_of(only or Filter()), order, after).limit(limit + 1)
        with self._database.begin() as session:
            found = [StoredReading.of(row) for row in session.scalars(statement)]
            rows = found[:limit]
            record(session, actor, "worklist.seen", "worklist", readings=[row.id for row in rows])
            seen = tuple(show(session, rows, actor))
        return Page(seen, _cursor(order, rows[-1]) if len(found) > limit else None)

    def count(self, only: Filter | None = None) -> int:
        """How many rows the filter leaves."""
        with self._database.reading() as session:
            inner = conditions_of(only or Filter()).with_only_columns(ReadingRow.id).subquery()
            return session.scalar(select(func.count()).select_from(inner)) or 0

    def neighbours(
        self, reading: StoredReading, only: Filter | None = None, *, order: str = "triage"
    ) -> tuple[int | None, int | None]:
        """The ids before and after a reading in that order, for going through with the keyboard."""
        column, descending = _order(order)
        place = tuple_(column, ReadingRow.id)
        at = (getattr(reading, column.key), reading.id) if column.key != "sort_score" else (_score(reading), reading.id)
        base = conditions_of(only or Filter()).with_only_columns(ReadingRow.id)
        forwards, backwards = (column.asc(), ReadingRow.id.asc()), (column.desc(), ReadingRow.id.desc())
        above, below = base.where(place > at).order_by(*forwards), base.where(place < at).order_by(*backwards)
        with self._database.reading() as session:
            larger, smaller = session.scalar(above.limit(1)), session.scalar(below.limit(1))
        return (larger, smaller) if descending else (smaller, larger)

    def export(self, only: Filter | None = None, *, order: str = "newest", actor: Actor) -> Iterator[StoredReading]:
        """Every row, a few hundred held at a time.

        Noted in the trail when it begins.
        """
        only = only or Filter()
        _order(order)
        _check_first(only, order, actor)
        with self._database.begin() as session:
            asked = {
                key: _plain(value) for key, value in asdict(only).items() if value is not None and key not in _FREE
            }
            record(session, actor, "worklist.exported", "worklist", filter=asked)
        return self._rows(only, order, actor)

    def choices(self) -> dict[str, list[str]]:
        """What can be filtered by: tasks, sources, bundles and reviewers that are there."""
        with self._database.reading() as session:
            columns = {"task": ReadingRow.task, "source": ReadingRow.source, "bundle": ReadingRow.bundle}
            found = {name: _distinct(session, column) for name, column in columns.items()}
            return found | {"reviewer": _distinct(session, ReviewRow.reviewer)}

    def explain(self, only: Filter | None = None, *, order: str = "triage", limit: int = 50) -> str:
        """The database's plan for a page, for tests and for those who add an index."""
        from sqlalchemy import text

        statement = _ordered(conditions_of(only or Filter()), order, None).limit(limit)
        with self._database.reading() as session:
            sql = statement.compile(self._database.engine, compile_kwargs={"literal_binds": True})
            prefix = "EXPLAIN QUERY PLAN " if self._database.is_sqlite else "EXPLAIN "
            plan = session.connection().exec_driver_sql(f"{prefix}{text(str(sql))}".replace("%", "%%"))
            return "\n".join(str(row[-1]) for row in plan)

    def _rows(self, only: Filter, order: str, actor: Actor) -> Iterator[StoredReading]:
        after: str | None = None
        while True:
            with self._database.begin() as session:
                statement = _ordered(conditions_of(only), order, after).limit(_CHUNK)
                rows = [StoredReading.of(row) for row in session.scalars(statement)]
                seen = show(session, rows, actor)
            yield from seen
            if len(rows) < _CHUNK:
                return
            after = _cursor(order, rows[-1])


def _check_first(only: Filter | None, order: str, actor: Actor) -> None:
    """An order or a filter by the answer would tell it."""
    if not (actor.opinion_first and actor.may("review")):
        return
    if order not in BY_TIME:
        raise UsageError(
            f"while your own opinion comes first, the order '{order}' would tell the answers; "
            f"take {' or '.join(BY_TIME)}"
        )
    if only is not None and only.decision is not None:
        raise UsageError("while your own opinion comes first, readings cannot be filtered by their answer")


def conditions_of(only: Filter) -> Select[ReadingRow]:
    row = ReadingRow
    tests: list[ColumnElement[bool]] = [row.deleted_at.is_not(None) if only.deleted else row.deleted_at.is_(None)]
    equal = {
        row.task: only.task,
        row.decision: only.decision,
        row.source: only.source,
        row.bundle: only.bundle,
        row.image_sha256: only.image,
        row.review_state: only.review_state,
    }
    tests += [column == value for column, value in equal.items() if value is not None]
    if only.refused is not None:
        tests.append(row.refusal_code != "" if only.refused else row.refusal_code == "")
    if only.since is not None:
        tests.append(row.created_at >= only.since)
    if only.until is not None:
        tests.append(row.created_at < only.until)
    if only.reviewed is not None:
        done = row.review_state.in_((DONE, SETTLED))
        tests.append(done if only.reviewed else ~done)
    if only.reviewer is not None:
        tests.append(exists().where(ReviewRow.reading_id == row.id, ReviewRow.reviewer == only.reviewer))
    if only.text:
        tests.append(func.lower(row.name).contains(only.text.lower().replace("\0", ""), autoescape=True))
    if only.batch is not None:
        from secondread.service.tables import ItemRow

        tests.append(exists().where(ItemRow.reading_id == row.id, ItemRow.batch_id == only.batch))
    return select(row).where(and_(*tests))


def _ordered(statement: Select[ReadingRow], order: str, after: str | None) -> Select[ReadingRow]:
    column, descending = _order(order)
    place = tuple_(column, ReadingRow.id)
    if after is not None:
        at = _place(order, after)
        statement = statement.where(place < at if descending else place > at)
    if descending:
        return statement.order_by(column.desc(), ReadingRow.id.desc())
    return statement.order_by(column.asc(), ReadingRow.id.asc())


def _order(name: str) -> tuple[InstrumentedAttribute[Any], bool]:
    if name not in _ORDERS:
        raise UnknownName.of("order", name, ORDERS)
    return _ORDERS[name]


def _cursor(order: str, row: StoredReading) -> str:
    """Where a page ended: order, value and id."""
    key = _ORDERS[order][0].key
    value = iso(row.created_at) if key == "created_at" else (_score(row) if key == "sort_score" else row.triage)
    return base64.urlsafe_b64encode(json.dumps([order, value, row.id]).encode()).decode().rstrip("=")


def _place(order: str, cursor: str) -> tuple[Any, int]:
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise ValueError(cursor)
        named, value, row_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if named != order or type(row_id) is not int or not 0 <= row_id < 2**31:
            raise ValueError(named)
        if _ORDERS[order][0].key == "created_at":
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None or not 1970 <= moment.year < 3000:
                raise ValueError(value)
            return moment, row_id
        if type(value) not in (int, float) or not abs(value) < _LARGEST_VALUE:
            raise ValueError(value)
        return float(value), row_id
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
        raise UsageError(
            "this cursor is of another order or of another list; start again from the first page"
        ) from error


def _score(row: StoredReading) -> float:
    return -1.0 if row.probability is None else row.probability


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value


def _distinct(session: Session, column: InstrumentedAttribute[str]) -> list[str]:
    return sorted(value for value in session.scalars(select(column).distinct()) if value)
