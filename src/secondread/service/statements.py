"""The statements behind every answer, built once: putting one together takes longer than running it.

They speak of tables, not of mapped classes, and are run on a session's connection. SQLite and PostgreSQL know the same
ON CONFLICT, under two names.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import (
    Connection,
    CursorResult,
    Dialect,
    Insert,
    Select,
    Table,
    bindparam,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from secondread.service.account_tables import UserRow
from secondread.service.tables import ImageRow, ReadingRow, ShownRow, TrailRow

_IMAGES, _READINGS, _SHOWN, _TRAIL, _USERS = (
    cast(Table, kind.__table__) for kind in (ImageRow, ReadingRow, ShownRow, TrailRow, UserRow)
)
_WHAT = ("image_sha256", "frame", "bundle_sha256", "point_key")  # of a reading, as the index uq_readings_what
_OF_LISTS = tuple(column for column in _READINGS.c if column is not _READINGS.c.map_cells)
_LIVE = (_READINGS.c.deleted_at.is_(None), _READINGS.c.erased_at.is_(None))
_SENT = ("sha256", "n_bytes", "format", "patient", "study", "deidentified", "warnings", "header", "received_at")

IS_LIVE = select(_READINGS.c.id).where(_READINGS.c.id == bindparam("reading"), *_LIVE)
CELLS_OF = select(_READINGS.c.map_cells).where(_READINGS.c.id == bindparam("reading"))


class Prepared:
    """A statement as the driver takes it: its text, and for each value what makes of it what the column holds.

    What it finds comes as the driver gives it, so it is for numbers and text alone. Its columns' own defaults hold.
    """

    def __init__(self, statement: Insert | Select[Any]):
        self._statement = statement
        self._made: dict[tuple[str, ...], _Made] = {}

    def run(self, connection: Connection, *rows: Mapping[str, Any]) -> CursorResult[Any]:
        """With one row of values, or once for each of several that have the same names."""
        key = (connection.dialect.name, *rows[0])
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _Made(self._statement, connection.dialect, list(rows[0]))
        values = [made.values(row) for row in rows]
        return connection.exec_driver_sql(made.text, values[0] if len(values) == 1 else values)


class _Made:
    """One for one kind of database and one set of names."""

    def __init__(self, statement: Insert | Select[Any], dialect: Dialect, names: Sequence[str]):
        compiled: Any = statement.compile(dialect=dialect, column_keys=names if isinstance(statement, Insert) else None)
        self.text = str(compiled)
        processors = {
            name: one.type.dialect_impl(dialect).bind_processor(dialect) for one, name in compiled.bind_names.items()
        }
        order = compiled.positiontup if compiled.positional else list(processors)
        self._places: list[tuple[str, Callable[[Any], Any] | None]] = [(name, processors[name]) for name in order]
        self._by_name = None if compiled.positional else order
        self._constants = dict(compiled.params)
        self._defaults = {
            column.key: column.default
            for column in getattr(compiled, "insert_prefetch", ())
            if column.default is not None
        }

    def values(self, row: Mapping[str, Any]) -> Any:
        """For the driver: in the order of the places, or by their names."""
        given = {**self._constants, **{name: _default(one) for name, one in self._defaults.items()}, **row}
        found = tuple(given[name] if process is None else process(given[name]) for name, process in self._places)
        return found if self._by_name is None else dict(zip(self._by_name, found, strict=True))


class Lookup:
    """A SELECT of columns as the driver takes it, which gives its rows with the columns' names and their own types."""

    def __init__(self, statement: Select[Any]):
        self._columns = tuple(statement.selected_columns)
        self._prepared = Prepared(statement)

    def rows(self, connection: Connection, **values: Any) -> list[SimpleNamespace]:
        """All rows that these values find."""
        found = self._prepared.run(connection, values)
        described = found.cursor.description if found.cursor is not None else ()
        if not (rows := found.fetchall()):
            return []
        dialect = connection.dialect
        kinds = (column.type.dialect_impl(dialect) for column in self._columns)
        makers = [kind.result_processor(dialect, told[1]) for kind, told in zip(kinds, described, strict=True)]
        return [
            SimpleNamespace(
                **{
                    str(column.key): value if make is None else make(value)
                    for column, make, value in zip(self._columns, makers, row, strict=True)
                }
            )
            for row in rows
        ]


@cache
def find(n_keys: int) -> Lookup:
    """Readings of `image_sha256` by `bundle_sha256` at one of so many operating points: `key0`, `key1`, …"""
    keys = (_READINGS.c.point_key == bindparam(f"key{number}") for number in range(n_keys))
    same = (_READINGS.c[name] == bindparam(name) for name in ("image_sha256", "bundle_sha256"))
    return Lookup(select(*_OF_LISTS).where(*same, or_(*keys), *_LIVE).order_by(_READINGS.c.id))


def _default(default: Any) -> Any:
    return default.arg(None) if default.is_callable else default.arg


LAST_LINE = Prepared(select(_TRAIL.c.seq, _TRAIL.c.hash).order_by(_TRAIL.c.seq.desc()).limit(1))
ADD_LINES = Prepared(insert(_TRAIL))
ANY_ACCOUNT = Prepared(select(_USERS.c.id).limit(1))


def _for(kind: Any) -> dict[str, Prepared]:
    """kind: the module of a dialect."""
    image = kind.insert(_IMAGES).values({name: bindparam(name) for name in _SENT})
    again = {name: image.excluded[name] for name in _SENT[1:]}  # its time to live begins anew
    image = image.on_conflict_do_update(index_elements=["sha256"], set_=again | {"erased_at": None})
    return {
        # PostgreSQL alone tells a row that was inserted from one that was updated.
        "image": Prepared(image if kind is sqlite else image.returning(literal_column("xmax = 0"))),
        "reading": Prepared(
            kind.insert(_READINGS).on_conflict_do_nothing(index_elements=_WHAT).returning(_READINGS.c.id)
        ),
        "shown": Prepared(kind.insert(_SHOWN).on_conflict_do_nothing()),
    }


_SQLITE, _POSTGRESQL = _for(sqlite), _for(postgresql)


def write_image(session: Session, row: dict[str, Any]) -> bool:
    """Insert an image's row, or bring it up to date: sent again, it is not erased any more.

    True where no row spoke of it before; SQLite does not say, and then it is False.
    """
    done = _of(session)["image"].run(session.connection(), row)
    return bool(done.scalar()) if done.returns_rows else False


def insert_reading(session: Session, row: dict[str, Any]) -> int | None:
    """The number of a new reading; None where one of that image, frame, bundle and point is there."""
    found: int | None = _of(session)["reading"].run(session.connection(), row).scalar()
    return found


def insert_shown(session: Session, rows: list[dict[str, Any]]) -> None:
    """Note to whom answers were shown, but for what is noted already."""
    _of(session)["shown"].run(session.connection(), *rows)


def _of(session: Session) -> dict[str, Prepared]:
    return _SQLITE if session.get_bind().dialect.name == "sqlite" else _POSTGRESQL
