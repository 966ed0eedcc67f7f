"""The database: SQLite in the data folder, or PostgreSQL by its URL; short transactions and migrations."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from secondread.errors import DatabaseUnusable, ExtraMissing, UsageError
from secondread.files import private_file
from secondread.service.outages import told
from secondread.service.writers import Writers

FILE_NAME = "secondread.sqlite"
_POOL_SECONDS = 5  # how long a thread waits for a connection that is free
# A server that is gone without a word (a cable, a machine) is given up after some seconds, not after hours; see libpq's
# parameters. What the URL says itself wins.
_POSTGRESQL: dict[str, Any] = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
    "application_name": "secondread",
}
_COMPACT = json.JSONEncoder(separators=(",", ":"))
_UPGRADE_LOCK = 0x5EC0_DB00
_MIGRATIONS = Path(__file__).parent / "migrations"


class Transaction(Session):
    """One that may write; the audit trail is appended to before it is committed (see trail.record)."""


@dataclass(frozen=True)
class Patience:
    """How long a transaction waits before it gives up with DatabaseAway. 0 waits for ever."""

    lock: float  # seconds, for what another transaction holds; of SQLite the whole database
    statement: float  # seconds, for one statement; PostgreSQL alone


OF_REQUESTS = Patience(lock=5, statement=15)  # a person waits, and so does a thread that others need
_OF_OTHERS = Patience(lock=30, statement=300)
_OF_UPGRADES = Patience(lock=0, statement=0)
_patience: ContextVar[Patience] = ContextVar("patience", default=_OF_OTHERS)


def wait_at_most(patience: Patience) -> None:
    """How long transactions that begin in this thread (or task) wait from now on."""
    _patience.set(patience)


class Database:
    """Transactions on one database. Safe to share between threads; each process opens its own.

    after_commit: called with the session of each transaction that may have written, once what it wrote is stored.
    """

    def __init__(self, url: URL):
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = _engine(url)
        self._writing = self.engine.execution_options(begin="BEGIN IMMEDIATE")
        self._reading = self.engine.execution_options(begin="BEGIN")
        is_file = self.is_sqlite and url.database not in (None, "", ":memory:")
        self._writers = Writers(Path(f"{url.database}-writers")) if is_file else None
        self.after_commit: Callable[[Session], None] | None = None

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
        turn = self._writers.one_at_a_time(_patience.get().lock) if self._writers is not None else nullcontext()
        with self._translating(), turn, Transaction(self._writing, expire_on_commit=False) as session, session.begin():
            yield session
        if self.after_commit is not None:
            self.after_commit(session)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads; writers do not wait for it."""
        with self._translating(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """The same for a statement or two of `statements`, without a session."""
        with self._translating(), self._reading.connect() as connection:
            yield connection

    def upgrade(self) -> None:
        """Bring the tables to the version of this package. Several processes may start at once: one does it.

        Raises DatabaseUnusable, also for a database that a newer version wrote.
        """
        from alembic import command
        from alembic.util.exc import CommandError

        if self.is_sqlite and self.url.database:
            private_file(Path(self.url.database))  # SQLite gives the files beside it the mode of this one
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

    def settle(self) -> None:
        """Write SQLite's log into its file and empty it, so that no deleted text stays behind in it.

        With readers at work a part may stay until the next time. PostgreSQL's own VACUUM is left to its server.
        """
        if self.is_sqlite:
            connection = self.engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                connection.close()

    def told(self, error: SQLAlchemyError) -> Exception:
        """What is raised in place of an error: one that says what to do, or itself where it is a mistake of ours."""
        return told(error, self.name) or error

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()
        if self._writers is not None:
            self._writers.close()

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction that no other upgrade runs beside."""
        before = _patience.set(_OF_UPGRADES)  # large tables take their time
        try:
            with self._writing.connect() as connection, connection.begin():
                if not self.is_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
                yield connection
        finally:
            _patience.reset(before)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """A database that cannot be used, as an error that says what to do; a mistake of ours as it is."""
        try:
            yield
        except SQLAlchemyError as error:
            if (instead := self.told(error)) is error:
                raise
            raise instead from error


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
            connect: dict[str, Any] = {"timeout": _OF_OTHERS.lock, "check_same_thread": False}
            engine = create_engine(
                url,
                connect_args=connect,
                json_serializer=_compact,
                pool_size=10,
                max_overflow=20,
                pool_timeout=_POOL_SECONDS,
            )
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        connect = {name: value for name, value in _POSTGRESQL.items() if name not in url.query}
        engine = create_engine(
            url,
            connect_args=connect,
            json_serializer=_compact,
            pool_pre_ping=True,  # a connection that died while it was idle is replaced, and nobody sees it
            pool_size=10,
            max_overflow=20,
            pool_timeout=_POOL_SECONDS,
        )
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise ExtraMissing.of("PostgreSQL", "postgresql") from error


def _compact(value: Any) -> str:
    """JSON without spaces: there are columns of it in every one of a million rows."""
    return _COMPACT.encode(value)


def _set_up_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late: see _begin_sqlite
    for pragma in (
        "journal_mode = WAL",  # readers and a writer do not wait for one another
        "synchronous = FULL",  # a commit returns once it is on the disk: 'stored' is true after a power cut as well
        "foreign_keys = ON",
        "secure_delete = ON",  # what is deleted or overwritten is zeros on the disk, and no file's name
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its place before it reads: what it then writes rests on what is still true."""
    wait = round(1000 * _patience.get().lock) or 2**31 - 1
    if connection.info.get("busy_timeout") != wait:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {wait}").close()
        connection.info["busy_timeout"] = wait
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _begin_postgresql(connection: Connection) -> None:
    """For this transaction alone: threads of requests and workers share the connections."""
    patience = _patience.get()
    bounds = (("lock_timeout", patience.lock), ("statement_timeout", patience.statement))
    both = "; ".join(f"SET LOCAL {name} = {round(1000 * seconds)}" for name, seconds in bounds)
    connection.exec_driver_sql(both, execution_options={"no_parameters": True})  # in one message to the server


def alembic_config(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
