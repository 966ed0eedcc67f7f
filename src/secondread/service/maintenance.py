"""One backup, deletion or repair at a time: on a host by a lock in its data folder, on all by one of the database."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from secondread.errors import Conflict
from secondread.files import private_file
from secondread.service.database import Database

_LOCK = ".maintenance.lock"
_KEY = 0x5EC0_DB01  # of PostgreSQL's advisory lock; _UPGRADE_LOCK of database.py is its neighbour
_BUSY = "a backup or a deletion is running on {where}; wait until it has ended"


@contextmanager
def maintenance(database: Database, folder: Path) -> Iterator[None]:
    """Hold the locks; they end with the process, however that ends. Raises Conflict, DatabaseAway.

    folder: the data folder. Several hosts share PostgreSQL, and each has a folder of its own: both locks are needed,
    the folder's because SQLite has no lock that outlasts a transaction.
    """
    with ExitStack() as held:
        held.enter_context(_of_folder(folder))
        if not database.is_sqlite:
            held.enter_context(_of_database(database))
        yield


@contextmanager
def _of_folder(folder: Path) -> Iterator[None]:
    lock = folder / _LOCK
    private_file(lock)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(_BUSY.format(where="this data folder")) from error
        yield


@contextmanager
def _of_database(database: Database) -> Iterator[None]:
    """A connection of its own, idle and without a transaction, so that it holds back nothing but its like."""
    try:
        connection = database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    except SQLAlchemyError as error:
        raise database.told(error) from error
    with connection:
        connection.detach()  # closed at the end, and not kept for others: the lock ends with it whatever happens
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _KEY}):
            raise Conflict(_BUSY.format(where="this database, perhaps from another host"))
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):  # the server notices that a connection was closed a moment later only
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _KEY})
