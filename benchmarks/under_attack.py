"""The real server under attack, by this script: who else asks is answered, and memory, disk and log stay bounded.

python -m benchmarks.under_attack [--processes 1] [--only NAME …]     results in benchmarks/results/under_attack.json
"""

import argparse
import http.client
import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _attackers, _served
from benchmarks._attackers import Probe, Watch
from benchmarks._common import RESULTS, save
from secondread.service import Actor, Service

HEALTH = 0.5  # seconds that /healthz may take at most
MEMORY = 2 * 10**9  # bytes of the server, at most
GB, MB = 10**9, 10**6


@dataclass(frozen=True)
class Room:
    """A server that runs, with the token of one who may send images."""

    port: int
    pid: int
    folder: Path
    token: str
    log: Path

    @property
    def login(self) -> dict[str, str]:
        """Headers."""
        return {"Authorization": f"Bearer {self.token}"}

    def probe(self, path: str, **more: Any) -> Probe:
        """Who asks meanwhile."""
        return Probe(self.port, path, **self.login, **more)


def main() -> None:
    """One attack after the other, each on a server of its own; fails unless all is held."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    options = parser.parse_args()
    before = os.getloadavg()[0]
    results = {}
    for name in options.only:
        attack, settings = ATTACKS[name]
        with serving(options.processes, **settings) as room:
            results[name] = attack(room)
        sys.stderr.write(f"{name}: {json.dumps(results[name])}\n")
    kept = RESULTS / "under_attack.json"
    earlier = json.loads(kept.read_text(encoding="utf-8"))["attacks"] if kept.exists() else {}
    save(
        "under_attack",
        {
            "command": " ".join(["python -m benchmarks.under_attack", *sys.argv[1:]]),
            "what": "attackers, the one who asks meanwhile and the server on the same cores",
            "processes": options.processes,
            "load_average_before": round(before, 1),  # of other programs, on these cores
            "attacks": {name: results.get(name, earlier.get(name)) for name in ATTACKS},
        },
    )
    sys.exit(0 if all(result["held"] for result in results.values()) else 1)


@contextmanager
def serving(processes: int, **settings: object) -> Iterator[Room]:
    """`secondread serve` on an empty data folder with one account; it asks everybody to log in."""
    with tempfile.TemporaryDirectory() as name:
        folder, log, port = Path(name) / "data", Path(name) / "log", _served.free_port()
        service = Service.open({"DATA_FOLDER": str(folder)})
        service.accounts.add("anna", role="administrator", password="a long password 42", actor=Actor("benchmark"))
        token, _ = service.tokens.add("anna", name="benchmark", scopes=["read", "write"], actor=Actor("benchmark"))
        service.close()
        env = _served.environment(folder, login="on", rate_limit="", **settings)
        command = [sys.executable, "-m", "secondread.cli", "serve", "--port", str(port), "--processes", str(processes)]
        with log.open("wb") as told:
            server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=told)
            try:
                _served.wait_until_ready(f"http://127.0.0.1:{port}")
                time.sleep(5)  # the models are loaded by then
                yield Room(port, server.pid, folder, token, log)
            finally:
                server.terminate()
                server.wait(timeout=60)


def dripping(addresses: list[str]) -> Callable[[Room], dict[str, Any]]:
    """200 connections that never finish a header, for 25 seconds."""

    def attack(room: Room) -> dict[str, Any]:
        with _attackers.dripping(room.port, 200, addresses) as befell:
            time.sleep(1)
            with room.probe("/api/v1/tasks", source=addresses[0]) as same, room.probe("/healthz") as health:
                time.sleep(25)
        return {
            "connections": 200,
            "addresses": len(addresses),
            "of_the_attackers": dict(befell),
            "another_client_of_the_same_address": same.table(),
            "healthz": health.table(),
            "held": set(same.statuses) == {"200"} and max(health.seconds) < HEALTH,
        }

    return attack


def half_sent(room: Room) -> dict[str, Any]:
    """99 requests whose body never comes, of one who is logged in."""
    head = b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    with ExitStack() as stack:
        for number in range(99):
            one = socket.create_connection(("127.0.0.1", room.port), source_address=(f"127.0.0.{2 + number // 50}", 0))
            stack.enter_context(one).sendall(head + f"Authorization: Bearer {room.token}\r\n\r\nx".encode())
        with room.probe("/api/v1/tasks") as other:
            time.sleep(5)
    return {"requests": 99, "another_client": other.table(), "held": set(other.statuses) == {"200"}}


def anonymous_bodies(room: Room) -> dict[str, Any]:
    """100 bodies of 800 MB, sent without login, for as long as the server takes bytes."""
    with Watch(room.pid) as watch, room.probe("/healthz") as health:
        found = _attackers.at_once(100, lambda _: _attackers.send_until_refused(room.port, 800 * MB))
    statuses = Counter(str(status or "reset") for status, _ in found)
    return {
        "bodies": 100,
        "stated_gb": 80,
        "answers": dict(statuses),
        "sent_mb_in_all": round(sum(sent for _, sent in found) / MB, 1),
        "in_temporary_files_mb": round(watch.spooled / MB, 3),
        "healthz": health.table(),
        "held": watch.spooled == 0 and set(statuses) <= {"401", "reset"} and max(health.seconds) < HEALTH,
    }


def huge_uploads(room: Room) -> dict[str, Any]:
    """20 images of 64 megapixels at once; who is told 503 comes again, as it is told."""
    files = _attackers.huge_images(20)
    statuses: Counter[str] = Counter()
    began = time.perf_counter()
    with Watch(room.pid) as watch, room.probe("/healthz") as health:
        found = _attackers.at_once(len(files), lambda number: _upload(room, files[number], statuses))
    return {
        "images": len(files),
        "file_mb": {"rle_dicom": round(len(files[0][1]) / MB, 1), "png": round(len(files[1][1]) / MB, 1)},
        "seconds": round(time.perf_counter() - began, 1),
        "answers": dict(statuses),
        "read": sum(found),
        "peak_memory_gb": round(watch.memory / GB, 2),
        "healthz": health.table(),
        "held": all(found) and watch.memory < MEMORY and max(health.seconds) < HEALTH,
    }


def _upload(room: Room, file: tuple[str, bytes], statuses: Counter[str]) -> bool:
    body, headers = _served.form("image", [file], task="tuberculosis")
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", room.port, timeout=300)
        try:
            connection.request("POST", "/api/v1/readings", body, {**headers, **room.login})
            answer = connection.getresponse()
            told = answer.read()
            statuses[str(answer.status)] += 1
            if answer.status == 200:
                return json.loads(told)["readings"][0]["refusal"] is None
            if answer.status != 503:
                sys.stderr.write(f"{file[0]}: {told[:300]!r}\n")
                return False
            time.sleep(float(answer.headers["Retry-After"]))
        finally:
            connection.close()
    return False


def locked_database(room: Room) -> dict[str, Any]:
    """Another process keeps the database to itself for 30 seconds, while people go on sending and looking."""
    other = sqlite3.connect(room.folder / "secondread.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    file = ("film.png", _served.films(1)[0])
    with (
        room.probe("/healthz") as health,
        room.probe("/readyz", every=1.0) as ready,
        room.probe("/api/v1/tasks") as readers,
    ):
        statuses: Counter[str] = Counter()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            _attackers.at_once(6, lambda _: _once(room, file, statuses))
    other.close()
    with room.probe("/readyz", every=0.2) as after:
        time.sleep(4)
    return {
        "seconds": 30,
        "healthz": health.table(),
        "readyz": ready.table(),
        "uploads": dict(statuses),
        "who_only_looks": readers.table(),
        "readyz_afterwards": after.table(),
        "held": max(health.seconds) < HEALTH
        and set(ready.statuses) == {"503"}
        and set(statuses) == {"503"}
        and "200" in after.statuses,
    }


def _once(room: Room, file: tuple[str, bytes], statuses: Counter[str]) -> None:
    body, headers = _served.form("image", [file], task="tuberculosis")
    connection = http.client.HTTPConnection("127.0.0.1", room.port, timeout=120)
    try:
        connection.request("POST", "/api/v1/readings", body, {**headers, **room.login})
        statuses[str(connection.getresponse().status)] += 1
    except (OSError, http.client.HTTPException) as error:
        statuses[type(error).__name__] += 1
    finally:
        connection.close()


def no_descriptors(room: Room) -> dict[str, Any]:
    """The server may open no more files, for 20 seconds, while connections come."""
    before = room.log.stat().st_size
    pids = _attackers.children(room.pid) or [room.pid]
    limits = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids]
    for pid, (_, hard) in zip(pids, limits, strict=True):
        n_open = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (n_open + 2, hard))
    with ExitStack() as stack:
        for _ in range(60):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", room.port)))
            one.sendall(_attackers.HALF)
        time.sleep(20)
        n_bytes = room.log.stat().st_size - before
    for pid, limit in zip(pids, limits, strict=True):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    time.sleep(2)
    with room.probe("/healthz") as health:
        time.sleep(2)
    return {
        "seconds": 20,
        "log_bytes": n_bytes,
        "log": room.log.read_text(encoding="utf-8")[-400:],
        "healthz_afterwards": health.table(),
        "held": n_bytes < 10_000 and set(health.statuses) == {"200"},
    }


ATTACKS: dict[str, tuple[Callable[[Room], dict[str, Any]], dict[str, object]]] = {
    "slow_headers_of_one_address": (dripping(["127.0.0.1"]), {}),
    "slow_headers_of_50_addresses": (dripping([f"127.0.0.{number}" for number in range(2, 52)]), {}),
    "half_sent_bodies": (half_sent, {}),
    "bodies_without_login": (anonymous_bodies, {"max_body_mb": 1000}),
    "huge_images": (huge_uploads, {}),
    "locked_database": (locked_database, {}),
    "no_descriptors": (no_descriptors, {}),
}


if __name__ == "__main__":
    main()
