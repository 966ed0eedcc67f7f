"""`secondread dicom listen` as a process: it says where it listens, survives SIGKILL, and ends in order."""

import os
import platform
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from secondread.cli.dicom import dicom
from secondread.service import Service
from tests.dicom.scu import radiograph, send

_HEAP = 64 << 20  # bytes; HEAP_MAX_SIZE of glibc's malloc on machines of 64 bits


class Listening:
    """The command in a process of its own; `address` is all that a sender needs."""

    def __init__(self, folder: Path, *more: str):
        env = {**os.environ, "SECONDREAD_DATA_FOLDER": str(folder), "SECONDREAD_GATE": "off", "OMP_NUM_THREADS": "1",
               "SECONDREAD_LEASE_SECONDS": "1"}  # fmt: skip
        command = [sys.executable, "-m", "secondread.cli", "dicom", "listen", "--port", "0", *more]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.search(r"SECONDREAD@([\d.]+):(\d+) takes DICOM objects", said)
        assert found, said
        self.address = found[1], int(found[2])

    def end(self, how: signal.Signals) -> int:
        """End it; its exit code."""
        self.process.send_signal(how)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def test_what_was_acknowledged_before_a_kill_is_read_after_it_once(tmp_path: Path) -> None:
    first = Listening(tmp_path, "--only-receive")
    assert [one.status for one in send(first, *map(radiograph, range(3)))] == [0, 0, 0]  # type: ignore[arg-type]
    first.end(signal.SIGKILL)
    second = Listening(tmp_path)
    assert send(second, radiograph(3), radiograph(2))[0].status == 0  # type: ignore[arg-type]
    service = Service.open({"DATA_FOLDER": str(tmp_path)})
    try:
        end = time.monotonic() + 120
        while service.dicom.counts()["received"] and time.monotonic() < end:
            time.sleep(0.1)
        assert second.end(signal.SIGTERM) == 0
        assert [row.state for row in service.dicom.latest()] == ["read"] * 4
        assert len(list(service.trail.lines(action="reading.made"))) == 4
        service.trail.verify()
    finally:
        service.close()


def arenas(pid: int) -> int:
    """glibc's heaps beside the first: 64 MB of addresses each, at a multiple of that, of which the rest is not used."""
    lines = [line.split()[:2] for line in Path(f"/proc/{pid}/maps").read_text(encoding="ascii").splitlines()]
    spans = [(*(int(at, 16) for at in span.split("-")), mode) for span, mode in lines]
    return sum(
        mode == "rw-p" and after == "---p" and start % _HEAP == 0 and end == begin and stop == start + _HEAP
        for (start, end, mode), (begin, stop, after) in pairwise(spans)
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps freed memory otherwise")
def test_freed_memory_is_not_kept_for_each_association_apart(tmp_path: Path) -> None:
    node = Listening(tmp_path, "--only-receive")

    def sent(first: int) -> list[int]:
        found = send(node, *(radiograph(first + at, size=(512, 512)) for at in range(3)))  # type: ignore[arg-type]
        return [one.status for one in found]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(sent, range(0, 24, 3)))
    found = arenas(node.process.pid)
    assert node.end(signal.SIGTERM) == 0
    assert answers == [[0, 0, 0]] * 8
    assert found <= 2, "two threads of each association have an arena each, and memory grows for thousands of images"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--send-to", "PACS"], "AET@HOST:PORT"),
        (["--aet", "A\\B"], "AE title"),
        (["--rules", "none.toml"], "cannot read the rules"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
    ],
)
def test_what_cannot_be_used_stops_the_start_with_a_sentence(tmp_path: Path, options: list[str], says: str) -> None:
    found = CliRunner().invoke(dicom, ["listen", "--data-folder", str(tmp_path), *options])
    assert found.exit_code != 0
    assert says in str(found.exception)


def test_nobody_else_imports_what_speaks_dicom() -> None:
    code = "import sys, secondread.cli.dicom, secondread.web; print(*{'pynetdicom', 'highdicom'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_without_the_extra_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    found = CliRunner().invoke(dicom, ["listen", "--data-folder", str(tmp_path)])
    assert "pip install 'secondread[dicom]'" in str(found.exception)
