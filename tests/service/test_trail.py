"""The audit trail: nothing can be changed, left out or cut off without being seen."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from secondread.errors import TrailBroken, UsageError
from secondread.service import Actor, Checkpoint, ReadingRequest, Service
from secondread.service.trail import canonical, line_hash
from secondread.service.trail_guard import install
from tests.service.conftest import ANNA
from tests.service.stubs import image_bytes, worker_of

_WRITE = """
import sys
from secondread.service import Actor
from secondread.service import Service
service = Service.open({"DATA_FOLDER": sys.argv[1], "DATABASE": sys.argv[2]}, upgrade=False)
for number in range(40):
    service.trail.record(Actor(sys.argv[3]), "write", f"thing:{number}", number=number)
"""


def _fill(service: Service, n: int = 5) -> None:
    for number in range(n):
        service.trail.record(ANNA, "write", f"thing:{number}", number=number, text="é\0")


def test_several_processes_write_one_whole_chain(service: Service) -> None:
    url = service.database.url.render_as_string(hide_password=False) if not service.database.is_sqlite else ""
    command = [sys.executable, "-c", _WRITE, str(service.folder), url]
    started = [subprocess.Popen([*command, f"p{number}"], stderr=subprocess.PIPE, text=True) for number in range(3)]
    for process in started:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint
    assert service.trail.verify().seq == 120
    by_writer = [line["actor"] for line in service.trail.lines()]
    assert {name: by_writer.count(name) for name in set(by_writer)} == {"p0": 40, "p1": 40, "p2": 40}


_COLUMNS = "seq, at, actor, via, address, action, subject, detail, prev, hash"
_AGAIN = "SELECT seq, at, 'x', via, address, action, subject, detail, prev, hash FROM trail WHERE seq = 2"
_NEXT = "at, 'x', via, address, action, subject, detail"
_EVERYWHERE = [
    "UPDATE trail SET actor = 'x'",
    "DELETE FROM trail WHERE seq = 2",
    "DELETE FROM trail",
    f"INSERT INTO trail ({_COLUMNS}) {_AGAIN}",
    f"INSERT INTO trail ({_COLUMNS}) SELECT 9, {_NEXT}, hash, hash FROM trail WHERE seq = 5",  # leaves lines out
    f"INSERT INTO trail ({_COLUMNS}) SELECT 0, {_NEXT}, prev, hash FROM trail WHERE seq = 1",  # before the first
    f"INSERT INTO trail ({_COLUMNS}) SELECT 6, {_NEXT}, prev, hash FROM trail WHERE seq = 5",  # does not follow
    f"INSERT INTO trail ({_COLUMNS}) {_AGAIN} ON CONFLICT (seq) DO UPDATE SET actor = 'x'",
    f"INSERT INTO trail ({_COLUMNS}) {_AGAIN} ON CONFLICT (seq) DO NOTHING",
]
_IN_SQLITE = [
    f"INSERT OR REPLACE INTO trail ({_COLUMNS}) {_AGAIN}",
    f"REPLACE INTO trail ({_COLUMNS}) {_AGAIN}",
    f"INSERT OR IGNORE INTO trail ({_COLUMNS}) {_AGAIN}",
    "UPDATE OR REPLACE trail SET seq = 2 WHERE seq = 3",
    "UPDATE OR IGNORE trail SET actor = 'x'",
]
_IN_POSTGRESQL = [
    "TRUNCATE trail",
    "SET LOCAL session_replication_role = replica; DELETE FROM trail",
    "SET LOCAL session_replication_role = replica; TRUNCATE trail",
]


@pytest.mark.parametrize("statement", [*_EVERYWHERE, *_IN_SQLITE, *_IN_POSTGRESQL])
def test_the_database_itself_takes_nothing_but_the_next_line(service: Service, statement: str) -> None:
    kind = _IN_POSTGRESQL if service.database.is_sqlite else _IN_SQLITE
    if statement in kind:
        pytest.skip("the other database's")
    _fill(service)
    before = list(service.trail.lines())

    def tamper() -> None:
        with service.database.begin() as session:
            for part in statement.replace(";", "\n").splitlines():
                session.execute(text(part))

    with pytest.raises(DBAPIError, match="append-only"):
        tamper()
    assert list(service.trail.lines()) == before
    assert service.trail.verify().seq == 5


@pytest.mark.parametrize("how", ["gone", "emptied", "added"])
def test_a_trigger_that_is_gone_changed_or_added_is_found(service: Service, how: str) -> None:
    _fill(service)
    for statement in _AGAINST_TRIGGERS[how][0 if service.database.is_sqlite else 1]:
        with service.database.begin() as session:
            session.connection().exec_driver_sql(statement)
    try:
        with pytest.raises(TrailBroken, match=f"trigger {_AGAINST_TRIGGERS[how][2]}"):
            service.trail.verify()
        service.trail.record(ANNA, "write", "thing")  # what goes on is not hindered
    finally:  # the database of PostgreSQL serves the tests that come after
        with service.database.begin() as session:
            session.connection().exec_driver_sql(
                "DROP TRIGGER IF EXISTS of_mine" + ("" if service.database.is_sqlite else " ON trail")
            )
            install(session.connection())
    assert service.trail.verify().seq == 6


_HARMLESS = "suppress_redundant_updates_trigger"  # one of PostgreSQL's own
_NOTHING = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
_AGAINST_TRIGGERS = {
    "gone": (["DROP TRIGGER trail_next_alone"], ["DROP TRIGGER trail_next_alone ON trail"], "trail_next_alone"),
    "emptied": (
        ["DROP TRIGGER trail_no_delete", "CREATE TRIGGER trail_no_delete BEFORE DELETE ON trail BEGIN SELECT 1; END"],
        [f"CREATE OR REPLACE FUNCTION trail_is_append_only() {_NOTHING}"],
        "trail_no",
    ),
    "added": (
        ["CREATE TRIGGER of_mine AFTER INSERT ON trail BEGIN SELECT 1; END"],
        [f"CREATE TRIGGER of_mine BEFORE UPDATE ON trail FOR EACH ROW EXECUTE FUNCTION {_HARMLESS}()"],
        "of_mine",
    ),
}


def test_a_trigger_that_is_switched_off_is_found(service: Service) -> None:
    if service.database.is_sqlite:
        pytest.skip("SQLite knows no such switch")
    for statement in ("DISABLE TRIGGER trail_no_change", "ENABLE TRIGGER trail_no_change"):
        with service.database.begin() as session:
            session.connection().exec_driver_sql(f"ALTER TABLE trail {statement}")
        with pytest.raises(TrailBroken, match="trail_no_change"):
            service.trail.verify()


def test_a_server_whose_role_may_only_add_to_the_trail_works_and_can_change_nothing(
    tmp_path: Path, empty_postgresql: str
) -> None:
    """As docs/how-to/deployment.md sets it up: the tables belong to another role than the server's."""
    role = f"secondread_test_{uuid4().hex[:12]}"
    owner = Service.open({"DATA_FOLDER": str(tmp_path / "data"), "DATABASE": empty_postgresql})
    url = make_url(empty_postgresql).set(username=role).render_as_string(hide_password=False)
    with owner.database.begin() as session:
        for statement in (
            f"CREATE ROLE {role} LOGIN",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
            f"REVOKE UPDATE, DELETE ON trail FROM {role}",
        ):
            session.execute(text(statement))
    try:
        service = Service.open({"DATA_FOLDER": str(tmp_path / "data"), "DATABASE": url})
        service.intake.take([("a.png", image_bytes(0))], ReadingRequest("tuberculosis"), actor=ANNA)
        assert worker_of(service).run_until_empty() == 1
        assert service.trail.verify().seq == service.trail.count() > 2
        for statement in ("DELETE FROM trail", "TRUNCATE trail", "ALTER TABLE trail DISABLE TRIGGER USER"):
            with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
                _execute(service, statement)
        service.close()
    finally:
        with owner.database.begin() as session:
            session.execute(text(f"DROP OWNED BY {role}"))
            session.execute(text(f"DROP ROLE {role}"))
        owner.close()


