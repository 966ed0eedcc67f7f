"""How a page of the worklist is found among millions of rows in bounded time, whatever is asked.

A test that few rows fit is looked up, and what it leaves is sorted. Else the rows are walked in the order of an index,
within the one task, source, answer or state that is asked if an index has that order within it, and the other tests are
made on the way; after so many rows the walk stops, tells where, and the next page goes on from there. For a part of a
name, which no order of rows brings together, all names are gone through only where a short walk found too few of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select, true, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from secondread.errors import UnknownName
from secondread.service.filters import DECISIONS, Filter, Test, has_hash, hash_begins, live, tests_of
from secondread.service.tables import ReadingRow
from secondread.service.triage import REVIEW_STATES

FEW = 5000  # rows that are looked up and sorted for one page
_WINDOWS = (2000, 8000)  # rows that are walked for one page: first few, then more where too few of them fit
_TRIAL = 400  # rows that are walked first, to see how many hold a part of a name: going through all names takes longer
_MANY = 8  # of these: a fiftieth, of a million four times FEW
Place = tuple[Any, int]  # in an order: the value of its column, and the id


@dataclass(frozen=True)
class Order:
    """Readings by one column, and by number where that is equal."""

    column: InstrumentedAttribute[Any]
    descending: bool

    def keys(self, of: Any = None) -> list[ColumnElement[Any]]:
        """For ORDER BY; of: the columns `at` and `id` of a subquery, in place of the table's."""
        return [key.desc() if self.descending else key.asc() for key in self._both(of)]

    def beyond(self, place: Place | None, of: Any = None) -> ColumnElement[bool]:
        """What comes after a place; everything where there is none."""
        if place is None:
            return true()
        here = tuple_(*self._both(of))
        return here < place if self.descending else here > place

    def up_to(self, place: Place) -> ColumnElement[bool]:
        """What comes before a place, and the place itself."""
        here = tuple_(*self._both(None))
        return here >= place if self.descending else here <= place

    def _both(self, of: Any) -> tuple[Any, Any]:
        return (self.column, ReadingRow.id) if of is None else (of.at, of.id)

    @property
    def backwards(self) -> "Order":
        """The other way round."""
        return Order(self.column, not self.descending)


ORDERS = {
    "triage": Order(ReadingRow.triage, False),
    "newest": Order(ReadingRow.created_at, True),
    "oldest": Order(ReadingRow.created_at, False),
    "highest": Order(ReadingRow.sort_score, True),
    "lowest": Order(ReadingRow.sort_score, False),
}


def order_named(name: str) -> Order:
    """One of ORDERS. Raises UnknownName."""
    if name not in ORDERS:
        raise UnknownName.of("order", name, list(ORDERS))
    return ORDERS[name]


@dataclass(frozen=True)
class Found:
    """Rows in their order. rest: where the walk stopped, if it did before there were enough."""

    rows: Sequence[ReadingRow]
    rest: Place | None = None


def rows_of(session: Session, only: Filter, order: Order, *, after: Place | None = None, limit: int) -> Found:
    """The next rows, at most so many. Of those with `rest` there may be more, although there are fewer than that."""
    tests = tests_of(only)
    if (narrow := _narrow(session, only, [test for test in tests if not test.scanned])) is not None:
        return Found(session.scalars(_sorted(only, tests, narrow, order, after, limit)).all())
    lead = _lead(session, only, order)
    others = [test for test in tests if test.name not in lead.answers]
    if not others:
        return Found(session.scalars(_walked(only, lead, (), order, after, None, limit)).all())
    scanned = [test for test in tests if test.scanned]
    rows: list[ReadingRow] = []
    at = after
    for window in (_TRIAL, *_WINDOWS) if scanned else _WINDOWS:
        end = _end(session, only, lead, order, at, window)
        rows += session.scalars(_walked(only, lead, others, order, at, end, limit - len(rows))).all()
        if end is None or len(rows) >= limit:
            return Found(rows)
        too_few = window == _TRIAL and len(rows) * sum(_WINDOWS) < limit * _TRIAL  # to fill a page by walking on
        rare = too_few and not _common(session, only, scanned, lead, order, at, end)
        if rare and (narrow := _narrow(session, only, scanned)) is not None:
            return Found(session.scalars(_sorted(only, tests, narrow, order, after, limit)).all())
        at = end
    return Found(rows, at)


def how_many(session: Session, only: Filter, *, most: int) -> tuple[int, bool]:
    """How many rows are left, at least; True: not one more.

    Told by an index: of more than `most` it says no more than that; 0, False where several tests would have to be made.
    """
    tests = tests_of(only)
    narrow = _narrow(session, only, tests)
    if narrow is not None:
        tests = [narrow, *(replace(test, found=test.checked) for test in tests if test.name != narrow.name)]
    elif len(tests) > 1:
        return 0, False
    n = _at_most(session, select(ReadingRow.id).where(live(only), *(test.found for test in tests)), most)
    return min(n, most), n <= most


def values_there(session: Session, column: InstrumentedAttribute[str], *, most: int = 500) -> list[str]:
    """The values of a column that leads an index, each looked up behind the one before; no empty one."""
    kept = ReadingRow.deleted_at.is_(None) if column.class_ is ReadingRow else true()
    there = select(func.min(column).label("at")).where(kept, column > "").cte("there", recursive=True)
    behind = select(func.min(column)).where(kept, column > there.c.at).scalar_subquery()
    there = there.union_all(select(behind).where(there.c.at.is_not(None)))
    return [value for value in session.scalars(select(there.c.at).limit(most)) if value]


