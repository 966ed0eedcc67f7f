"""The service on both databases, with small phantoms and a reader that costs nothing."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from secondread.images import Limits, decode
from secondread.service import Accounts, Actor, Database, Service, picture_cache
from secondread.service.tables import Base
from secondread.service.trail_guard import install, wrong_with
from tests.service.stubs import image_bytes, stage
from tests.tables import tables_at_once, with_tables

SERVER = os.environ.get("SECONDREAD_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
ANNA = Actor("anna", "test")


def _admin(statement: str) -> None:
    engine = create_engine(make_url(SERVER).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of an upgraded PostgreSQL database of this run; a skip where no server answers."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: the extra 'postgresql' brings it")
    name = f"secondread_test_{uuid4().hex[:12]}"
    try:
        _admin(f"CREATE DATABASE {name}")
    except OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at {make_url(SERVER)!r}: {str(error.orig).splitlines()[0]}")
    _admin(f"ALTER DATABASE {name} SET synchronous_commit = off")
    database = Database.open(Path(), _url(name))
    database.upgrade()
    database.close()
    yield _url(name)
    _admin(f"DROP DATABASE {name} WITH (FORCE)")


def _url(name: str) -> str:
    return make_url(SERVER).set(database=name).render_as_string(hide_password=False)


@contextmanager
def new_postgresql(template: str = "template1") -> Iterator[str]:
    """The URL of a new database, on a server that is known to answer. template: what it is a copy of; see below."""
    name = f"secondread_test_{uuid4().hex[:12]}"
    _admin(f"CREATE DATABASE {name} TEMPLATE {template}")
    _admin(f"ALTER DATABASE {name} SET synchronous_commit = off")
    yield _url(name)
    _admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgresql_tables(postgresql: str) -> Iterator[str]:
    """The name of a template: a database with the tables of this version, which nobody is connected to."""
    with new_postgresql() as url:
        database = Database.open(Path(), url)
        database.upgrade()
        database.close()
        yield str(make_url(url).database)


@pytest.fixture
def empty_postgresql(postgresql: str) -> Iterator[str]:
    """The URL of an empty database."""
    with new_postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def emptied(postgresql: str) -> Iterator[Callable[[], str]]:
    """Empties the tables of the PostgreSQL database of this run and gives its URL."""
    database = Database.open(Path(), postgresql)
    tables = [table for table in Base.metadata.tables.values() if table.name != "trail"]
    # Few rows each: quicker than TRUNCATE, as setval is than RESTART, which gives the sequence a file of its own.
    work = ["SET LOCAL session_replication_role = replica"]  # foreign keys forbid it otherwise
    work += [f"DELETE FROM {table.name}" for table in tables]
    work += [f"PERFORM setval('{table.name}_id_seq', 1, false)" for table in tables if "id" in table.columns]
    at_once = f"DO $$ BEGIN {'; '.join(work)}; END $$"

    def empty() -> str:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(at_once)
            if connection.exec_driver_sql("SELECT EXISTS (SELECT FROM trail)").scalar() or any(wrong_with(connection)):
                connection.exec_driver_sql("ALTER TABLE trail DISABLE TRIGGER USER")
                connection.exec_driver_sql("DELETE FROM trail")
                install(connection)
        return postgresql

    yield empty
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """'' for SQLite, or the URL of a PostgreSQL database whose tables are empty."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("emptied")()
    return url


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test cuts the power; processes that tests start wait all the same."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module", autouse=True)
def _tables_at_once() -> Iterator[None]:
    """New services begin with the tables of this version; test_database.py migrates in earnest."""
    with tables_at_once():
        yield


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upgraded SQLite database to copy."""
    folder = tmp_path_factory.mktemp("sqlite")
    with_tables(folder)
    return folder / "secondread.sqlite"


@pytest.fixture
def service(tmp_path: Path, database_url: str, sqlite_file: Path) -> Iterator[Service]:
    """An empty service."""
    opened = Service.open({"DATA_FOLDER": str(tmp_path / "data"), "DATABASE": database_url}, upgrade=False)
    opened.images.prepare()
    if not database_url:
        shutil.copy(sqlite_file, opened.folder)
    yield opened
    opened.close()


@pytest.fixture
def accounts(service: Service) -> Accounts:
    """Accounts whose passwords are hashed quickly."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return Accounts(service.database, secret=lambda: b"of this folder", hasher=quick)


@pytest.fixture
def image(service: Service) -> str:
    """The hash of a staged image."""
    return stage(service, image_bytes(0))


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frame of each decode for a picture to look at."""
    found: list[int] = []

    def counted(data: bytes, *, frame: int, limits: Limits) -> object:
        found.append(frame)
        return decode(data, frame=frame, limits=limits)

    monkeypatch.setattr(picture_cache, "decode", counted)
    return found
