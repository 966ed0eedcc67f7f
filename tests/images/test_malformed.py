"""A thousand wrong files: each becomes an image or a named refusal, soon and within bounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.malformed import malformed_files, seed_files

N_FILES = 1000
_NAMED = {"NotAnImage", "NotUnpacked", "ImageTooLarge", "TruncatedImage", "UnsupportedImage"}
_MEMORY = 3_000_000_000  # bytes beyond what the process has at its start
_SECONDS = 20.0  # a hang, not a slow machine

# Run apart, so that a decoder that crashes or takes all memory shows in the exit code.
_BATCH = f"""
import json, os, resource, sys, time, warnings
warnings.simplefilter("ignore")
from secondread.errors import ImageError
from secondread.images import Image
from secondread.images import decode
from tests.malformed import malformed_files

files = list(malformed_files(int(sys.argv[1]), int(sys.argv[2])))
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {_MEMORY},) * 2)
for name, data in files:
    start, worked = time.perf_counter(), sum(os.times()[:4])
    try:
        image = decode(data)
        outcome, holds = "image", isinstance(image, Image) and image.pixels.size > 0 and image.pixels.dtype.kind == "u"
    except ImageError as error:
        outcome, holds = type(error).__name__, len(str(error)) > 20
    except Exception as error:
        outcome, holds = repr(error)[:200], False
    # Where other work keeps the cores busy, the clock says less than the time worked; waiting for nothing shows too.
    took, worked = time.perf_counter() - start, sum(os.times()[:4]) - worked
    seconds = worked if worked > took / 5 else took
    print(json.dumps([name, outcome, holds, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes() -> list[tuple[str, str, bool, float, int]]:
    """(name, outcome, whether it holds up, seconds, peak memory in kB) of each file."""
    done = subprocess.run(
        [sys.executable, "-c", _BATCH, str(N_FILES), "0"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=200,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    last = rows[-1][0] if rows else "none"
    assert done.returncode == 0, f"exit {done.returncode} after {last}: {done.stderr[-2000:]}"
    return [tuple(row) for row in rows]


def test_only_images_and_named_refusals(outcomes: list[tuple[str, str, bool, float, int]]) -> None:
    assert len(outcomes) == N_FILES
    wrong = [(name, outcome) for name, outcome, holds, *_ in outcomes if outcome not in {*_NAMED, "image"} or not holds]
    assert not wrong
    table = {outcome: [row[1] for row in outcomes].count(outcome) for outcome in sorted({row[1] for row in outcomes})}
    slowest = max(outcomes, key=lambda row: row[3])
    sys.stdout.write(
        f"\n{table}\nslowest {slowest[3]:.2f} s ({slowest[0]}), peak memory {outcomes[-1][4] / 1024:.0f} MB\n"
    )
    assert set(table) == {*_NAMED, "image"}, "every outcome is met"


def test_none_hangs(outcomes: list[tuple[str, str, bool, float, int]]) -> None:
    assert [(name, seconds) for name, _, _, seconds, _ in outcomes if seconds > _SECONDS] == []


def test_the_files_are_the_same_each_time() -> None:
    def once(random_state: int) -> list[tuple[str, bytes]]:
        return list(malformed_files(60, random_state))

    assert once(3) == once(3)
    assert once(3) != once(4)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_files_they_come_from_are_valid() -> None:
    from secondread.images import decode

    for name, data in seed_files().items():
        assert decode(data).pixels.size, name
