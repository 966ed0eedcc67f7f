"""Mutated images and archives, as many as the time allows: none may crash, hang over 3 s or take over 1 GB.

python -m benchmarks.fuzz [--seconds 600] [--family images|archives|both] [--cases N] [--first N] [--out FILE]
python -m benchmarks.fuzz --family images --show 12345 [--keep FILE]    one case again, in this process
results in benchmarks/results/fuzz.json: every slice goes on at the number where the last one ended and adds its counts

A case is a number: seed file and damage follow from it (`_mutants`). Images go the way of an upload (de-identified,
opened, decoded, some through the gate) or of the command (decoded as sent); archives are listed and unpacked. Thousands
of cases share one child process; a case that works longer than 3 s is tried once more before it counts as one.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS
from benchmarks._fuzz_case import FINDING, MEMORY, OUTCOMES, RUNS, SECONDS
from benchmarks._mutant_seeds import seeds_of
from benchmarks._mutants import mutant, seed_name
from secondread.files import write_json

STRETCH = 50_000  # cases of one child
STUCK = 120.0  # seconds by the clock without a case: it waits for something, or the machine is very busy
_MOST_TOLD = 5  # of the slowest cases, and of the largest
_LIBRARIES = ("secondread", "numpy", "opencv-python-headless", "pillow", "pydicom", "pylibjpeg", "python-gdcm")


@dataclass
class Tally:
    """What came of some cases of one family."""

    n: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)  # by seed
    findings: list[dict[str, Any]] = field(default_factory=list)
    slow: list[dict[str, Any]] = field(default_factory=list)  # cases with the `seconds` worked
    large: list[dict[str, Any]] = field(default_factory=list)  # cases with the `mb` beyond what the process held before

    def add(self, family: str, number: int, outcome: str) -> None:
        """One case."""
        self.n += 1
        self.outcomes.setdefault(seed_name(family, number), Counter())[outcome] += 1


def main() -> None:
    """One slice, or one case again; exits with 1 where something was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0, help="of the slice, by the clock")
    parser.add_argument("--family", choices=["images", "archives", "both"], default="both")
    parser.add_argument("--cases", type=int, help="of each family at most")
    parser.add_argument("--first", type=int, help="first number; default: where the last slice ended")
    parser.add_argument("--out", type=Path, default=RESULTS / "fuzz.json")
    parser.add_argument("--show", type=int, help="only this case")
    parser.add_argument("--keep", type=Path, help="with --show: write the case's bytes there")
    options = parser.parse_args()
    families = ["images", "archives"] if options.family == "both" else [options.family]
    if options.show is not None:
        return _show(families[0], options.show, options.keep)
    table = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    end = time.monotonic() + options.seconds
    for family in families:
        _recheck(family, table)
    done = dict.fromkeys(families, 0)
    open_families = list(families)
    while open_families and time.monotonic() < end:
        for family in list(open_families):
            first = _next(table.get(family)) if options.first is None else options.first + done[family]
            n = STRETCH if options.cases is None else min(STRETCH, options.cases - done[family])
            if n <= 0:
                open_families.remove(family)
                continue
            tally = stretch(family, first, n, end)
            done[family] += tally.n
            add_up(table, family, first, tally)
            write_json(options.out, table)
            print(f"{family} {first} to {first + tally.n - 1}: {len(tally.findings)} findings", flush=True)
    found = [one for family in families for one in table.get(family, {}).get("findings", ())]
    print(json.dumps({family: table[family]["outcomes"] for family in families if family in table}, indent=1))
    sys.exit(1 if found else 0)


def stretch(family: str, first: int, n: int, end: float = float("inf")) -> Tally:
    """These cases, in as many processes as it takes; fewer where the time (of `monotonic`) ends."""
    tally = Tally()
    at = first
    while at < first + n:
        outcomes, said, ended = _child(family, at, first + n - at, end)
        for number, outcome in enumerate(outcomes, start=at):
            tally.add(family, number, outcome)
        tally.findings += [{**one, "date": date.today().isoformat()} for one in said if "what" in one]
        tally.slow += [one for one in said if "seconds" in one]
        tally.large += [one for one in said if "mb" in one]
        at += len(outcomes)
        if ended == "time":
            break
        if ended:  # the case that was under way did it
            tally.add(family, at, FINDING)
            today = date.today().isoformat()
            tally.findings.append({"number": at, "seed": seed_name(family, at), "what": ended, "date": today})
            at += 1
    return tally