@dataclass(frozen=True)
class Lead:
    """Columns that an index has before that of the order, with the values to walk one after the other.

    answers: the names of the tests that are made by it.
    """

    columns: tuple[InstrumentedAttribute[Any], ...] = ()
    values: tuple[tuple[Any, ...], ...] = ((),)
    answers: tuple[str, ...] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        """One for each of the walks."""
        return [and_(true(), *(c == v for c, v in zip(self.columns, value, strict=True))) for value in self.values]


def _lead(session: Session, only: Filter, order: Order) -> Lead:
    """The index to walk; see ReadingRow for those that there are."""
    if only.deleted:
        return Lead()
    states, decisions = only.states, only.decisions
    some_states, some_decisions = len(states) < len(REVIEW_STATES), len(decisions) < len(DECISIONS)
    column = order.column.key
    if column == "triage" and (some_states or some_decisions):
        both = (ReadingRow.review_state, ReadingRow.decision)
        return Lead(both, tuple(product(states, decisions)), ("state", "decision"))
    if column == "sort_score" and some_decisions:
        return Lead((ReadingRow.decision,), tuple((one,) for one in decisions), ("decision",))
    if column == "created_at" and only.bundle is not None and (sha256 := _only_hash(session, only.bundle)) is not None:
        return Lead((ReadingRow.bundle_sha256,), ((sha256,),), ("bundle",))
    if column == "created_at" and only.source is not None:
        return Lead((ReadingRow.source,), ((only.source,),), ("source",))
    if column == "created_at" and some_states:
        return Lead((ReadingRow.review_state,), tuple((one,) for one in states), ("state",))
    if column in ("created_at", "triage") and only.task is not None:
        return Lead((ReadingRow.task,), ((only.task,),), ("task",))
    return Lead()


def _only_hash(session: Session, bundle: str) -> str | None:
    """The only hash that begins as the bundle's name says, if no other bundle has it; else None."""
    if not has_hash(bundle):
        return None
    begins = and_(ReadingRow.deleted_at.is_(None), hash_begins(ReadingRow.bundle_sha256, bundle))
    ends = [session.scalar(select(of(ReadingRow.bundle_sha256)).where(begins)) for of in (func.min, func.max)]
    if ends[0] is None or ends[0] != ends[1]:
        return None
    named = select(ReadingRow.bundle).where(begins).limit(1)
    return ends[0] if session.scalar(named) == bundle else None


def _narrow(session: Session, only: Filter, tests: Sequence[Test]) -> Test | None:
    """A test that few rows fit, as the numbers of those rows: the database then has no other way to find them."""
    for test in (test for test in tests if test.indexed):
        found = select(ReadingRow.id).where(live(only), test.found) if test.listed is None else test.listed
        if test.scanned or _at_most(session, found, FEW) <= FEW:
            ids = session.scalars(found.limit(FEW + 1)).all()
            if len(ids) <= FEW:
                return replace(test, found=ReadingRow.id.in_(ids))
    return None


def _common(
    session: Session,
    only: Filter,
    scanned: Sequence[Test],
    lead: Lead,
    order: Order,
    after: Place | None,
    end: Place | None,
) -> bool:
    """Whether a part of a name that the other tests left none of is in many of the walked rows: then it is in too many
    of all to be looked up, and going through them would be for nothing."""
    there = session.scalars(_walked(only, lead, scanned, order, after, end, _MANY)).all()
    return len(there) >= _MANY


def _at_most(session: Session, statement: Select[Any], most: int) -> int:
    """How many rows, counted up to one more than `most`."""
    return session.scalar(select(func.count()).select_from(statement.limit(most + 1).subquery())) or 0


def _sorted(
    only: Filter, tests: Sequence[Test], narrow: Test, order: Order, after: Place | None, limit: int
) -> Select[ReadingRow]:
    """What one test finds, checked by the others, then sorted. OFFSET keeps the database from walking all the same."""
    others = [test.checked for test in tests if test.name != narrow.name]
    found = _places(order).where(live(only), narrow.found, *others).offset(0).subquery()
    return _whole(order, select(found).where(order.beyond(after, found.c)), limit)


def _walked(
    only: Filter,
    lead: Lead,
    others: Sequence[Test],
    order: Order,
    after: Place | None,
    end: Place | None,
    limit: int,
) -> Select[ReadingRow]:
    """The next rows of each walk, and the first of them all."""
    checks = [live(only), order.beyond(after), *(test.checked for test in others)]
    checks += [] if end is None else [order.up_to(end)]
    walks = [
        _places(order).where(condition, *checks).order_by(*order.keys()).limit(limit).subquery()
        for condition in lead.conditions()
    ]
    together = select(walks[0]) if len(walks) == 1 else union_all(*map(select, walks))
    return _whole(order, select(together.subquery()), limit)


def _places(order: Order) -> Select[Any]:
    return select(order.column.label("at"), ReadingRow.id.label("id"))


def _whole(order: Order, places: Select[Any], limit: int) -> Select[ReadingRow]:
    """The rows of the first of these places, in their order."""
    inner = places.subquery()
    first = select(inner).order_by(*order.keys(inner.c)).limit(limit).subquery()
    return select(ReadingRow).join(first, first.c.id == ReadingRow.id).order_by(*order.keys(first.c))


def _end(session: Session, only: Filter, lead: Lead, order: Order, after: Place | None, window: int) -> Place | None:
    """Where so many rows of the index have been walked; None where its end comes first."""
    share = max(1, window // len(lead.values))
    ends: list[Place] = []
    for condition in lead.conditions():
        walk = select(order.column, ReadingRow.id).where(live(only), condition, order.beyond(after))
        last = session.execute(walk.order_by(*order.keys()).offset(share - 1).limit(1)).first()
        ends += [] if last is None else [(last[0], last[1])]
    return (max if order.descending else min)(ends, default=None)
