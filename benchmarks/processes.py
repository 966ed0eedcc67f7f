"""One process against as many as there are cores: images a second at 16 clients, one image alone, and memory at rest.

python -m benchmarks.processes [--seconds 15] [--rounds 2]     results in benchmarks/results/processes.json
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _clients, _served
from benchmarks._common import save
from benchmarks._memory import megabytes_of

_BUNDLES = ("paper", "best")
_TASK = "tuberculosis"
_MOST_A_SECOND = 250  # films made beforehand for each second: none is sent twice


def main() -> None:
    """Rounds of one and several processes in turns, so that what else the machine does falls on both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    counts = (1, options.processes)
    rounds = [{n: _measure(n, options) for n in counts} for _ in range(options.rounds)]
    table: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.processes", *sys.argv[1:]]),
        "what": f"films of 400 × 400, one a request, every one another, {options.seconds:g} s each, median of "
        f"{options.rounds} rounds; clients in a process of their own on the same cores; the gate is off",
        "load_average_before": round(before, 1),
    }
    for n in counts:
        table[f"{n} processes"] = _medians([one[n] for one in rounds])
    for bundle in _BUNDLES:
        several, one = (table[f"{n} processes"][bundle]["images_a_second"] for n in reversed(counts))
        table[f"{counts[1]} against 1, {bundle}"] = round(several / one, 2)
    errors = {answer for one in rounds for found in one.values() for answer in found["answers"]}
    table["asked"] = "no answer but 200; the server at rest at most 350 MB"
    save("processes", table)
    sys.exit(0 if errors == {"200"} else 1)


def _measure(n: int, options: argparse.Namespace) -> dict[str, Any]:
    """A server of n processes, from its start to its end."""
    with tempfile.TemporaryDirectory() as name:
        port = _served.free_port()
        env = _served.environment(Path(name) / "data", rate_limit="", login="off")
        server = _served.start("serve", "--port", str(port), "--processes", str(n), env=env)
        try:
            _served.wait_until_ready(f"http://127.0.0.1:{port}")
            time.sleep(2.0)
            found: dict[str, Any] = {"at_rest_mb": round(megabytes_of(server.pid)), "answers": {}}
            for part, bundle in enumerate(_BUNDLES):
                first = part * int(_MOST_A_SECOND * options.seconds + 200)
                fields = {"task": _TASK, "bundle": f"{_TASK}/{bundle}", "pictures": "links"}
                begin = _clients.run(port, clients=1, seconds=0.01, first=first, films=1, fields=fields)
                alone = _clients.run(port, clients=1, seconds=2, first=first + 1, films=400, fields=fields)
                films = int(_MOST_A_SECOND * options.seconds)
                many = _clients.run(
                    port,
                    clients=options.clients,
                    seconds=options.seconds,
                    first=first + 500,
                    films=films,
                    fields=fields,
                )
                found[bundle] = {
                    "first_reading_ms": begin["good_ms"].get("most"),
                    "alone_ms": alone["good_ms"].get("p50"),
                    "images_a_second": many["images_a_second"],
                    "p99_ms": many["good_ms"].get("p99"),
                }
                for seen in (begin, alone, many):
                    found["answers"] |= seen["answers"]
            found["after_reading_mb"] = round(megabytes_of(server.pid))
            return found
        finally:
            server.terminate()
            server.wait(timeout=40)


def _medians(found: list[dict[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {
        name: statistics.median(one[name] for one in found) for name in ("at_rest_mb", "after_reading_mb")
    }
    for bundle in _BUNDLES:
        table[bundle] = {name: statistics.median(one[bundle][name] or 0 for one in found) for name in found[0][bundle]}
    return table


if __name__ == "__main__":
    main()
