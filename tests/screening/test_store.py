"""Archives read into a service too: by its own desk, each picture once, refusals among the rows."""

import csv
import json
import os
import sqlite3
import subprocess
import sys

import pytest

from secondread.errors import UnknownName
from secondread.screening import screen, store_of
from secondread.service import LOCAL, ReadingRequest, Service, readers_of, settings_from
from secondread.service.database import FILE_NAME
from secondread.testing.phantoms import chest_phantom, encode
from tests.cli.test_cli import call


@pytest.fixture
def folder(tmp_path):
    here = tmp_path / "archive"
    here.mkdir()
    for at in range(6):
        (here / f"{at}.png").write_bytes(encode(chest_phantom(96, random_state=at, lesion=bool(at % 2)), "PNG"))
    (here / "5-again.png").write_bytes((here / "5.png").read_bytes())
    (here / "6.txt").write_bytes(b"a letter")
    return here


@pytest.fixture
def opened(tmp_path):
    settings = settings_from({}, config=None, given={"data_folder": str(tmp_path / "service"), "gate": "off"})
    service = Service.open(settings)
    yield service, readers_of(settings)
    service.close()


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stored_in(folder):
    with sqlite3.connect(folder / FILE_NAME) as database:  # beside its journals and the sessions' counts
        return database.execute("select count(*) from readings").fetchone()[0]


ASKED = ReadingRequest("tuberculosis", "paper")


def test_rows_are_those_of_the_reader_and_the_readings_are_kept(folder, opened, tmp_path):
    service, readers = opened
    store = store_of(service, readers, ASKED, actor=LOCAL)
    found = screen(folder, out=tmp_path / "out.csv", reference="tuberculosis/paper", store=store)
    screen(folder, out=tmp_path / "plain.csv", reference="tuberculosis/paper", gate=False)
    assert rows_of(tmp_path / "out.csv") == rows_of(tmp_path / "plain.csv")
    assert (found.n, found.decisions["refused"]) == (8, 1)
    kept = stored_of(service)
    assert sorted(row.name for row in kept) == [f"{at}.png" for at in range(5)] + [kept_name(kept)]
    screen(folder, out=tmp_path / "out.csv", reference="tuberculosis/paper", store=store)
    assert len(stored_of(service)) == 6, "the same picture in the same way is one reading"


def stored_of(service):
    """The readings that the service lists."""
    return service.worklist.page(actor=LOCAL).rows


def kept_name(rows):
    """Of two files with the same bytes the one that came first: they are read side by side."""
    return next(row.name for row in rows if row.name.startswith("5"))


def test_a_wrong_name_is_told_before_anything_is_kept(opened):
    service, readers = opened
    with pytest.raises(UnknownName, match="operating point"):
        store_of(service, readers, ReadingRequest("tuberculosis", "paper", "x"), actor=LOCAL)


KILLED = """
import os, signal, sys
from secondread.cli import main
from secondread.screening import journal
real = journal.Journal.add
def add(self, number, stamp, row):
    if self._added == 3:
        os.kill(os.getpid(), signal.SIGKILL)  # it is in the store, and not in the journal
    real(self, number, stamp, row)
journal.Journal.add = add
main.run()
"""


def test_a_kill_between_store_and_journal_keeps_no_reading_twice(folder, tmp_path, capsys):
    asked = ["screen", str(folder), "--task", "tuberculosis", "--bundle", "paper", "--workers", "1"]
    asked += ["--store", str(tmp_path / "service"), "--out", str(tmp_path / "out.csv")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SECONDREAD_GATE": "off"}
    killed = subprocess.run([sys.executable, "-c", KILLED, *asked], env=environment, check=False)
    assert killed.returncode == -9
    again = subprocess.run([sys.executable, "-m", "secondread.cli", *asked], env=environment, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert b"8 pictures (3 of them before)" in again.stdout
    assert stored_in(tmp_path / "service") == 6
    assert json.loads(rows_of(tmp_path / "out.csv")[-1]["refusal"])["code"] == "not_an_image"
    assert call(capsys, *asked, "--no-gate")[0] == 2
