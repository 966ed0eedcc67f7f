"""How time and memory grow: with the images that are kept, their size, the clients, and the rows of the worklist.

python -m benchmarks.growth [--quick] [--only PART …]
results in benchmarks/results/growth.json; _scale.py makes the plots and tables of docs/explanation/scale.md of it

Under an hour on two quiet cores; --quick in some minutes, with points that only show that all parts work; that, and
some of the parts alone, goes into build/quick. Stores that are large are filled by the database itself (_many_rows.py)
and with images of a few bytes; what is measured on them goes the way of every upload.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _clients, _many_rows, _scale, _served
from benchmarks._common import QUICK as QUICK_FOLDER
from benchmarks._common import RESULTS, make_films, save
from benchmarks._memory import megabytes_of
from secondread.reading import Reader
from secondread.service import LOCAL, ORDERS, Actor, ReadingRequest, Service

TASK, PAPER = "tuberculosis", "tuberculosis/paper"
BUNDLES = (PAPER, "brain-tumour/best", "tuberculosis/best", "fracture/best")
SIDES = (256, 512, 1024, 2048, 4096, 8000)  # pixels; the last is 64 megapixels, the most that is read
CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ROWS = (100, 1000, 10_000, 100_000, 1_000_000)
MOST_FILES = 100_000  # images that are files as well as rows
FULL = {"stored": ROWS, "files": MOST_FILES, "sides": SIDES, "clients": CLIENTS, "seconds": 15, "readings": 100}
QUICK = {"stored": ROWS[:3], "files": 1000, "sides": SIDES[:3], "clients": (1, 16), "seconds": 3, "readings": 20}
_AT_ONCE = 500  # files that are written together
_MOST_A_SECOND = 250
_WHO = Actor("anna", "benchmark")


def main() -> None:
    """The parts one after another, and the plots where all of them ran."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(PARTS))
    parser.add_argument("--rows", nargs="+", type=int, help="readings that are kept, in place of 10² to 10⁶")
    parser.add_argument("--files", type=int, help="at most so many of them with an image on the disk; 10⁵")
    parser.add_argument("--seconds", type=float, help="of each number of clients; 15")
    parser.add_argument("--one", nargs=2, metavar=("BUNDLE", "FILE"), help="of one image, in a process of its own")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_one(*options.one)))
        return
    points, before = dict(QUICK if options.quick else FULL), os.getloadavg()[0]
    points |= {"stored": options.rows} if options.rows else {}
    points |= {"files": options.files} if options.files else {}
    points |= {"seconds": options.seconds} if options.seconds else {}
    found: dict[str, Any] = {}
    for name, part in PARTS.items():
        if not options.only or name in options.only:
            started = time.perf_counter()
            found[name] = part(points)
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    what = "points, each measured; films of noise over soft shapes, SQLite, the gate off where films are made up"
    command = " ".join(["python -m benchmarks.growth", *sys.argv[1:]])
    table = {"command": command, "what": what, "load_average_before": round(before, 1), **found}
    trial = options.quick or bool(options.only)
    save("growth", table, folder=QUICK_FOLDER if trial else RESULTS)
    if not trial:
        _scale.write()


def stored(points: dict[str, Any]) -> list[dict[str, Any]]:
    """Time to store one more reading, the list's first page, bytes, and memory, by how many are there already."""
    reader = Reader.load(PAPER, gate=False)
    films = _served.films(points["readings"])
    return [_stored(n, min(n, points["files"]), reader, films) for n in points["stored"]]


