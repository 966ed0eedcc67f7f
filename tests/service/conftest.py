"""The service on both databases, with small phantoms and a reader that costs nothing."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from secondread.service import Accounts, Actor, Database, Service
from secondread.service._tables import Base
from tests.service.stubs import image_bytes, stage

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
    pytest.importorskip("psycopg", reason="psycopg is not installed: the extra 'scale' brings it")
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


@pytest.fixture
def empty_postgresql(postgresql: str) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"secondread_test_{uuid4().hex[:12]}"
    _admin(f"CREATE DATABASE {name}")
    yield _url(name)
    _admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """'' for SQLite, or the URL of a PostgreSQL database whose tables are empty."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql")
    database = Database.open(Path(), url)
    with database.engine.begin() as connection:
        tables = ", ".join(name for name in Base.metadata.tables)
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # the trail forbids it otherwise
        connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    database.close()
    return url


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[Service]:
    """An empty service."""
    opened = Service.open({"DATA_FOLDER": str(tmp_path / "data"), "DATABASE": database_url})
    yield opened
    opened.close()


@pytest.fixture
def accounts(service: Service) -> Accounts:
    """Accounts whose passwords are hashed quickly."""
    return Accounts(service.database, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def image(service: Service) -> str:
    """The hash of a staged image."""
    return stage(service, image_bytes(0))
