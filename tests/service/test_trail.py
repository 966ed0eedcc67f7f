"""The audit trail: nothing can be changed, left out or cut off without being seen."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from secondread.errors import TrailBroken, UsageError
from secondread.service import Actor, Checkpoint, Service
from secondread.service.trail import canonical, line_hash
from tests.service.conftest import ANNA

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


@pytest.mark.parametrize("statement", ["UPDATE trail SET actor = 'x'", "DELETE FROM trail WHERE seq = 2"])
def test_the_database_itself_forbids_change_and_deletion(service: Service, statement: str) -> None:
    _fill(service)

    def tamper() -> None:
        with service.database.begin() as session:
            session.execute(text(statement))

    with pytest.raises(DBAPIError, match="append-only"):
        tamper()
    assert service.trail.verify().seq == 5


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


def test_no_checkpoint_is_refused() -> None:
    for wrong in ("", "1", "1:abc", "x:" + "0" * 64):
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
    with service.database.begin() as session:
        if service.database.is_sqlite:
            session.execute(text("DROP TRIGGER IF EXISTS trail_no_update"))
            session.execute(text("DROP TRIGGER IF EXISTS trail_no_delete"))
            session.execute(text(statement))
        else:
            session.execute(text("ALTER TABLE trail DISABLE TRIGGER USER"))
            session.execute(text(statement))
            session.execute(text("ALTER TABLE trail ENABLE TRIGGER USER"))
