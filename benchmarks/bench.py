"""Every benchmark of speed, one after another on a quiet machine, and one table of what came out.

python -m benchmarks.bench [--quick] [--only PART …]
results in benchmarks/results/latest.md and latest.json; each part keeps a JSON of its own beside them

In under twenty minutes on two cores; --quick in some two minutes, all of it into build/quick: it shows that the parts
work, and its figures are worth nothing.
A part that fails, or takes longer than its bound, is a row that says so; what it saved in an earlier run is not used.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import _scale, _table
from benchmarks._common import QUICK, RESULTS

_GRACE = 30.0  # seconds: for what a part has to put away


@dataclass(frozen=True)
class Part:
    """One module and how it is run; seconds: after which it is given up. needs_data: SECONDREAD_DATA.

    saves: the name of its JSON, where that is not the module's.
    """

    name: str
    seconds: int
    full: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = ()  # None: left out
    needs_data: bool = False
    saves: str = ""


_MILLION = ("--readings", "1000000", "--rounds", "3")
PARTS = (
    Part("cold_read", 120),
    Part("warm_read", 150, quick=None),
    Part("floor", 200, ("--rounds", "4"), ("--rounds", "1", "--sides", "512")),
    Part("load", 330, ("--seconds", "8", "--rounds", "2"), ("--seconds", "2", "--rounds", "1")),
    Part("overload", 120, ("--seconds", "40"), ("--seconds", "6", "--clients", "64", "--bundle", "paper")),
    Part("processes", 240, ("--seconds", "6", "--rounds", "1"), ("--seconds", "1", "--rounds", "1")),
    Part("stored", 180, ("--readings", "160", "--rounds", "2"), ("--readings", "32", "--rounds", "1")),
    Part("worklist_time", 400, _MILLION, ("--readings", "10000", "--rounds", "1", "--kinds", "sqlite")),
    Part("screening", 200, ("--films", "5000"), ("--films", "300")),
    Part("screening", 400, ("--ray",), quick=None, saves="screening_ray"),
    Part("training", 330, ("fracture", "0", "4", "1"), quick=None, needs_data=True),
    Part("lesion_epochs", 300, quick=None, needs_data=True),
)


def main() -> None:
    """Run the parts, print and keep the table; fails where a part failed, not where less was reached than asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS])
    options = parser.parse_args()
    chosen = [part for part in PARTS if not options.only or part.name in options.only]
    before, started = os.getloadavg()[0], time.time()
    rows: list[_table.Row] = []
    minutes: dict[str, float] = {}
    for part in chosen:
        arguments = part.quick if options.quick else part.full
        if arguments is None:
            continue
        began = time.time()
        rows += _run(part, arguments, QUICK if options.quick else RESULTS)
        minutes[part.saves or part.name] = round((time.time() - began) / 60, 1)
    folder = QUICK if options.quick else RESULTS
    keep(rows, folder, load=before, minutes=minutes, seconds=time.time() - started)
    if not options.quick and (RESULTS / "growth.json").exists():
        _scale.write()  # docs/explanation/scale.md shows a figure of `stored`
    sys.exit(1 if any(row.now.startswith("failed") for row in rows) else 0)


def _run(part: Part, arguments: tuple[str, ...], folder: Path) -> list[_table.Row]:
    """The rows of one part, which saves into this folder."""
    command = ["-m", f"benchmarks.{part.name}", *arguments]
    told = " ".join(["python", *command])
    if part.needs_data and not os.environ.get("SECONDREAD_DATA"):
        return [_table.failed(part.name, "SECONDREAD_DATA is not set", told)]
    print(told, file=sys.stderr, flush=True)
    kind = part.saves or part.name
    file, began = folder / f"{kind}.json", time.time()
    env = {**os.environ, "BENCHMARK_RESULTS": str(folder)}
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, env=env)
    try:
        code = process.wait(timeout=part.seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(timeout=_GRACE)
        return [_table.failed(part.name, f"took longer than {part.seconds} s", told)]
    if not file.exists() or file.stat().st_mtime < began:
        return [_table.failed(part.name, f"exit code {code}, and nothing saved", told)]
    return _table.rows_of(kind, json.loads(file.read_text(encoding="utf-8")))


def keep(rows: list[_table.Row], folder: Path, *, load: float, minutes: dict[str, float], seconds: float) -> None:
    """Write latest.json and latest.md, and print the page."""
    table: dict[str, Any] = {
        "date": date.today().isoformat(),
        "command": " ".join(["python -m benchmarks.bench", *sys.argv[1:]]),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load_average_before": round(load, 1),
        "minutes": round(seconds / 60, 1),
        "minutes_of_parts": minutes,
        "rows": [asdict(row) for row in rows],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = page_of(table)
    (folder / "latest.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


def page_of(table: dict[str, Any]) -> str:
    """latest.md out of latest.json, word for word."""
    head = (
        f"Made by `{table['command']}` on {table['date']}: {table['machine']}, load average before "
        f"{table['load_average_before']}, {table['minutes']} minutes. Ratios are of one run on the same cores, clients "
        "included; `before` is what was measured when it was asked. Each command keeps its own JSON in this folder."
    )
    return _table.markdown([_table.Row(**row) for row in table["rows"]], head)


if __name__ == "__main__":
    main()
