"""What it costs to store a reading so that it is on the disk when it is said to be: waits, bytes and readings a second.

python -m benchmarks.stored [--readings 320] [--rounds 3] [--clients 16]
results in benchmarks/results/stored.json
"""

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sqlalchemy import event

from benchmarks._common import save
from secondread.reading import Reader
from secondread.service import Actor, ReadingDesk, ReadingRequest, Service, storage

ANNA = Actor("anna", "token:sr_12345678", "192.168.10.20")
SIDE = 160  # pixels of a made-up film: what is kept beyond the image does not depend on it
SETTINGS = ("NORMAL", "FULL")  # of SQLite: FULL, as the service has it, waits for the disk with every commit
BUNDLES = ("tuberculosis/paper", "tuberculosis/best", "brain-tumour/best", "fracture/best")


def main() -> None:
    """Kept bytes for each bundle; then blocks in turn: one client and many, waiting for the disk and not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--readings", type=int, default=320, help="Of a block.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    reader = Reader.load("tuberculosis/paper", gate=False)
    blocks: dict[tuple[int, str], list[dict[str, float]]] = {}
    for number in range(options.rounds):
        for clients in (1, options.clients):
            for setting in SETTINGS:
                films = [film(number * options.readings + one) for one in range(options.readings)]
                blocks.setdefault((clients, setting), []).append(_block(reader, films, clients, setting))
    rows = [
        {"clients": clients, "synchronous": setting}
        | {name: round(statistics.median(one[name] for one in found), 3) for name in found[0]}
        for (clients, setting), found in blocks.items()
    ]
    rate = {(row["clients"], row["synchronous"]): row["readings_a_second"] for row in rows}
    save(
        "stored",
        {
            "command": " ".join(["python -m benchmarks.stored", *sys.argv[1:]]),
            "what": f"{options.readings} made-up films read with the paper bundle and stored in this process, by one "
            f"client and by {options.clients} at once; the median of {options.rounds} blocks of each, in turn",
            "rows": rows,
            "many_clients_to_one": round(rate[options.clients, "FULL"] / rate[1, "FULL"], 3),
            "full_to_normal": {
                str(clients): round(rate[clients, "FULL"] / rate[clients, "NORMAL"], 3)
                for clients in (1, options.clients)
            },
            "kept_beyond_the_image": {
                "what": "bytes a reading of all pages of SQLite that hold rows and indices, trail included, and of all "
                "files of the data folder but the images; PNGs of 160 pixels, without a header",
                "bytes": {name: kept_bytes(Reader.load(name, gate=False)) for name in BUNDLES},
            },
        },
    )


def film(number: int) -> bytes:
    """A PNG of soft shapes and a bright spot, another for each number."""
    rng = np.random.default_rng(number)
    soft = cv2.GaussianBlur(rng.random((SIDE, SIDE)), (0, 0), 9)
    soft = 40 + 120 * (soft - soft.min()) / (soft.max() - soft.min())
    x, y = rng.integers(30, SIDE - 30, 2)
    cv2.circle(soft, (int(x), int(y)), 12, 235.0, -1)
    return cv2.imencode(".png", (soft + rng.normal(0, 2, soft.shape)).clip(0, 255).astype(np.uint8))[1].tobytes()


def kept_bytes(reader: Reader, *, n: int = 400, first: int = 100) -> int:
    """Bytes a reading beyond the image's own, of the last n of a folder that holds some already."""
    with _service() as service:
        desk = service.desk(lambda *_: reader)
        _store(desk, reader, [film(number) for number in range(first)])
        before = _bytes_beside(service)
        _store(desk, reader, [film(number) for number in range(first, first + n)])
        return round((_bytes_beside(service) - before) / n)


def _bytes_beside(service: Service) -> int:
    service.database.settle()
    with sqlite3.connect(service.folder / "secondread.sqlite") as connection:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    connection.close()
    others = (path for path in service.folder.rglob("*") if path.is_file() and not path.name.startswith("secondread"))
    beside = sum(path.stat().st_size for path in others if path.relative_to(service.folder).parts[0] != "images")
    return int((pages - free) * size) + beside


def _block(reader: Reader, films: list[bytes], clients: int, synchronous: str) -> dict[str, float]:
    with _service() as service, _counting(service) as counts:

        @event.listens_for(service.database.engine, "checkout")
        def set_(connection: Any, *_: Any) -> None:
            connection.execute(f"PRAGMA synchronous = {synchronous}").close()

        desk = service.desk(lambda *_: reader)
        _store(desk, reader, films[:1])
        counts.clear()
        parts = [films[1:][number::clients] for number in range(clients)]
        threads = [threading.Thread(target=_store, args=(desk, reader, part)) for part in parts]
        began, spent = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        n = len(films) - 1
        return {
            "readings_a_second": n / (time.perf_counter() - began),
            "cpu_ms_a_reading": 1000 * (time.process_time() - spent) / n,
            "commits_a_reading": counts.count("commit") / n,
            "waits_for_files_and_folders_a_reading": counts.count("sync") / n,
        }


def _store(desk: ReadingDesk, reader: Reader, films: list[bytes]) -> None:
    asked = ReadingRequest(reader.task.name, "named", source="ward 1")
    for number, data in enumerate(films):
        stored = desk.answer(data, asked, name=f"2026-11-27 film {number}.png", actor=ANNA).stored
        assert stored is not None, "a film is stored"


@contextmanager
def _service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        service = Service.open({"DATA_FOLDER": str(Path(folder) / "data")})
        try:
            yield service
        finally:
            service.close()


@contextmanager
def _counting(service: Service) -> Iterator[list[str]]:
    """How often the disk is waited for: of the database each commit once, and files and folders."""
    counts: list[str] = []
    fsync, together = os.fsync, storage.sync_filesystem

    def one(handle: int) -> None:
        counts.append("sync")
        fsync(handle)

    def all_(place: Path) -> bool:
        counts.append("sync")
        return together(place)

    event.listen(service.database.engine, "commit", lambda _: counts.append("commit"))
    os.fsync, storage.sync_filesystem = one, all_
    try:
        yield counts
    finally:
        os.fsync, storage.sync_filesystem = fsync, together


if __name__ == "__main__":
    main()