def _stored(n: int, n_files: int, reader: Reader, films: list[bytes]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        service = Service.open({"DATA_FOLDER": str(Path(name) / "data")})
        _many_rows.fill(service, n)
        _files(service, 0, n_files)
        service.database.settle()
        n_bytes = sum(one.stat().st_size for one in service.folder.glob("secondread.sqlite*"))
        desk = service.desk(lambda *_: reader)
        took = []
        for film in films:
            started = time.perf_counter()
            desk.answer(film, ReadingRequest(TASK, PAPER), name="one more.png", actor=_WHO)
            took.append(1000 * (time.perf_counter() - started))
        page = service.worklist.page
        lists = [_milliseconds(lambda order=order: page(order=order, actor=LOCAL)) for order in ORDERS]
        service.close()
    return {
        "readings": n,
        "files": n_files,
        "store_ms": round(statistics.median(took), 2),
        "list_ms": round(max(lists), 2),
        "database_bytes": n_bytes,
        "memory_mb": round(_resident()),
    }


def sizes(points: dict[str, Any]) -> list[dict[str, Any]]:
    """Seconds and the most memory of one reading, by the side of the image; each in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for side in points["sides"]:
            [path] = make_films(Path(name), n=1, height=side, width=side, distinct=1)
            command = [sys.executable, "-m", "benchmarks.growth", "--one", PAPER, str(path)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            rows.append({"side": side, "megapixels": round(side * side / 1e6, 2), **found})
    return rows


def bundles(points: dict[str, Any]) -> list[dict[str, Any]]:
    """Processor time of one reading of a film of 2,048 px, by bundle, the gate and the map with it."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        [path] = make_films(Path(name), n=1, height=2048, width=2048, distinct=1)
        for bundle in BUNDLES:
            command = [sys.executable, "-m", "benchmarks.growth", "--one", bundle, str(path)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            rows.append({"bundle": bundle, "processor_ms": found["processor_ms"], "file_bytes": path.stat().st_size})
    return rows


def clients(points: dict[str, Any]) -> list[dict[str, Any]]:
    """Images a second, time to an answer, refusals and memory of a server, by how many clients ask at once."""
    rows, first = [], 0
    with tempfile.TemporaryDirectory() as name:
        port = _served.free_port()
        env = _served.environment(Path(name) / "data", rate_limit="", login="off")
        server = _served.start("serve", "--port", str(port), env=env, quiet=True)
        try:
            _served.wait_until_ready(f"http://127.0.0.1:{port}")
            films = round(_MOST_A_SECOND * points["seconds"])
            for n in points["clients"]:
                fields = {"task": TASK, "bundle": PAPER, "pictures": "links"}
                how = {"clients": n, "seconds": points["seconds"], "first": first, "films": films, "addresses": 1}
                seen = _clients.run(port, **how, fields=fields)
                first += films
                rows.append(
                    {
                        "clients": n,
                        "images_a_second": seen["images_a_second"],
                        "n": seen["answers"].get("200", 0),
                        "p50_ms": seen["good_ms"].get("p50"),
                        "p99_ms": seen["good_ms"].get("p99"),
                        "answers": seen["answers"],
                        "memory_mb": round(megabytes_of(server.pid)),
                    }
                )
        finally:
            server.terminate()
            server.wait(timeout=60)
    return rows


PARTS = {"stored": stored, "sizes": sizes, "bundles": bundles, "clients": clients}


def _files(service: Service, first: int, end: int) -> None:
    """Images of a few bytes, written as uploads are: aside, synced, renamed."""
    for start in range(first, end, _AT_ONCE):
        names = (f"{number:064x}" for number in range(start, min(end, start + _AT_ONCE)))
        service.images.storage.write_many({f"images/{name[-2:]}/{name}": name.encode() for name in names})


def _one(bundle: str, path: str) -> dict[str, Any]:
    """The first reading of a process, and those after it."""
    reader = Reader.load(bundle, gate=False)
    started = time.perf_counter()
    assert reader.read(path).heatmap is not None, "the film is read"
    first = time.perf_counter() - started
    rounds, took, spent = 0, [], time.process_time()
    while rounds < 3 or (rounds < 30 and sum(took) < 2.0):
        started = time.perf_counter()
        reader.read(path)
        took.append(time.perf_counter() - started)
        rounds += 1
    return {
        "first_ms": round(1000 * first, 1),
        "ms": round(1000 * statistics.median(took), 2),
        "processor_ms": round(1000 * (time.process_time() - spent) / rounds, 2),
        "n": rounds,
        "most_memory_mb": round(_most_resident()),
    }


def _milliseconds(work: Any) -> float:
    work()
    took = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - started))
    return statistics.median(took)


def _most_resident() -> float:
    """MB that this process had at its largest; getrusage would tell of the one that started it as well."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def _resident() -> float:
    """MB of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
