"""What a service manager does all day: start, stop (SIGTERM), and nothing may hang or be left half done."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from secondread.service import Actor, ReadingRequest, Service
from secondread.testing.phantoms import chest_phantom, encode

IN_TIME = 60.0  # seconds
N = 12


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["work"]])
def test_told_to_stop_it_ends_well_and_gives_up_no_image(tmp_path: Path, command: list[str]) -> None:
    service = Service.open({"DATA_FOLDER": str(tmp_path)})
    films = [(f"{number}.png", encode(chest_phantom(200, random_state=number), "PNG")) for number in range(N)]
    batch = service.intake.take(films, ReadingRequest("tuberculosis"), actor=Actor("anna"))
    environment = {**os.environ, "SECONDREAD_DATA_FOLDER": str(tmp_path), "SECONDREAD_GATE": "off"}
    process = subprocess.Popen(
        [sys.executable, "-m", "secondread.cli", *command], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        _wait(lambda: service.queue.batch(batch).counts["done"] > 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(IN_TIME) == 0
    finally:
        process.kill()
    counts = service.queue.batch(batch).counts
    assert counts["running"] == counts["failed"] == 0
    assert counts["done"] + counts["queued"] == N
    service.close()


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + IN_TIME
    while not until():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
