"""What a failure of the database is: an outage that passes, a full disk, a database that is not ours, or our defect."""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from secondread.errors import DatabaseAway, DatabaseUnusable, DiskFull, SecondReadError

_RETRY_AFTER = 5.0  # seconds: a server that was restarted is back by then
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_SQLITE_PASSES = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
)
# Classes of PostgreSQL's SQLSTATE (appendix A of its manual): connection, transaction rolled back, resources, operator
# intervention (shut down, statement timeout), system error; and: lock not available, read-only while it fails over.
_PASSING = ("08", "40", "53", "57", "58", "55P03", "25006")
_DISK_FULL = "53100"


def told(error: SQLAlchemyError, name: str) -> SecondReadError | None:
    """What to raise in its place, in words for who runs the service; None for what is a mistake of ours.

    name: the database, without its password. The sentence may name it and quote the database: readers are shown, and
    items of uploads keep, words of their own (see web.problems and Worker).
    """
    if isinstance(error, NoConnectionFree):
        return _away(name, "all connections are in use")
    if not isinstance(error, DBAPIError):
        return None
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error, error.orig, name)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state == _DISK_FULL:
        return _full(name)
    if state == "42P01":
        return _without_tables(name)
    gone = error.connection_invalidated or (isinstance(error, (OperationalError, InterfaceError)) and not state)
    if gone or state.startswith(_PASSING):
        return _away(name, str(error.orig))
    return DatabaseUnusable(_sentence(name, str(error.orig))) if isinstance(error, OperationalError) else None


def _of_sqlite(error: DBAPIError, orig: sqlite3.Error, name: str) -> SecondReadError | None:
    code = getattr(orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without what only tells the place
    if code == sqlite3.SQLITE_FULL:
        return _full(name)
    if code in _DAMAGED:
        return DatabaseUnusable(
            f"the database {name} is damaged, or is no database; move it away and bring a backup back with "
            "`secondread restore`"
        )
    if code in _LOCKED:
        return _away(name, "another process has kept it locked")
    if code in _SQLITE_PASSES:
        return _away(name, str(orig))
    if "no such table" in str(orig):
        return _without_tables(name)
    return None


def _away(name: str, reason: str) -> DatabaseAway:
    return DatabaseAway(_sentence(name, reason), retry_after=_RETRY_AFTER)


def _sentence(name: str, reason: str) -> str:
    return f"the database {name} cannot be used: {' '.join(reason.split())[:300]}"


def _full(name: str) -> DiskFull:
    return DiskFull(f"the disk of the database {name} is full; free some space")


def _without_tables(name: str) -> DatabaseUnusable:
    return DatabaseUnusable(f"{name} has no tables yet; run `secondread db upgrade`")
