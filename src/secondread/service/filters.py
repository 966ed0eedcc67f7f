"""What a list of readings is narrowed to, and each of its tests as the database can look it up or check it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from secondread.errors import UnknownName, UsageError
from secondread.service.tables import ItemRow, ReadingRow, ReviewRow
from secondread.service.triage import DONE, REVIEW_STATES, SETTLED

DECISIONS = ("positive", "negative", "uncertain", "")  # '' is a refusal
_NAMED = DECISIONS[:-1]
_HASH = 8  # characters of a bundle's hash in its name


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
        if self.decision is not None and self.decision not in _NAMED:
            raise UnknownName.of("decision", self.decision, _NAMED)
        if self.review_state is not None and self.review_state not in REVIEW_STATES:
            raise UnknownName.of("review state", self.review_state, REVIEW_STATES)
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise UsageError("a date needs its time zone, as 2026-03-01T00:00:00+00:00")

    @property
    def decisions(self) -> tuple[str, ...]:
        """Those that may be left; '' is a refusal."""
        left = DECISIONS if self.decision is None else (self.decision,)
        return left if self.refused is None else tuple(one for one in left if (one == "") == self.refused)

    @property
    def states(self) -> tuple[str, ...]:
        """Review states that may be left."""
        left = REVIEW_STATES if self.review_state is None else (self.review_state,)
        return (
            left if self.reviewed is None else tuple(one for one in left if (one in (DONE, SETTLED)) == self.reviewed)
        )


@dataclass(frozen=True)
class Test:
    """One thing that a filter asks.

    found: for the database to look up in an index; checked: the same of rows that were found otherwise. listed: the
    numbers of the rows, where another table has them. indexed: False where no index has it. scanned: an index may have
    to be gone through from end to end (see migration 0022), which is done but once.
    """

    name: str
    found: ColumnElement[bool]
    checked: ColumnElement[bool]
    listed: Select[Any] | None = None
    indexed: bool = True
    scanned: bool = False


class _NotByIndex(FunctionElement[Any]):
    """A column of which SQLite, which has no statistics of values, shall not use an index."""

    inherit_cache = True

    def __init__(self, column: Any):
        super().__init__(column)
        self.type = column.type


@compiles(_NotByIndex)
def _plain(element: _NotByIndex, compiler: Any, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_NotByIndex, "sqlite")
def _with_plus(element: _NotByIndex, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


class _Folded(FunctionElement[Any]):
    """A column in lower case. SQLite's LIKE folds case itself, and is twice as quick as with lower()."""

    inherit_cache = True

    def __init__(self, column: Any):
        super().__init__(column)
        self.type = column.type


@compiles(_Folded)
def _lower(element: _Folded, compiler: Any, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


class _FoldedAsItStands(_Folded):
    """The same of rows that are walked: PostgreSQL would leave the walk for its index of parts of names, and a part of
    every tenth name costs it half a second there."""

    inherit_cache = True


@compiles(_FoldedAsItStands)
def _lower_by_no_index(element: _FoldedAsItStands, compiler: Any, **options: Any) -> str:
    return f"(lower({compiler.process(element.clauses, **options)}) || '')"


@compiles(_FoldedAsItStands, "sqlite")
@compiles(_Folded, "sqlite")
def _as_it_is(element: _Folded, compiler: Any, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


def live(only: Filter) -> ColumnElement[bool]:
    """What was deleted, or what was not; in the words of the partial indices."""
    return ReadingRow.deleted_at.is_not(None) if only.deleted else ReadingRow.deleted_at.is_(None)


def tests_of(only: Filter) -> list[Test]:
    """Everything that a filter asks besides `live`, those that leave fewest rows as a rule first."""
    row, asked = ReadingRow, []
    if only.image is not None:
        asked.append(_test("image", lambda c: c(row.image_sha256) == only.image))
    if only.batch is not None:
        of_batch = select(ItemRow.reading_id).where(ItemRow.batch_id == only.batch, ItemRow.reading_id.is_not(None))
        there = exists().where(ItemRow.reading_id == row.id, _NotByIndex(ItemRow.batch_id) == only.batch)
        asked.append(Test("batch", row.id.in_(of_batch), there, listed=of_batch))
    if only.reviewer is not None:
        by_them = select(ReviewRow.reading_id).where(ReviewRow.reviewer == only.reviewer)
        there = exists().where(ReviewRow.reading_id == row.id, ReviewRow.reviewer == only.reviewer)
        asked.append(Test("reviewer", row.id.in_(by_them), there, listed=by_them))
    if only.since is not None or only.until is not None:
        asked.append(_test("time", lambda c: _between(c(row.created_at), only.since, only.until)))
    if only.bundle is not None:
        bundle = only.bundle
        test = _test("bundle", lambda c: and_(hash_begins(c(row.bundle_sha256), bundle), row.bundle == bundle))
        asked.append(replace(test, indexed=has_hash(bundle)))
    for name, column in (("source", row.source), ("task", row.task)):
        if (value := getattr(only, name)) is not None:
            asked.append(_test(name, lambda c, at=column, value=value: c(at) == value))
    if len(only.states) < len(REVIEW_STATES):
        asked.append(_test("state", lambda c: c(row.review_state).in_(only.states)))
    if len(only.decisions) < len(DECISIONS):
        asked.append(_test("decision", lambda c: c(row.decision).in_(only.decisions)))
    if only.text:
        part = only.text.lower().replace("\0", "")
        holds, walked = (of(row.name).contains(part, autoescape=True) for of in (_Folded, _FoldedAsItStands))
        several = len(only.text) > 1  # one character is in many names or in none, and not worth going through them all
        asked.append(Test("text", holds, walked, indexed=several, scanned=several))
    return asked


def conditions_of(only: Filter) -> Select[Any]:
    """All rows that are left, in no order."""
    return select(ReadingRow).where(live(only), *(test.found for test in tests_of(only)))


def _test(name: str, of: Callable[..., ColumnElement[bool]]) -> Test:
    return Test(name, of(lambda column: column), of(_NotByIndex))


def _between(moment: Any, since: datetime | None, until: datetime | None) -> ColumnElement[bool]:
    bounds = [moment >= since] if since is not None else []
    return and_(*bounds, *([moment < until] if until is not None else []))


def has_hash(bundle: str) -> bool:
    """Whether a bundle's name is whole: task/name@hash."""
    return len(bundle.rpartition("@")[2]) == _HASH


def hash_begins(hashed: Any, bundle: str) -> ColumnElement[bool]:
    """As the bundle's name says; true of every hash where it does not say enough."""
    start = bundle.rpartition("@")[2]
    return and_(hashed >= start, hashed < start + "g") if has_hash(bundle) else true()