def _execute(service: Service, statement: str) -> None:
    with service.database.begin() as session:
        session.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE trail SET actor = 'x' WHERE seq = 3", "line 3 .* changed"),
        ("UPDATE trail SET detail = '{}' WHERE seq = 2", "line 2 .* changed"),
        ("DELETE FROM trail WHERE seq = 2", "line 2 .* missing"),
        ("DELETE FROM trail WHERE seq = 1", "line 1 .* missing"),
        ("UPDATE trail SET prev = '00' WHERE seq = 4", "line 4 .* does not follow"),
    ],
)
def test_whoever_drops_the_triggers_is_found_at_the_first_wrong_line(
    service: Service, statement: str, named: str
) -> None:
    _fill(service)
    _tamper(service, statement)
    with pytest.raises(TrailBroken, match=named):
        service.trail.verify()


def test_a_trail_cut_off_or_rewritten_is_found_by_a_checkpoint(service: Service) -> None:
    _fill(service)
    checkpoint = Checkpoint.parse(str(service.trail.checkpoint()))
    _fill(service, 2)
    assert service.trail.verify(checkpoint).seq == 7
    _tamper(service, "DELETE FROM trail WHERE seq > 4")
    service.trail.verify()
    with pytest.raises(TrailBroken, match="cut"):
        service.trail.verify(checkpoint)
    _fill(service, 3)
    with pytest.raises(TrailBroken, match="rewritten"):
        service.trail.verify(checkpoint)


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "1", "1:abc", "x:" + "0" * 64, "²:" + "a" * 64, "١:" + "a" * 64, "-1:" + "a" * 64, "1_0:" + "a" * 64),
        *("9" * 19 + ":" + "a" * 64, "1:" + "A" * 64, "1:" + "a" * 63 + "１", "0:" + "a" * 64, "1:" + "a" * 64 + "\n2"),
    ],
)
def test_what_is_no_checkpoint_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError):
        Checkpoint.parse(wrong)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.none(), max_size=5))
def test_a_lines_hash_does_not_hang_on_the_order_of_its_keys(line: dict) -> None:
    backwards = dict(reversed(list(line.items())))
    assert line_hash(line) == line_hash(backwards)
    assert canonical(line) == canonical(backwards)


def test_an_actor_of_any_length_fits(service: Service) -> None:
    service.trail.record(Actor("n" * 500, "v" * 500, "a" * 500), "write", "s" * 500)
    assert service.trail.verify().seq == 1


def _tamper(service: Service, statement: str) -> None:
    """As somebody who may do everything in the database, and leaves no trace at its triggers."""
    with service.database.begin() as session:
        if service.database.is_sqlite:
            session.execute(text("DROP TRIGGER trail_no_update"))
            session.execute(text("DROP TRIGGER trail_no_delete"))
        else:
            session.execute(text("ALTER TABLE trail DISABLE TRIGGER USER"))
        session.execute(text(statement))
        install(session.connection())
