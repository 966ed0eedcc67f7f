"""The audit of 1,000 to 10,000 made-up films, every twentieth a changed copy of another: time, and copies found.

python -m benchmarks.audit_growth [N ...]     results in benchmarks/results/audit-growth.json
"""

import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks._common import save
from secondread.auditing import Audit, audit, write_audit
from secondread.data import Manifest, Row

SIZES = (1_000, 2_000, 5_000, 10_000)
SIDE = 512  # pixels
COPIED = 20  # every so many-th film is a copy
ASKED_SECONDS = 300  # for 10,000 on 2 cores


def main() -> None:
    """Each size in a folder of its own; one warm-up before, so that imports are not counted."""
    sizes = tuple(int(word) for word in sys.argv[1:]) or SIZES
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda number: _write(folder, number), range(max(sizes))))
        audit(_manifest(folder, 200))
        for n in sizes:
            rows.append(_measure(folder, n))
            sys.stderr.write(f"{rows[-1]}\n")
    first, last = rows[0], rows[-1]
    growth = math.log(last["seconds"] / first["seconds"]) / math.log(last["n"] / first["n"]) if len(rows) > 1 else None
    save(
        "audit-growth",
        {
            "command": " ".join(["python -m benchmarks.audit_growth", *sys.argv[1:]]),
            "what": f"audit and page of JPEG films of {SIDE} × {SIDE}; every {COPIED}th is a changed copy of another",
            "growth": rows,
            "exponent": round(growth, 2) if growth is not None else None,  # 1 is linear, 2 quadratic
            "asked": f"10,000 in under {ASKED_SECONDS} s on 2 cores, not quadratic",
        },
    )


def _measure(folder: Path, n: int) -> dict[str, float]:
    started = time.perf_counter()
    stages: dict[str, float] = {}
    made = audit(_manifest(folder, n), progress=lambda what, done, total: stages.update({what: time.perf_counter()}))
    compared = time.perf_counter()
    write_audit(made, folder / f"out-{n}")
    seconds = time.perf_counter() - started
    ends = [started, *stages.values()]
    spent = {what: round(end - start, 1) for what, start, end in zip(stages, ends, ends[1:], strict=False)}
    return {
        "n": n,
        "seconds": round(seconds, 1),
        "seconds_by_stage": spent | {"page": round(time.perf_counter() - compared, 1)},
        "copies": n // COPIED,
        "copies_found": _found(made),
        "wrongly_joined": sum(not _true(made, pair.first, pair.second) for pair in made.pairs),
    }


def _manifest(folder: Path, n: int) -> Manifest:
    rows = (
        Row(
            path=_path(folder, number),
            name=_path(folder, number).name,
            label=number // 3 % 2,
            source=("north", "south")[number // 7 % 2],
            split=("train", "train", "test")[number % 3],
        )
        for number in range(n)
    )
    return Manifest(tuple(rows), folder)


def _found(made: Audit) -> int:
    return len({pair.second for pair in made.pairs if _true(made, pair.first, pair.second)})


def _true(made: Audit, first: int, second: int) -> bool:
    numbers = [int(Path(made.looks.rows[one].name).stem) for one in (first, second)]
    return _original(numbers[0]) == _original(numbers[1])


def _original(number: int) -> int:
    """The film that this one shows: every 20th shows the one ten before it."""
    return number - 10 if number % COPIED == COPIED - 1 else number


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.jpg"


def _write(folder: Path, number: int) -> None:
    film = _film(_original(number))
    if _original(number) != number:
        film = CHANGES[number // COPIED % len(CHANGES)](film)
    quality = 60 if _original(number) != number else 90
    _path(folder, number).write_bytes(cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def _film(number: int) -> np.ndarray:
    """A body and two lungs as all films share them, and structure of its own."""
    rng = np.random.default_rng(number)
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE + rng.uniform(-0.02, 0.02, (2, 1, 1))
    lungs = sum((((y - 0.48) / 0.33) ** 2 + ((x - at) / 0.15) ** 2 < 1).astype(np.float32) for at in (0.31, 0.69))
    film = 60 + 90 * (((y - 0.55) / 0.6) ** 2 + ((x - 0.5) / 0.46) ** 2 < 1) - 60 * lungs
    for cells, strength in ((8, 15), (24, 15), (60, 10)):
        own = rng.normal(0, strength, (cells, cells)).astype(np.float32)
        film = film + cv2.resize(own, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(film, 0, 255).astype(np.uint8)


def _turned(film: np.ndarray, degrees: float) -> np.ndarray:
    middle = (SIDE - 1) / 2
    return cv2.warpAffine(film, cv2.getRotationMatrix2D((middle, middle), degrees, 1), (SIDE, SIDE))


CHANGES: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda film: film,  # saved again
    lambda film: np.ascontiguousarray(film[:, ::-1]),
    lambda film: np.ascontiguousarray(np.rot90(film)),
    lambda film: np.ascontiguousarray(film.T),
    lambda film: _turned(film, 7),
    lambda film: _turned(film, -10),
    lambda film: cv2.resize(film, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA),
    lambda film: np.clip(film * 1.2 + 20, 0, 255).astype(np.uint8),
)


if __name__ == "__main__":
    main()
