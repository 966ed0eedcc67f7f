"""Who writes next to an SQLite file: in line, in every process; and who cannot stand in line writes all the same."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from secondread.service import Actor, Service
from secondread.service.writers import Writers

IN_TIME = 30.0  # seconds for what takes none
_WRITES = """
import os, sys
from pathlib import Path
from secondread.service.writers import Writers
writers, counter = Writers(Path(sys.argv[1])), Path(sys.argv[2])
for _ in range(200):
    with writers.one_at_a_time(60):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_processes_and_threads_write_one_at_a_time(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", _WRITES, str(tmp_path / "writers"), str(counter)]
    running = [subprocess.Popen(command) for _ in range(2)]
    writers = Writers(tmp_path / "writers")

    def write() -> None:
        for _ in range(50):
            with writers.one_at_a_time(60):
                counter.write_text(str(int(counter.read_text()) + 1))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(IN_TIME)
    assert [process.wait(IN_TIME) for process in running] == [0, 0]
    assert counter.read_text() == "500"
    writers.close()


def test_the_line_goes_on_when_a_process_in_it_is_killed(tmp_path: Path) -> None:
    held = """
import sys, time
from pathlib import Path
from secondread.service.writers import Writers
with Writers(Path(sys.argv[1])).one_at_a_time(60):
    print("has it", flush=True)
    time.sleep(600)
"""
    command = [sys.executable, "-c", held, str(tmp_path / "writers")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "has it\n"
        writers = Writers(tmp_path / "writers")
        with writers.one_at_a_time(0.01):  # too long: to SQLite's own lock without a place
            assert not writers._lock(0.0)
        process.kill()
        process.wait()
        with writers.one_at_a_time(IN_TIME):
            assert writers._file >= 0
        assert writers._lock(float("inf"))
        writers.close()


def test_where_nothing_can_be_locked_writing_goes_on(tmp_path: Path) -> None:
    writers, passed = Writers(tmp_path / "none" / "writers"), []
    for _ in range(2):
        with writers.one_at_a_time(1):
            passed.append(writers._file)
    assert passed == [-1, -1]


def test_a_service_stands_in_line_and_leaves_a_file_that_is_its_owner_s(service: Service) -> None:
    if not service.database.is_sqlite:
        pytest.skip("PostgreSQL has many writers")
    service.accounts.add("anna", role="administrator", password="a long password 42", actor=Actor("test"))
    found = service.folder / "secondread.sqlite-writers"
    assert found.stat().st_mode & 0o777 == 0o600
    assert not [one for one in service.repair.check(actor=Actor("test")) if "writers" in str(one)]
