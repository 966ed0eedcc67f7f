"""The database: SQLite in the data folder, or PostgreSQL by its URL; short transactions and migrations."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from secondread.errors import DatabaseUnusable, DiskFull, ExtraMissing, SecondReadError, UsageError

FILE_NAME = "secondread.sqlite"
_BUSY_MS = 30_000  # how long a writer waits for another
_UPGRADE_LOCK = 0x5EC0_DB00
_MIGRATIONS = Path(__file__).parent / "migrations"


class Transaction(Session):
    """One that may write; the audit trail is appended to before it is committed (see trail.record)."""


class Database:
    """Transactions on one database. Safe to share between threads; each process opens its own."""

    def __init__(self, url: URL):
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = _engine(url)
        self._writing = self.engine.execution_options(begin="BEGIN IMMEDIATE")
        self._reading = self.engine.execution_options(begin="BEGIN")

    @classmethod
    def open(cls, folder: Path, url: str = "") -> "Database":
        """The database at `url`, or without one the SQLite file in `folder`. Raises UsageError, ExtraMissing."""
        return cls(_parse(url) if url else URL.create("sqlite+pysqlite", database=str(folder / FILE_NAME)))

    @property
    def name(self) -> str:
        """The URL without its password, for people and logs."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction that may write: committed at the end, rolled back by an error. Keep it short.

        What was noted for the audit trail is appended in the same transaction.
        """
        with self._translating(), Transaction(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads; writers do not wait for it."""
        with self._translating(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    def upgrade(self) -> None:
        """Bring the tables to the version of this package. Several processes may start at once: one does it.

        Raises DatabaseUnusable, also for a database that a newer version wrote.
        """
        from alembic import command
        from alembic.util.exc import CommandError

        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._translating(), self._alone() as connection:
            try:
                command.upgrade(alembic_config(connection), "head")
            except CommandError as error:
                raise DatabaseUnusable(
                    f"{self.name} was written by another version of secondread ({error}); install that version or newer"
                ) from error

    def versions(self) -> tuple[str, str]:
        """The version of the tables here ('' where there are none), and the one that this package needs."""
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        with self._translating(), self._reading.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
            needed = ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
        return found or "", needed or ""

    def check(self) -> None:
        """Raise DatabaseUnusable unless it answers and has the tables of this package: for readiness."""
        found, needed = self.versions()
        if found != needed:
            raise DatabaseUnusable(
                f"{self.name} has tables of version '{found or 'none'}' where '{needed}' is needed; "
                "run `secondread db upgrade`"
            )

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction that no other upgrade runs beside."""
        with self._writing.connect() as connection, connection.begin():
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            yield connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """A database that cannot be reached, as an error that says what to do."""
        try:
            yield
        except DBAPIError as error:
            if (told := self._told(error)) is None:
                raise
            raise told from error

    def _told(self, error: DBAPIError) -> SecondReadError | None:
        """What to raise in its place, with a sentence that helps; None for what is a mistake of ours."""
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL:
            return DiskFull(f"the disk of the database {self.name} is full; free some space")
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return DatabaseUnusable(
                f"the database {self.name} is damaged, or is no database; move it away and bring a backup back with "
                "`secondread restore`"
            )
        if isinstance(error, OperationalError):
            reason = " ".join(str(error.orig).split())
            return DatabaseUnusable(f"the database {self.name} cannot be used: {reason[:300]}")
        if "no such table" in str(error) or "UndefinedTable" in type(error.orig).__name__:
            return DatabaseUnusable(f"{self.name} has no tables yet; run `secondread db upgrade`")
        return None


def _parse(text_: str) -> URL:
    try:
        url = make_url(text_)
    except ArgumentError as error:
        raise UsageError(
            "the database's URL cannot be read; write postgresql://user:password@host/name or sqlite:////folder/file"
        ) from error
    drivers = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
    if url.get_backend_name() not in drivers:
        raise UsageError(f"'{url.get_backend_name()}' is not used here; give the URL of PostgreSQL or of SQLite")
    return url.set(drivername=drivers[url.get_backend_name()])


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000, "check_same_thread": False})
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ExtraMissing.of("PostgreSQL", "postgresql") from error


def _set_up_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late: see _begin_sqlite
    for pragma in (
        "journal_mode = WAL",  # readers and a writer do not wait for one another
        "synchronous = NORMAL",  # with WAL: a power cut may lose the last moment, never the file
        "foreign_keys = ON",
        f"busy_timeout = {_BUSY_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its place before it reads: what it then writes rests on what is still true."""
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def alembic_config(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
