"""Archives screened into a table: against the reader alone over the same files, and one Ray worker against two.

python -m benchmarks.screening [--films 10000]        results in benchmarks/results/screening.json
python -m benchmarks.screening --ray [--films 1500]   results in benchmarks/results/screening_ray.json
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import _served
from benchmarks._common import save
from secondread.reading import load
from secondread.screening import screen
from secondread.screening.cluster import connected

BUNDLE = "tuberculosis/paper"
LARGE_BUNDLE = "tuberculosis/best"  # what a cluster is for: 20 ms of a core for a picture, not one
_WARM_UP = 4  # the part of the films, one in so many, that is read before the clock starts: actors start apart


def main() -> None:
    """One of the two, alone on the machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--films", type=int, default=None)
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    if options.ray:
        _ray(options.films or 1500)
    else:
        _local(options.films or 10_000)


def _local(n: int) -> None:
    """The loop and the archive in turn, three rounds; the best of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = _films(Path(name, "films"), n)
        rounds = [(_loop(folder), _screened(folder, Path(name, f"{at}.csv"))) for at in range(3)]
    loop, screened = (min(one[at] for one in rounds) for at in (0, 1))
    save(
        "screening",
        {
            "command": _command(),
            "what": f"{n} films of 400 × 400, {BUNDLE} without the gate, both cores, best of three rounds",
            "loop_images_a_second": round(n / loop),
            "screen_images_a_second": round(n / screened),
            "ratio": round(loop / screened, 3),
            "ratios": [round(one[0] / one[1], 3) for one in rounds],
            "asked": "0.95 of the loop",
        },
    )


def _ray(n: int) -> None:
    """One worker and two of one thread each, in turn, twice; the best of each, counted from the warm actors on."""
    with tempfile.TemporaryDirectory() as name, connected(None, workers=2):
        folder = _films(Path(name, "films"), n)
        rounds = [
            [_on_ray(folder, Path(name, f"{at}.csv"), workers, n // _WARM_UP) for workers in (1, 2)] for at in range(2)
        ]
    one, two = (min(times[at] for times in rounds) for at in (0, 1))
    counted = n - n // _WARM_UP
    save(
        "screening_ray",
        {
            "command": _command(),
            "what": f"{counted} films of 400 × 400 behind the first {n // _WARM_UP}, {LARGE_BUNDLE} without the gate, "
            "on a cluster of this machine, an actor of one core and one thread a worker; best of two rounds",
            "one_worker_images_a_second": round(counted / one, 1),
            "two_workers_images_a_second": round(counted / two, 1),
            "ratio": round(one / two, 3),
            "ratios": [round(times[0] / times[1], 3) for times in rounds],
            "asked": "1.6 times",
        },
    )


def _films(folder: Path, n: int) -> Path:
    folder.mkdir()
    for number, film in enumerate(_served.films(n)):
        (folder / f"{number:06d}.png").write_bytes(film)
    return folder


def _loop(folder: Path) -> float:
    started = time.perf_counter()
    for _ in load(BUNDLE, gate=False).read_many(sorted(folder.iterdir())):
        pass
    return time.perf_counter() - started


def _screened(folder: Path, out: Path) -> float:
    started = time.perf_counter()
    screen(folder, out=out, reference=BUNDLE, gate=False)
    return time.perf_counter() - started


def _on_ray(folder: Path, out: Path, workers: int, warm_up: int) -> float:
    """Seconds of all but the first: processes start before that, once, however long the archive."""
    began = 0.0

    def told(done: int, total: int | None) -> None:
        nonlocal began
        if done == warm_up:
            began = time.perf_counter()

    screen(folder, out=out, reference=LARGE_BUNDLE, gate=False, engine="ray", workers=workers, progress=told)
    return time.perf_counter() - began


def _command() -> str:
    return " ".join(["python -m benchmarks.screening", *sys.argv[1:]])


if __name__ == "__main__":
    main()
