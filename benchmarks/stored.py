"""What it costs that "stored" is said only once SQLite's commit is on the disk: synchronous = FULL against NORMAL.

python -m benchmarks.stored [--readings 200] [--rounds 3]
results in benchmarks/results/stored.json
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from tests.service.stubs import image_bytes, read

from benchmarks._common import save
from secondread.service import Actor, ReadingRequest, Service

ANNA = Actor("anna", "benchmark")
ASKED = ReadingRequest("tuberculosis")
SETTINGS = ("NORMAL", "FULL")


def main() -> None:
    """Blocks of both settings in turn, each on a new database; images come in, wait, and are stored as read."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--readings", type=int, default=200, help="Of a block.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    images = [image_bytes(number) for number in range(options.readings)]
    rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
    syncs: dict[str, int] = {}
    for _ in range(options.rounds):
        for name in SETTINGS:
            rate, syncs[name] = _block(images, name)
            rates[name].append(rate)
    middle = {name: statistics.median(found) for name, found in rates.items()}
    save(
        "stored",
        {
            "command": " ".join(["python -m benchmarks.stored", *sys.argv[1:]]),
            "what": f"{options.readings} small images taken in, queued and stored as read by a reader that costs "
            f"nothing; the median of {options.rounds} blocks of each setting, in turn",
            "readings_a_second": {name: round(rate, 1) for name, rate in middle.items()},
            "all_blocks": {name: [round(rate, 1) for rate in found] for name, found in rates.items()},
            "ratio": round(middle["FULL"] / middle["NORMAL"], 3),
            "files_and_folders_synced_by_each_reading": {
                name: round(n / options.readings, 2) for name, n in syncs.items()
            },
        },
    )


def _block(images: list[bytes], synchronous: str) -> tuple[float, int]:
    """Readings a second, and how often the program itself (SQLite aside) waited for the disk."""
    count = 0
    fsync: Callable[[Any], None] = os.fsync

    def counting(handle: Any) -> None:
        nonlocal count
        count += 1
        fsync(handle)

    with tempfile.TemporaryDirectory() as name:
        service = Service.open({"DATA_FOLDER": str(Path(name) / "data")})

        @event.listens_for(service.database.engine, "checkout")
        def set_(connection: Any, *_: Any) -> None:
            connection.execute(f"PRAGMA synchronous = {synchronous}").close()

        os.fsync = counting
        try:
            began = time.perf_counter()
            for number, data in enumerate(images):
                service.intake.take([(f"{number}.png", data)], ASKED, actor=ANNA)
                claim = service.queue.claim()
                assert claim is not None, "the image that was queued a moment ago"
                service.queue.finish(claim, read(data))
            seconds = time.perf_counter() - began
        finally:
            os.fsync = fsync
        service.close()
    return len(images) / seconds, count


if __name__ == "__main__":
    main()
