"""Fifty clients upload together for two minutes: errors, latencies, images a second; and the same to a plain script.

python -m benchmarks.load [--seconds 120] [--clients 50]     results in benchmarks/results/load.json
"""

import argparse
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import _served
from benchmarks._common import save, weights_of
from secondread.service import Service

TASK = "tuberculosis"
MOST_A_SECOND = 60  # films made beforehand for each second: none is sent to secondread twice


@dataclass
class Run:
    """What the clients of one server saw."""

    seconds: list[float] = field(default_factory=list)  # of each request that was answered well
    errors: Counter[str] = field(default_factory=Counter)
    lasted: float = 0.0

    def table(self) -> dict[str, Any]:
        """Rounded, for people."""
        cuts = statistics.quantiles(self.seconds, n=100) if len(self.seconds) > 1 else [float("nan")] * 99
        return {
            "images": len(self.seconds),
            "errors": dict(self.errors),
            "images_a_second": round(len(self.seconds) / self.lasted, 1),
            "latency_ms": {f"p{p}": round(1000 * cuts[p - 1]) for p in (50, 95, 99)},
        }


def main() -> None:
    """One server after the other on the same cores, clients included."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    films = _served.films(options.seconds * MOST_A_SECOND)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, kept = _ours(folder, films, options)
        plain = _plain(folder, films, options)
    save(
        "load",
        {
            "command": " ".join(["python -m benchmarks.load", *sys.argv[1:]]),
            "what": f"{options.clients} clients, one film of 400 × 400 a request, each another, {options.seconds} s; "
            "clients and server on the same cores",
            "secondread": {**ours.table(), **kept},
            "plain Flask + torch, nothing kept": plain.table(),
            "times_as_many_as_plain": round(len(ours.seconds) / ours.lasted / (len(plain.seconds) / plain.lasted), 2),
            "load_average_before": round(before, 1),  # of other programs, on these cores
            "asked": "no error",
        },
    )
    sys.exit(1 if ours.errors else 0)


def _ours(folder: Path, films: list[bytes], options: argparse.Namespace) -> tuple[Run, dict[str, Any]]:
    """secondread as it is shipped but for the gate, which lets no phantom pass: every reading is stored."""
    port = _served.free_port()
    env = _served.environment(folder / "data", **SETTINGS)
    server = _served.start("serve", "--port", str(port), env=env)
    try:
        _served.wait_until_ready(f"http://127.0.0.1:{port}")
        run = _drive(port, "/api/v1/readings", films, options, _well, task=TASK)
    finally:
        server.terminate()
        server.wait(timeout=30)
    service = Service.open({"DATA_FOLDER": str(folder / "data")})
    kept: dict[str, Any] = {"stored": service.worklist.count(), "trail_lines": service.trail.count()}
    kept["every_answer_stored"] = kept["stored"] == len(run.seconds) + sum(run.errors.values())
    service.trail.verify()
    service.close()
    n_bytes = sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file())
    kept["kept_bytes_an_image"] = round(n_bytes / max(1, kept["stored"]))
    kept["sent_bytes_an_image"] = round(statistics.mean(map(len, films[:40])))
    return run, kept


def _plain(folder: Path, films: list[bytes], options: argparse.Namespace) -> Run:
    port = _served.free_port()
    script = Path(__file__).with_name("plain_server.py")
    server = subprocess.Popen([sys.executable, str(script), str(weights_of(TASK, folder)), str(port)])
    try:
        _served.wait_until_ready(f"http://127.0.0.1:{port}")
        return _drive(port, "/read", films, options, lambda status, _: status == 200)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _drive(
    port: int,
    path: str,
    films: list[bytes],
    options: argparse.Namespace,
    well: Callable[[int, bytes], bool],
    **fields: str,
) -> Run:
    """Every client sends its next film as soon as the last is answered, until the time is up."""
    run, lock, numbers = Run(), threading.Lock(), itertools.count()
    started = time.perf_counter()
    until = started + options.seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.perf_counter() < until:
            number = next(numbers)
            body, headers = _served.form("image", [(f"{number}.png", films[number % len(films)])], **fields)
            before = time.perf_counter()
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                found = "" if well(answer.status, answer.read()) else f"status {answer.status}"
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                found = type(error).__name__
            took = time.perf_counter() - before
            with lock:
                run.errors.update([found] if found else [])
                run.seconds += [] if found else [took]
        connection.close()

    clients = [threading.Thread(target=client) for _ in range(options.clients)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    run.lasted = time.perf_counter() - started
    return run


def _well(status: int, body: bytes) -> bool:
    """Read, not refused."""
    return status == 200 and json.loads(body)["readings"][0]["refusal"] is None


SETTINGS: dict[str, object] = {}


if __name__ == "__main__":
    main()
