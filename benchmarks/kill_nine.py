"""Server and worker are killed (SIGKILL) again and again while 300 images come in; each is read exactly once.

python -m benchmarks.kill_nine [--images 300] [--kills 20] [--database sqlite|postgresql|both]
results in benchmarks/results/kill_nine.json
"""

import argparse
import http.client
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import _served
from benchmarks._common import save
from secondread.service import Service

TASK = "tuberculosis"
ROLES = ("serve", "work")
PART = 10  # images of one upload
PAUSE = 0.3  # seconds between uploads, so that they last as long as the reading
LEASE_SECONDS = 2
IN_TIME = 600.0  # seconds for all of it


class Room:
    """`secondread serve` and `secondread work`, started again when they are killed."""

    def __init__(self, env: Mapping[str, str]):
        self._env = env
        self.port = _served.free_port()
        self._commands = {"serve": ["serve", "--port", str(self.port)], "work": ["work"]}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """What is not running."""
        for name, command in self._commands.items():
            if name not in self.running:
                self.running[name] = _served.start(*command, env=self._env)

    def kill(self, name: str) -> None:
        """SIGKILL: nothing of its own runs any more."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Both."""
        for name in list(self.running):
            self.kill(name)


def main() -> None:
    """On each database in turn; fails unless every image was read exactly once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    options = parser.parse_args()
    kinds = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    films = _served.films(options.images, side=256)
    results = {kind: _measure(kind, films, options.kills) for kind in kinds}
    save(
        "kill_nine",
        {
            "command": " ".join(["python -m benchmarks.kill_nine", *sys.argv[1:]]),
            "what": f"SIGKILL to `secondread serve` and `secondread work` in turn, {options.kills} times while "
            f"{options.images} images come in, {PART} an upload, sent again under the same key where no answer came",
            "asked": "every image read exactly once at the end",
            **results,
        },
    )
    sys.exit(0 if all(result["each_read_exactly_once"] for result in results.values()) else 1)


def _measure(kind: str, films: list[bytes], kills: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, _served.empty_database(kind) as url:
        env = _served.environment(Path(name) / "data", database=url, lease_seconds=LEASE_SECONDS, workers=0)
        service = Service.open({"DATA_FOLDER": str(Path(name) / "data"), "DATABASE": url})
        room = Room(env)
        started = time.perf_counter()
        try:
            told = _kill_until_read(room, service, films, kills)
        finally:
            room.stop()
        seconds = time.perf_counter() - started
        found = _found(service, len(films))
        service.close()
    return {**found, **told, "seconds": round(seconds, 1)}


def _kill_until_read(room: Room, service: Service, films: list[bytes], kills: int) -> dict[str, Any]:
    """One after the other, spread over the whole of it: after every so many images that were read."""
    rng = random.Random(0)
    killed: Counter[str] = Counter()
    requests: list[int] = []
    room.start()
    client = threading.Thread(target=lambda: requests.extend(_send_all(room.port, films)), daemon=True)
    client.start()
    deadline = time.monotonic() + IN_TIME
    while (closed := _closed(service)) < len(films):
        assert time.monotonic() < deadline, f"after {IN_TIME:.0f} s only {closed} of {len(films)} images are read"
        time.sleep(rng.uniform(0.02, 0.1))
        n_kills = sum(killed.values())
        if n_kills < kills and closed >= n_kills * len(films) // (kills + 1):
            name = ROLES[n_kills % 2]
            room.kill(name)
            killed[name] += 1
            room.start()
    client.join()
    return {"kills": dict(killed), "uploads": len(requests), "requests_that_they_took": sum(requests)}


def _send_all(port: int, films: list[bytes]) -> list[int]:
    """How many requests each upload took."""
    requests = []
    for first in range(0, len(films), PART):
        requests.append(_send(port, first, films[first : first + PART]))
        time.sleep(PAUSE)
    return requests


def _send(port: int, first: int, part: list[bytes]) -> int:
    """One upload, again and again under one key until it is answered."""
    files = [(f"{first + number}.png", data) for number, data in enumerate(part)]
    body, headers = _served.form("image", files, task=TASK)
    for attempt in range(1, 1000):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("POST", "/api/v1/batches", body, {**headers, "Idempotency-Key": f"part-{first}"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status in (201, 500, 503), text
            if answer.status == 201:
                return attempt
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)  # it was killed, and comes back
        finally:
            connection.close()
    raise TimeoutError(f"the upload of image {first} was never answered")


def _closed(service: Service) -> int:
    batches = service.queue.batches(limit=10_000)
    return sum(batch.n - batch.counts["queued"] - batch.counts["running"] for batch in batches)


def _found(service: Service, n: int) -> dict[str, Any]:
    """What the database and the trail tell of it."""
    states: Counter[str] = Counter()
    for batch in service.queue.batches(limit=10_000):
        states.update({state: count for state, count in batch.counts.items() if count})
    made = Counter(
        json.loads(line["detail"])["image"] for line in service.trail.lines() if line["action"] == "reading.made"
    )
    end = service.trail.verify()
    readings = service.worklist.count()
    once = readings == n and len(made) == n and set(made.values()) == {1} and states == {"done": n}
    return {
        "each_read_exactly_once": once,
        "images": n,
        "readings": readings,
        "readings_made_by_the_trail": sum(made.values()),
        "items": dict(states),
        "trail": f"verified, {end.seq} lines",
    }


if __name__ == "__main__":
    main()
