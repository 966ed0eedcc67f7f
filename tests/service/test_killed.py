"""Processes that are killed in the middle, and what is there afterwards: every image, read once."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from secondread.service import Service
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