def _child(family: str, first: int, n: int, end: float) -> tuple[list[str], list[dict[str, Any]], str]:
    """Outcomes of the cases that were done, the child's lines, and why it ended early: '' where it did not."""
    with tempfile.TemporaryDirectory() as folder:
        board, said, noise = (Path(folder) / name for name in ("board", "said", "noise"))
        board.write_bytes(bytes(n))
        command = [sys.executable, "-m", "benchmarks._fuzz_case", family, str(first), str(n), str(board)]
        with said.open("wb") as out, noise.open("wb") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, env=os.environ | {"OMP_NUM_THREADS": "1"})
            ended = _watched(process, board, end)
        done = board.read_bytes().partition(b"\0")[0]
        lines = [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()]
        if not done and not ended and process.returncode:
            sys.exit(f"the fuzzer cannot start: {noise.read_text(encoding='utf-8', errors='replace')[-2000:]}")
        if process.returncode and not ended:
            ended = f"ended with {process.returncode}: {noise.read_text(encoding='utf-8', errors='replace')[-200:]}"
        return [OUTCOMES[index - 1] for index in done], lines, ended


def _watched(process: "subprocess.Popen[bytes]", board: Path, end: float) -> str:
    """Wait for it; '' where it ended by itself, else why it was ended."""
    last, since = -1, time.monotonic()
    while process.poll() is None:
        time.sleep(0.25)
        now, done = time.monotonic(), board.read_bytes().find(0)
        if done != last:
            last, since = done, now
        if now > end or now > since + STUCK:
            process.kill()
            process.wait()
            return "time" if now > end else f"nothing for {STUCK:.0f} s"
    return ""


def add_up(table: dict[str, Any], family: str, first: int, tally: Tally) -> None:
    """The tally into the table of results."""
    row = table.setdefault(family, {"n": 0, "outcomes": {}, "findings": [], "mended": [], "slices": []})
    table["command"] = "python -m benchmarks.fuzz"
    table["promised"] = {"seconds": SECONDS, "mb": MEMORY / 1e6}
    table["date"] = date.today().isoformat()
    row["n"] += tally.n
    for seed, counts in tally.outcomes.items():
        row["outcomes"][seed] = dict(sorted((Counter(row["outcomes"].get(seed, {})) + counts).items()))
    row["findings"] += tally.findings
    for key, by, found in (("slowest", "seconds", tally.slow), ("largest", "mb", tally.large)):
        row[key] = sorted([*row.get(key, []), *found], key=lambda one: -one[by])[:_MOST_TOLD]
    now = {"date": date.today().isoformat(), "seeds": _digest(family), "versions": dict(_versions())}
    slices = row["slices"]
    if slices and slices[-1]["last"] == first - 1 and {key: slices[-1][key] for key in now} == now:
        slices[-1]["last"] = first + tally.n - 1
    elif tally.n:
        slices.append({"first": first, "last": first + tally.n - 1, **now})


def _next(row: dict[str, Any] | None) -> int:
    return row["slices"][-1]["last"] + 1 if row and row["slices"] else 0


def _digest(family: str) -> str:
    """Of the seed files: with it and the numbers, the same cases can be made again."""
    digest = hashlib.sha256()
    for name, data in sorted(seeds_of(family).items()):
        digest.update(name.encode() + hashlib.sha256(data).digest())
    return digest.hexdigest()[:16]


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", sys.version.split()[0]
    for name in _LIBRARIES:
        yield name, version(name)


def _recheck(family: str, table: dict[str, Any]) -> None:
    """What was found before is tried again: what holds now is kept as mended."""
    row = table.get(family)
    if not row:
        return
    findings, row["findings"] = row["findings"], []
    for one in findings:
        still = stretch(family, one["number"], 1).findings
        row["findings" if still else "mended"].append(one)


def _show(family: str, number: int, keep: Path | None) -> None:
    name, data = mutant(family, number)
    if keep is not None:
        keep.write_bytes(data)
    print(f"{family} {number}, of {name}, {len(data)} bytes", flush=True)
    print(RUNS[family]()(number, data))


if __name__ == "__main__":
    main()
