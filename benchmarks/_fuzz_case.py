"""One stretch of the fuzzer's cases, in a process of its own so that a crash or a hang ends nothing else.

python -m benchmarks._fuzz_case FAMILY FIRST N BOARD: the outcome of each case is one byte on the board (see OUTCOMES),
0 while it is under way; what must not be, and what is slow or large, is a line of JSON on standard output.
"""

import io
import json
import logging
import mmap
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks._mutants import mutant

SECONDS = 3.0  # of processor time for a case: what takes longer twice is a finding
_END = 2 * SECONDS  # at which the system ends the process
MEMORY = 1_000_000_000  # bytes a case may take beyond what the process held before the first
_TOLD_SECONDS, _TOLD_BYTES = 1.0, 50_000_000  # from which a case is told of, and by which a new peak is higher
_ADDRESSES = 4_000_000_000  # bytes of address space beyond that: a stop, not a measure
_LARGE = 1_000_000  # values of a picture
FINDING = "finding"
OUTCOMES = (  # the byte on the board is the index + 1
    "read",
    "read in part",
    FINDING,
    "not_an_image",
    "too_large",
    "truncated",
    "unsupported",
    "archive_damaged",
    "archive_encrypted",
    "archive_nested",
    "archive_path",
    "archive_name",
    "archive_packing",
    "swells_too_much",
    "too_many_files",
    "upload_too_large",
    "archive",
    "no_such_frame",
)
Run = Callable[[int, bytes], str]


def image_run() -> Run:
    """The way of an upload for even numbers, of the command for odd ones; some go on to the gate."""
    from secondread.errors import ImageError
    from secondread.images import Limits, decode, deidentify, encode_png, open_frames, to_display, whole_range
    from secondread.reading import shipped_gate

    for name in ("codecs", "dicom", "raster"):  # so that nothing is imported while a case is timed
        import_module(f"secondread.images.{name}")
    gate, key, limits = shipped_gate(), bytes(32), Limits()

    def run(number: int, data: bytes) -> str:
        try:
            if number % 2:
                image = decode(data, limits=limits)
            else:
                data = deidentify(data, key=key, limits=limits).data
                frames = open_frames(data, limits=limits)
                image = frames.frame(0)
                if frames.n > 1 and image.pixels.size < _LARGE:  # of large ones the last costs as much as all of them
                    frames.frame(frames.n - 1)
            if number % 8 == 0:
                whole_range(data, limits=limits)
            if number % 32 == 0 and gate is not None:
                gate.judge(image)
                encode_png(to_display(image, longest_side=256))
        except ImageError as error:
            return error.code
        return "read"

    return run


def archive_run() -> Run:
    """Every member of the archive, as an upload takes it."""
    from secondread.errors import UploadRefused
    from secondread.service.intake import Bounds, members

    bounds = Bounds()

    def run(_: int, data: bytes) -> str:
        try:
            refused = [isinstance(content, UploadRefused) for _, content in members(io.BytesIO(data), bounds)]
        except UploadRefused as error:
            return error.code
        return "read in part" if any(refused) else "read"

    return run


RUNS: dict[str, Callable[[], Run]] = {"images": image_run, "archives": archive_run}


def peak() -> int:
    """Bytes: the most that this process, or one of its own, ever held."""
    # What getrusage says of this process itself begins with what the one that started it held.
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * max(int(line.split()[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def once(run: Run, number: int, data: bytes) -> tuple[str, str, float]:
    """Outcome, what was wrong, and seconds worked."""
    signal.setitimer(signal.ITIMER_PROF, _END)
    started, worked = time.perf_counter(), sum(os.times()[:4])
    try:
        outcome, why = run(number, data), ""
    except Exception as error:
        outcome, why = FINDING, f"{type(error).__name__}: {error}"
    # Where other work keeps the cores busy, the clock says more than was worked.
    took = min(time.perf_counter() - started, sum(os.times()[:4]) - worked)
    return (outcome, why, took) if outcome in OUTCOMES else (FINDING, f"unknown refusal {outcome}", took)


def main() -> None:
    """See the module."""
    family, first, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    logging.disable()
    run = RUNS[family]()
    mutant(family, first)
    with Path(sys.argv[4]).open("r+b") as file, mmap.mmap(file.fileno(), n) as board:
        base = peak()
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _ADDRESSES,) * 2)
        told = base
        for number in range(first, first + n):
            name, data = mutant(family, number)
            outcome, why, took = once(run, number, data)
            if took > SECONDS:  # a busy machine costs processor time, too, where others empty its caches
                outcome, why, took = once(run, number, data)
            after = peak()
            if took > SECONDS or after > base + MEMORY:
                outcome, why = FINDING, why or f"{took:.1f} s of work, {(after - base) / 1e6:.0f} MB"
            facts: dict[str, float | str] = {"what": why[:300]} if outcome == FINDING else {}
            facts |= {"seconds": round(took, 2)} if took > _TOLD_SECONDS else {}
            if after > told + _TOLD_BYTES:
                told = after
                facts["mb"] = round((after - base) / 1e6)
            if facts:
                print(json.dumps({"number": number, "seed": name, **facts}), flush=True)
            board[number - first] = OUTCOMES.index(outcome) + 1
            if after > base + MEMORY:
                return  # what comes after could not be told from it


if __name__ == "__main__":
    main()
