"""Sixteen clients upload together: secondread, which keeps every reading durably, against servers that keep nothing.

python -m benchmarks.load [--seconds 12] [--rounds 2] [--clients 16] [--only NAME …]
results in benchmarks/results/load.json

The servers take turns on the same cores, clients (a process of their own) included; every request brings another image,
out of real films of 400 × 400 where SECONDREAD_DATA is set. LitServe is put into build/bench for it (requirements/
bench.txt), apart from the environment; where that fails it is left out, and its row says so.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import _clients, _served
from benchmarks._common import save, weights_of
from benchmarks._memory import megabytes_of
from secondread.reading import load
from secondread.service import Service

TASK = "tuberculosis"
MOST_A_SECOND = 250  # films made beforehand for each second: none is sent to secondread twice
HERE = Path(__file__).parent
RIVALS = HERE.parent / "build/bench"
LOOP_FILMS = 400
SERVERS = {  # name → (kind, bundle)
    "secondread, paper": ("secondread", "paper"),
    "Flask + torch, paper": ("plain", "paper"),
    "secondread, best": ("secondread", "best"),
    "secondread, best, with the gate": ("secondread", "best"),
    "Flask + torch, best": ("flask-torch", "best"),
    "Flask + ONNX Runtime, best": ("flask-onnx", "best"),
    "LitServe + ONNX Runtime, best": ("litserve", "best"),
    "the reader's loop, best": ("loop", "best"),
    "the reader's loop, paper": ("loop", "paper"),
}
RATIOS = {  # what the project asks of itself: ours, theirs, times
    "paper against Flask + torch": ("secondread, paper", "Flask + torch, paper", 1.0),
    "best against the reader's loop": ("secondread, best", "the reader's loop, best", 0.9),
    "best against Flask + torch": ("secondread, best", "Flask + torch, best", 2.0),
    "best against Flask + ONNX Runtime": ("secondread, best", "Flask + ONNX Runtime, best", None),
    "best against LitServe": ("secondread, best", "LitServe + ONNX Runtime, best", 1.0),
}


def main() -> None:
    """Every server in every round; the ratio of each round, and the median of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--only", nargs="*", choices=list(SERVERS), default=list(SERVERS))
    options = parser.parse_args()
    before = os.getloadavg()[0]
    rounds: list[dict[str, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as name:
        weights = weights_of(TASK, Path(name))
        for number in range(options.rounds):
            rounds.append({})
            for server in options.only:
                folder = Path(name) / f"{number}-{len(rounds[-1])}"
                try:
                    rounds[-1][server] = _measured(server, folder, weights, options)
                except (TimeoutError, subprocess.SubprocessError, OSError) as error:
                    rounds[-1][server] = {"failed": f"{type(error).__name__}: {error}"}
                print(f"round {number + 1}  {server:34} {rounds[-1][server]}", file=sys.stderr, flush=True)
    table = {
        "command": shlex.join(["python", "-m", "benchmarks.load", *sys.argv[1:]]),
        "what": f"{options.clients} clients, one film of 400 × 400 a request, each another, {options.seconds:g} s a "
        f"round, {options.rounds} rounds in turn; clients and server on the same cores; "
        + ("real films" if os.environ.get("SECONDREAD_DATA") else "made-up films"),
        "load_average_before": round(before, 1),  # of other programs, on these cores
        "servers": {server: _together([one[server] for one in rounds]) for server in options.only},
        "ratios": _ratios(rounds),
        "asked": "no error; every reading of secondread stored",
    }
    save("load", table)
    ours = [one[server] for one in rounds for server in options.only if SERVERS[server][0] == "secondread"]
    well = all(set(found.get("answers", ())) == {"200"} and found["every_answer_stored"] for found in ours)
    sys.exit(0 if well else 1)


def _measured(server: str, folder: Path, weights: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Of one server in one round."""
    kind, bundle = SERVERS[server]
    folder.mkdir()
    if kind == "loop":
        return {"images_a_second": _loop(f"{TASK}/{bundle}", folder)}
    if kind == "litserve" and not _litserve_there():
        return {"left_out": "LitServe could not be installed into build/bench"}
    port = _served.free_port()
    films = {"films": round(MOST_A_SECOND * options.seconds), "clients": options.clients, "seconds": options.seconds}
    if kind != "secondread":
        command = [sys.executable, "-m", "benchmarks.rival_servers", kind, f"{TASK}/{bundle}", str(port)]
        if kind == "plain":
            command = [sys.executable, str(HERE / "plain_server.py"), str(weights), str(port)]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(RIVALS)])}
        with _running(
            subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port
        ) as process:
            _clients.run(port, **films | {"seconds": 1, "films": 50}, path="/read")
            found = _clients.run(port, **films, path="/read")
            return {**_figures(found), "mb": round(megabytes_of(process.pid))}
    gate = "on" if server.endswith("gate") else "off"
    env = _served.environment(folder / "data", rate_limit="", login="off") | {"SECONDREAD_GATE": gate}
    fields = {"task": TASK, "bundle": f"{TASK}/{bundle}", "pictures": "links"}
    with _running(_served.start("serve", "--port", str(port), env=env, quiet=True), port) as process:
        first = _clients.run(port, **films | {"seconds": 1, "films": 300}, fields=fields)
        found = _clients.run(port, **films, first=300, fields=fields)
        megabytes = round(megabytes_of(process.pid))
    return {**_figures(found), "mb": megabytes, **_kept(folder / "data", first, found)}


@contextmanager
def _running(process: "subprocess.Popen[bytes]", port: int) -> Iterator["subprocess.Popen[bytes]"]:
    try:
        _served.wait_until_ready(f"http://127.0.0.1:{port}")
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _figures(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "images_a_second": found["images_a_second"],
        "n": found["answers"].get("200", 0),
        "answers": found["answers"],
        "latency_ms": found["good_ms"],
    }


def _kept(folder: Path, *seen: dict[str, Any]) -> dict[str, Any]:
    """Whether all that was answered is there, its trail whole, and how many bytes it takes."""
    service = Service.open({"DATA_FOLDER": str(folder)})
    stored, lines = service.worklist.count(), service.trail.count()
    service.trail.verify()
    service.close()
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    answered = sum(found["answers"].get("200", 0) for found in seen)
    return {
        "stored": stored,
        "trail_lines": lines,
        "every_answer_stored": stored >= answered,  # one more of each client may be stored, its answer cut off
        "kept_bytes_an_image": round(n_bytes / max(1, stored)),
    }


def _loop(bundle: str, folder: Path) -> float:
    """Images a second of the reader alone over files, on all cores, with maps."""
    for number, film in enumerate(_served.films(LOOP_FILMS)):
        (folder / f"{number:04}.png").write_bytes(film)
    paths = sorted(folder.iterdir())
    reader = load(bundle, gate=False)
    for _ in reader.read_many(paths[:20]):
        pass
    started = time.perf_counter()
    n = sum(reading.heatmap is not None for reading in reader.read_many(paths))
    return round(n / (time.perf_counter() - started), 1)


def _litserve_there() -> bool:
    """Installed beside the environment, if it can be."""
    if (RIVALS / "litserve").is_dir():
        return True
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(RIVALS)]
    return subprocess.run([*pip, "--requirement", str(HERE.parent / "requirements/bench.txt")]).returncode == 0


def _together(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The last round, with the median of the speeds and all of them."""
    speeds = [one["images_a_second"] for one in rounds if "images_a_second" in one]
    if not speeds:
        return rounds[-1]
    return {**rounds[-1], "images_a_second": round(statistics.median(speeds), 1), "all_rounds": speeds}


def _ratios(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Of the servers that were measured: ours to theirs, round by round."""
    table: dict[str, dict[str, Any]] = {}
    for name, pair in RATIOS.items():
        speeds = [[one.get(server, {}).get("images_a_second") for server in pair[:2]] for one in rounds]
        if all(all(two) for two in speeds):
            ratios = [round(ours / theirs, 2) for ours, theirs in speeds]
            table[name] = {"ratio": round(statistics.median(ratios), 2), "all_rounds": ratios, "asked": pair[2]}
    return table


if __name__ == "__main__":
    main()
