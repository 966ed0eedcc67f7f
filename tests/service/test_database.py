"""Tables, migrations and transactions, on both databases."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text

from secondread.errors import DatabaseUnusable, UsageError
from secondread.service import LOCAL, Database, Service, Staged
from secondread.service.database import alembic_config
from secondread.service.tables import Base, TrailRow
from secondread.service.trail import record

_UPGRADE = "import sys; from pathlib import Path; from secondread.service import Database as D; \
d = D.open(Path(sys.argv[1]), sys.argv[2]); d.upgrade(); d.check(); d.close()"


@pytest.fixture(scope="module", autouse=True)
def _tables_at_once() -> None:
    """Not here: upgrades are what is tested."""


def test_migrations_give_the_tables_that_the_program_uses(service: Service) -> None:
    def ours(_: object, name: str | None, *__: object) -> bool:
        return name != "ix_readings_part_of_name"  # where PostgreSQL has what it takes: see migration 0022

    with service.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, Base.metadata) == []


def test_postgresql_without_trigrams_is_upgraded_all_the_same(empty_postgresql: str, tmp_path: Path) -> None:
    """The extension may be missing, or not for this account to create: then parts of names have no index."""
    database = Database.open(tmp_path, empty_postgresql)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS "
            "'BEGIN RAISE insufficient_privilege; END'; CREATE EVENT TRIGGER refused ON ddl_command_start "
            "WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION refuse()"
        )
    database.upgrade()
    database.check()
    with database.engine.connect() as connection:
        found = "SELECT count(*) FROM pg_indexes WHERE indexname = 'ix_readings_part_of_name'"
        assert connection.exec_driver_sql(found).scalar() == 0
    database.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_several_processes_may_upgrade_at_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = "" if kind == "sqlite" else request.getfixturevalue("empty_postgresql")
    command = [sys.executable, "-c", _UPGRADE, str(tmp_path), url]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in started:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_tables_of_the_first_version_keep_their_rows(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = "" if kind == "sqlite" else request.getfixturevalue("empty_postgresql")
    database = Database.open(tmp_path, url)
    with database.engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
    with pytest.raises(DatabaseUnusable, match="version '0001'"):
        database.check()
    with database.begin() as session:
        record(session, LOCAL, "something", "kept")
    database.upgrade()
    database.check()
    with database.reading() as session:
        assert session.scalars(select(TrailRow.subject)).all() == ["kept"]
    database.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_images_from_before_their_headers_were_kept_are_still_read(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = "" if kind == "sqlite" else request.getfixturevalue("empty_postgresql")
    service = Service.open({"DATA_FOLDER": str(tmp_path), "DATABASE": url}, upgrade=False)
    service.images.prepare()
    sha256 = service.images.add(b"an image")
    row = f"VALUES ('{sha256}', 8, 'PNG', '', false, '[\"a note\"]', '2026-01-01 00:00:00')"
    with service.database.engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0002")
        columns = "(sha256, n_bytes, format, patient, deidentified, warnings, received_at)"
        connection.exec_driver_sql(f"INSERT INTO images {columns} {row}")
    service.database.upgrade()
    assert service.intake.staged(sha256) == Staged(sha256, b"an image", ("a note",), {})
    service.close()


def test_an_error_undoes_the_change_and_its_line_in_the_trail(service: Service) -> None:
    def fails() -> None:
        with service.database.begin() as session:
            record(session, LOCAL, "something", "nothing")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert service.trail.count() == 0
    service.trail.record(LOCAL, "another", "thing")
    assert [line["action"] for line in service.trail.lines()] == ["another"]


def test_a_database_without_tables_or_of_another_version_says_what_to_do(service: Service, tmp_path: Path) -> None:
    empty = Database.open(tmp_path)
    with pytest.raises(DatabaseUnusable, match="secondread db upgrade"):
        empty.check()
    empty.close()
    _, needed = service.database.versions()
    set_to = text("UPDATE alembic_version SET version_num = :number")
    with service.database.begin() as session:
        session.execute(set_to, {"number": "9999"})
    try:
        with pytest.raises(DatabaseUnusable, match="another version"):
            service.database.upgrade()
    finally:  # the database of PostgreSQL serves the tests that come after
        with service.database.begin() as session:
            session.execute(set_to, {"number": needed})
    service.database.check()


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    database = Database.open(tmp_path, "postgresql://user:hush@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnusable, match=r"127\.0\.0\.1") as caught:
        database.check()
    assert "hush" not in str(caught.value)
    database.close()


@pytest.mark.parametrize("url", ["mysql://host/name", "no url"])
def test_a_url_of_something_else_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Database.open(tmp_path, url)
