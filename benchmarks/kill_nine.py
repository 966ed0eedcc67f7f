"""Server and worker are killed (SIGKILL) again and again while people work; all that was told to be stored is there.

python -m benchmarks.kill_nine [--images 200] [--kills 20] [--database sqlite|postgresql|both] [--processes 1 2]
results in benchmarks/results/kill_nine.json
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import _served
from benchmarks._common import save
from benchmarks._killed import PART, Askers, all_there
from secondread.service import Service

ROLES = ("serve", "work")
LEASE_SECONDS = 2
IN_TIME = 900.0  # seconds for all of it
_AN_HOUR = 3600.0


class Room:
    """`secondread serve` and `secondread work`, started again when they are killed."""

    def __init__(self, env: Mapping[str, str], processes: int):
        self._env = env
        self.port = _served.free_port()
        several = ["--processes", str(processes)] if processes > 1 else []
        self._commands = {"serve": ["serve", "--port", str(self.port), *several], "work": ["work"]}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """What is not running, or could not begin while the port was still taken."""
        for name, command in self._commands.items():
            if name not in self.running or self.running[name].poll() is not None:
                self.running[name] = _served.start(*command, env=self._env, quiet=True)

    def kill(self, name: str) -> None:
        """SIGKILL to it and all that it started: nothing of its own runs any more."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_one_of_several(self, rng: random.Random) -> bool:
        """SIGKILL to one of the processes that serve; False where there is but one."""
        parent = self.running["serve"].pid
        try:
            children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
            if children:
                os.kill(rng.choice(children), signal.SIGKILL)
        except (OSError, ValueError):
            return False
        return bool(children)

    def stop(self) -> None:
        """Both."""
        for name in list(self.running):
            self.kill(name)


def main() -> None:
    """On each database in turn; fails unless nothing is lost, twice, stuck or no one's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    kinds = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    films = _served.films(options.images + options.images // 4, side=256)
    results = {
        f"{kind}, {n} process{'es' if n > 1 else ''}": _measure(kind, films, options.images, options.kills, n)
        for n in options.processes
        for kind in kinds
    }
    save(
        "kill_nine",
        {
            "command": " ".join(["python -m benchmarks.kill_nine", *sys.argv[1:]]),
            "what": f"SIGKILL to `secondread serve` and `secondread work` in turn, {options.kills} times at random "
            f"moments, while {options.images} images come in ({PART} an upload), others are sent to be read at once "
            "and reviewed, and retention, backup and erasure run and are killed themselves",
            "asked": "after `db check --repair`: all that was answered is there and once, no item is stuck, no file is "
            "no one's, the trail is whole and fits its checkpoints, the last backup can be restored",
            **results,
        },
    )
    sys.exit(1 if any(result["wrong"] for result in results.values()) else 0)


def _measure(kind: str, films: list[bytes], n: int, kills: int, processes: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, _served.empty_database(kind) as url:
        folder = Path(name) / "data"
        env = _served.environment(folder, database=url, lease_seconds=LEASE_SECONDS, workers=0)
        service = Service.open({"DATA_FOLDER": str(folder), "DATABASE": url, "LEASE_SECONDS": LEASE_SECONDS})
        room = Room(env, processes)
        askers = Askers(room.port, env, service, films[:n], films[n:])
        started = time.perf_counter()
        try:
            killed = _kill_until_read(room, service, askers, n, kills)
            askers.join()
        finally:
            askers.stop.set()
            room.stop()
        seconds = time.perf_counter() - started
        before, after = _mended(service, askers, env)
        found = all_there(service, askers.told, lambda *command: _restore(kind, Path(name), env, *command))
        service.close()
    if after:
        found["wrong"].append(f"after `db check --repair` there is still: {after}")
    return {"kills": killed, **found, "found_by_db_check": before, "seconds": round(seconds, 1)}


def _kill_until_read(room: Room, service: Service, askers: Askers, n: int, kills: int) -> dict[str, int]:
    """One after the other, spread over the whole of it: after every so many images that were read, and a while."""
    rng = random.Random(0)
    killed: Counter[str] = Counter()
    room.start()
    askers.start()
    deadline = time.monotonic() + IN_TIME
    while (closed := _closed(service)) < n or sum(killed.values()) < kills or not askers.uploads_are_in:
        assert time.monotonic() < deadline, f"after {IN_TIME:.0f} s only {closed} of {n} images are read"
        time.sleep(rng.uniform(0.02, 0.5))
        n_kills = sum(killed.values())
        if n_kills < kills and closed >= n_kills * n // (kills + 1):
            name = ROLES[n_kills % 2]
            if name == "serve" and n_kills % 4 == 0 and room.kill_one_of_several(rng):
                name = "one of the processes that serve"
            else:
                room.kill(name)
            killed[name] += 1
        room.start()
    return dict(killed)


def _closed(service: Service) -> int:
    batches = service.queue.batches(limit=10_000)
    return sum(batch.n - batch.counts["queued"] - batch.counts["running"] for batch in batches)


def _mended(service: Service, askers: Askers, env: Mapping[str, str]) -> tuple[str, str]:
    """What `db check --repair` found, and what it finds after; retention and erasures are ended first, as told."""
    _command(env, "retain", "--days", "1")
    for reading in sorted(askers.told.wanted_erased - set(askers.told.erased)):
        if _command(env, "erase", "--reading", str(reading), "--yes").returncode == 0:
            askers.told.erased.append(reading)
    past = time.time() - _AN_HOUR
    for path in service.folder.rglob("*"):  # a young file might be of an upload that is under way
        os.utime(path, (past, past))
    before = _command(env, "db", "check", "--repair").stdout
    return " ".join(before.split()), _left(_command(env, "db", "check"))


def _left(check: "subprocess.CompletedProcess[str]") -> str:
    return "" if check.returncode == 0 else " ".join((check.stdout + check.stderr).split())


def _restore(kind: str, place: Path, env: Mapping[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    """Into a folder, and a database, of its own."""
    with _served.empty_database(kind) as url:
        elsewhere = {"SECONDREAD_DATA_FOLDER": str(place / "restored"), "SECONDREAD_DATABASE": url}
        return _command({**env, **elsewhere}, *command)


def _command(env: Mapping[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    arguments = [sys.executable, "-m", "secondread.cli", *command]
    return subprocess.run(arguments, env=dict(env), capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
