"""The statements behind every answer, built once: putting one together takes longer than running it.

They speak of tables, not of mapped classes, and are run on a session's connection. SQLite and PostgreSQL know the same
ON CONFLICT, under two names.
"""

from typing import Any, cast

from sqlalchemy import Table, bindparam, insert, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from secondread.service.tables import ImageRow, ReadingRow, ShownRow, TrailRow

_IMAGES, _READINGS, _SHOWN, _TRAIL = (
    cast(Table, kind.__table__) for kind in (ImageRow, ReadingRow, ShownRow, TrailRow)
)
_WHAT = ("image_sha256", "frame", "bundle_sha256", "point_key")  # of a reading, as the index uq_readings_what
_OF_LISTS = tuple(column for column in _READINGS.c if column is not _READINGS.c.map_cells)
_LIVE = (_READINGS.c.deleted_at.is_(None), _READINGS.c.erased_at.is_(None))
_SENT = ("sha256", "n_bytes", "format", "patient", "deidentified", "warnings", "header", "received_at")

FIND = (
    select(*_OF_LISTS)
    .where(
        _READINGS.c.image_sha256 == bindparam("image_sha256"),
        _READINGS.c.bundle_sha256 == bindparam("bundle_sha256"),
        _READINGS.c.point_key.in_(bindparam("keys", expanding=True)),
        *_LIVE,
    )
    .order_by(_READINGS.c.id)
)
IS_LIVE = select(_READINGS.c.id).where(_READINGS.c.id == bindparam("reading"), *_LIVE)
CELLS_OF = select(_READINGS.c.map_cells).where(_READINGS.c.id == bindparam("reading"))
LAST_LINE = select(_TRAIL.c.seq, _TRAIL.c.hash).order_by(_TRAIL.c.seq.desc()).limit(1)
ADD_LINES = insert(_TRAIL)


def _for(kind: Any) -> dict[str, Any]:
    """kind: the module of a dialect."""
    image = kind.insert(_IMAGES).values({name: bindparam(name) for name in _SENT})
    again = {name: image.excluded[name] for name in _SENT[1:]}  # its time to live begins anew
    image = image.on_conflict_do_update(index_elements=["sha256"], set_=again | {"erased_at": None})
    return {
        # PostgreSQL alone tells a row that was inserted from one that was updated.
        "image": image if kind is sqlite else image.returning(literal_column("xmax = 0")),
        "reading": kind.insert(_READINGS).on_conflict_do_nothing(index_elements=_WHAT).returning(_READINGS.c.id),
        "shown": kind.insert(_SHOWN).on_conflict_do_nothing(),
    }


_SQLITE, _POSTGRESQL = _for(sqlite), _for(postgresql)


def write_image(session: Session, row: dict[str, Any]) -> bool:
    """Insert an image's row, or bring it up to date: sent again, it is not erased any more.

    True where no row spoke of it before; SQLite does not say, and then it is False.
    """
    done = session.connection().execute(_of(session)["image"], row)
    return bool(done.scalar()) if done.returns_rows else False


def insert_reading(session: Session, row: dict[str, Any]) -> int | None:
    """The number of a new reading; None where one of that image, frame, bundle and point is there."""
    found: int | None = session.connection().execute(_of(session)["reading"], row).scalar()
    return found


def insert_shown(session: Session, rows: list[dict[str, Any]]) -> None:
    """Note to whom answers were shown, but for what is noted already."""
    session.connection().execute(_of(session)["shown"], rows)


def _of(session: Session) -> dict[str, Any]:
    return _SQLITE if session.get_bind().dialect.name == "sqlite" else _POSTGRESQL
