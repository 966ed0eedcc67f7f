"""The worklist: readings in the order in which they need a person, filtered, cut into pages in milliseconds."""

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from secondread.errors import UsageError
from secondread.service.database import Database
from secondread.service.filters import Filter, conditions_of
from secondread.service.outcomes import StoredReading
from secondread.service.readings import show
from secondread.service.tables import ReadingRow, ReviewRow, iso
from secondread.service.trail import Actor, record
from secondread.service.walking import ORDERS as _ORDERS
from secondread.service.walking import Order, Place, how_many, order_named, rows_of, values_there

ORDERS = tuple(_ORDERS)
BY_TIME = ("newest", "oldest")  # orders that tell nothing of the answers
COUNTED = 10_000  # rows; of more it is said that there are more
_MOST = 500  # rows of a page
_LONGEST_CURSOR = 200  # characters
_LARGEST_VALUE = 100  # of what rows are ordered by, besides their time
_CHUNK = 500  # rows of an export held at a time


@dataclass(frozen=True)
class Page:
    """Some rows of the worklist, and how to ask for the next ones."""

    rows: tuple[StoredReading, ...]
    next: str | None  # a cursor; None at the end. A page may have fewer rows than asked, even none, and others follow


@dataclass(frozen=True)
class About:
    """How many rows there are, or at least how many."""

    n: int
    exact: bool


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
        asked = order_named(order)
        place = None if after is None else _place(order, after)
        with self._database.begin() as session:
            found = rows_of(session, only or Filter(), asked, after=place, limit=limit + 1)
            rows = [StoredReading.of(row) for row in found.rows[:limit]]
            record(session, actor, "worklist.seen", "worklist", readings=[row.id for row in rows])
            seen = tuple(show(session, rows, actor))
        if len(found.rows) > limit:
            return Page(seen, _cursor(order, _place_of(asked, rows[-1])))
        return Page(seen, None if found.rest is None else _cursor(order, found.rest))

    def about(self, only: Filter | None = None, *, page: Page | None = None) -> About:
        """How many rows the filter leaves, as far as that is soon known: up to COUNTED by an index.

        page: the first of them, if that is at hand.
        """
        shown = 0 if page is None else len(page.rows)
        if page is not None and (page.next is None or (only is not None and only.text)):
            return About(shown, page.next is None)  # a part of a name is not looked for in all names twice
        with self._database.reading() as session:
            n, exact = how_many(session, only or Filter(), most=COUNTED)
        return About(max(n, shown), exact)

    def count(self, only: Filter | None = None) -> int:
        """How many rows the filter leaves, all counted: of a million that takes a second."""
        with self._database.reading() as session:
            inner = conditions_of(only or Filter()).with_only_columns(ReadingRow.id).subquery()
            return session.scalar(select(func.count()).select_from(inner)) or 0

    def neighbours(
        self, reading: StoredReading, only: Filter | None = None, *, order: str = "triage"
    ) -> tuple[int | None, int | None]:
        """The ids before and after a reading in that order, for going through with the keyboard."""
        asked = order_named(order)
        with self._database.reading() as session:
            before, after = (
                next(iter(rows_of(session, only or Filter(), way, after=_place_of(asked, reading), limit=1).rows), None)
                for way in (asked.backwards, asked)
            )
            return (None if before is None else before.id, None if after is None else after.id)

    def export(self, only: Filter | None = None, *, order: str = "newest", actor: Actor) -> Iterator[StoredReading]:
        """Every row, a few hundred held at a time.

        Noted in the trail when it begins.
        """
        only = only or Filter()
        order_named(order)
        _check_first(only, order, actor)
        with self._database.begin() as session:
            asked = {
                key: _plain(value) for key, value in asdict(only).items() if value is not None and key not in _FREE
            }
            record(session, actor, "worklist.exported", "worklist", filter=asked)
        return self._rows(only, order, actor)

    def choices(self) -> dict[str, list[str]]:
        """What can be filtered by: tasks, sources, bundles and reviewers that are there."""
        columns = {"task": ReadingRow.task, "source": ReadingRow.source, "reviewer": ReviewRow.reviewer}
        with self._database.reading() as session:
            found = {name: values_there(session, column) for name, column in columns.items()}
            hashes = values_there(session, ReadingRow.bundle_sha256)
            of_hash = (
                select(ReadingRow.bundle)
                .where(ReadingRow.bundle_sha256 == one, ReadingRow.deleted_at.is_(None))
                .limit(1)
                for one in hashes
            )
            return found | {"bundle": sorted(filter(None, map(session.scalar, of_hash)))}

    def _rows(self, only: Filter, order: str, actor: Actor) -> Iterator[StoredReading]:
        asked, after, first = order_named(order), None, True
        while first or after is not None:
            with self._database.begin() as session:
                found = rows_of(session, only, asked, after=after, limit=_CHUNK)
                rows = [StoredReading.of(row) for row in found.rows]
                seen = show(session, rows, actor)
            yield from seen
            first, after = False, _place_of(asked, rows[-1]) if len(rows) == _CHUNK else found.rest


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


def _place_of(order: Order, row: StoredReading) -> Place:
    """Where a row stands."""
    key = order.column.key
    return (_score(row) if key == "sort_score" else getattr(row, key), row.id)


def _cursor(order: str, place: Place) -> str:
    """Where a page ended: order, value and id."""
    value = iso(place[0]) if isinstance(place[0], datetime) else place[0]
    return base64.urlsafe_b64encode(json.dumps([order, value, place[1]]).encode()).decode().rstrip("=")


def _place(order: str, cursor: str) -> Place:
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise ValueError(cursor)
        named, value, row_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if named != order or type(row_id) is not int or not 0 <= row_id < 2**31:
            raise ValueError(named)
        if _ORDERS[order].column.key == "created_at":
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
