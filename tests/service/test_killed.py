"""Processes that are killed in the middle, and what is there afterwards: every image, read once."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from secondread.service import Service
from secondread.service.tables import ImageRow, ReadingRow
from tests.service.roles import PART

N_IMAGES = 30
IN_TIME = 60.0  # seconds


@pytest.fixture
def place(service: Service, database_url: str) -> list[str]:
    """Where the processes find what this one sees."""
    return [str(service.folder), database_url, str(N_IMAGES)]


@contextmanager
def _process(role: str, place: list[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.service.roles", role, *place]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()  # SIGKILL: nothing of its own runs any more
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + IN_TIME
    while not until():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _closed(service: Service) -> int:
    return sum(batch.counts["done"] for batch in service.queue.batches(limit=500))


def test_upload_and_worker_killed_three_times_read_every_image_once(service: Service, place: list[str]) -> None:
    for kill in range(3):
        before = _closed(service)
        with _process("upload", place) as upload, _process("work", place):
            assert upload.stdout is not None
            for _ in range(2 * kill + 1):
                upload.stdout.readline()  # so many parts are in, the next is on its way
            # on a slow machine all may have been read between two looks
            _wait(lambda n=before: _closed(service) > min(n, N_IMAGES - 1))  # type: ignore[misc]
    with _process("upload", place) as upload, _process("work", place):
        assert upload.wait(IN_TIME) == 0
        _wait(lambda: service.queue.waiting() == 0)

    batches = service.queue.batches(limit=500)
    assert [batch.n for batch in batches] == [PART] * (N_IMAGES // PART)
    assert _closed(service) == N_IMAGES == service.worklist.count()
    made = Counter(
        json.loads(line["detail"])["image"] for line in service.trail.lines() if line["action"] == "reading.made"
    )
    assert set(made.values()) == {1}
    assert len(made) == N_IMAGES
    service.trail.verify()


def test_what_was_said_to_be_stored_at_once_is_there_whole_after_a_kill(service: Service, place: list[str]) -> None:
    """Eight threads store together; what a kill stops has neither row nor line, or all of them."""
    said: dict[str, int] = {}
    many = [*place[:2], "400"]
    for kill in range(4):
        with _process("store", many) as process:
            assert process.stdout is not None
            for _ in range(3 + 11 * kill):
                sha256, number = process.stdout.readline().split()
                said[sha256] = int(number)
            process.kill()
            for line in process.stdout:  # what it had said by then
                if line.endswith("\n"):
                    sha256, number = line.split()
                    said[sha256] = int(number)
    with service.database.reading() as session:
        rows = {row.image_sha256: row.id for row in session.scalars(select(ReadingRow))}
        images = set(session.scalars(select(ImageRow.sha256)))
    assert said.items() <= rows.items()
    assert len(said) >= 3
    assert set(rows) == images  # no image without its reading, no reading without its image
    assert all(service.images.image(sha256) for sha256 in images)
    made = [json.loads(line["detail"])["image"] for line in service.trail.lines(action="reading.made")]
    assert sorted(made) == sorted(rows)
    service.trail.verify()
