"""Far more clients than can be served: every answer is good or says when to come again, and memory stays.

python -m benchmarks.overload [--seconds 60] [--clients 256]     results in benchmarks/results/overload.json
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import _clients, _served
from benchmarks._common import save
from benchmarks._memory import megabytes_of

_ALLOWED = {"200", "429", "503"}
_MOST_A_SECOND = 150
_LOOK_EVERY = 2.0  # seconds


def main() -> None:
    """Clients in a process of their own, each with its own address; who is sent away comes back within a second."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=256)
    parser.add_argument("--bundle", default="best")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        port = _served.free_port()
        env = _served.environment(Path(name) / "data", rate_limit="", login="off")
        server = _served.start("serve", "--port", str(port), "--processes", str(options.processes), env=env)
        try:
            _served.wait_until_ready(f"http://127.0.0.1:{port}")
            seen, memory = _under_load(server.pid, port, options)
        finally:
            server.terminate()
            code = server.wait(timeout=60)
    others = sorted(set(seen["answers"]) - _ALLOWED)
    well = not others and not seen["refusals_without_retry_after"] and code == 0
    save(
        "overload",
        {
            "command": " ".join(["python -m benchmarks.overload", *sys.argv[1:]]),
            "what": f"{options.clients} clients on {options.processes} processes, films of 400 × 400, tuberculosis/"
            f"{options.bundle}, {options.seconds:g} s, on the same cores; sent away, they come back in 0.2 to 1 s",
            "load_average_before": round(before, 1),
            **seen,
            "answers_else": others,
            "memory_mb": memory,
            "asked": "no answer but 200, 429 and 503 with Retry-After; p99 bounded; memory flat",
        },
    )
    sys.exit(0 if well else 1)


def _under_load(pid: int, port: int, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, float]]:
    """What the clients saw, and the server's memory at rest, in the two halves of the load, and a moment later."""
    time.sleep(2.0)
    memory, ended = {"at_rest": round(megabytes_of(pid))}, threading.Event()
    points: list[tuple[float, float]] = []  # when, and how much

    def look() -> None:
        while not ended.wait(_LOOK_EVERY):
            points.append((time.monotonic(), megabytes_of(pid)))

    looking = threading.Thread(target=look)
    looking.start()
    fields = {"task": "tuberculosis", "bundle": f"tuberculosis/{options.bundle}", "pictures": "links"}
    seen = _clients.run(
        port,
        clients=options.clients,
        seconds=options.seconds,
        films=int(_MOST_A_SECOND * options.seconds),
        addresses=1,
        fields=fields,
    )
    ended.set()
    looking.join()
    begun = time.monotonic() - options.seconds  # before that the clients made their films
    loaded = [megabytes for at, megabytes in points if at > begun]
    middle = len(loaded) // 2
    for name, part in (("most_in_the_first_half", loaded[:middle]), ("most_in_the_second_half", loaded[middle:])):
        memory[name] = round(max(part, default=0.0))
    time.sleep(2.0)
    memory["after"] = round(megabytes_of(pid))
    return seen, memory


if __name__ == "__main__":
    main()
