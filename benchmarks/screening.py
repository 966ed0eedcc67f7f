"""Ten thousand films screened into a table, against the reader alone over the same files: pictures a second, one run.

python -m benchmarks.screening [--films 10000]     results in benchmarks/results/screening.json
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

BUNDLE = "tuberculosis/paper"


def main() -> None:
    """The loop and the archive in turn, three rounds; the best of each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--films", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "films")
        folder.mkdir()
        for number, film in enumerate(_served.films(options.films)):
            (folder / f"{number:06d}.png").write_bytes(film)
        rounds = [(_loop(folder), _screened(folder, Path(name, f"{at}.csv"))) for at in range(3)]
    loop, screened = (min(one[at] for one in rounds) for at in (0, 1))
    save(
        "screening",
        {
            "command": " ".join(["python -m benchmarks.screening", *sys.argv[1:]]),
            "what": f"{options.films} films of 400 × 400, {BUNDLE} without the gate, both cores, best of three rounds",
            "loop_images_a_second": round(options.films / loop),
            "screen_images_a_second": round(options.films / screened),
            "ratio": round(loop / screened, 3),
            "ratios": [round(one[0] / one[1], 3) for one in rounds],
            "asked": "0.95 of the loop",
        },
    )


def _loop(folder: Path) -> float:
    started = time.perf_counter()
    for _ in load(BUNDLE, gate=False).read_many(sorted(folder.iterdir())):
        pass
    return time.perf_counter() - started


def _screened(folder: Path, out: Path) -> float:
    started = time.perf_counter()
    screen(folder, out=out, reference=BUNDLE, gate=False)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
