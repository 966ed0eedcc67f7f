"""The DICOM node under load, under attack and killed: nothing lost, nothing twice, and memory, threads and files flat.

python -m benchmarks.dicom_node many [--associations 20] [--images 50]    none lost? images a second
python -m benchmarks.dicom_node echoes [--n 10000]                        does anything leak?
python -m benchmarks.dicom_node mutated [--pdus 100000]                   does it still answer?
python -m benchmarks.dicom_node killed [--kills 20]                       SIGKILL while it receives and reads
python -m benchmarks.dicom_node killed_series [--kills 20] [--slices 24]  the same, of whole series by storescu
results in benchmarks/results/dicom_node.json, each subcommand's under its name
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from tests.dicom.mutated import mutated_conversations, talk, true_conversations
from tests.dicom.scu import calling, radiograph, store

from benchmarks import _served
from benchmarks._common import RESULTS, save
from benchmarks._killed_series import killed_series
from benchmarks._memory import megabytes_of
from secondread.service import Service

_UID = "1.2.826.0.1.3680043.10.999.50"
_READY_SECONDS = 300.0  # on a machine that is busy


@dataclass
class Listening:
    """A node in a process of its own; `address` is all that a sender needs."""

    folder: Path
    port: int
    reads: bool = False
    sending: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def start(self) -> None:
        """Return when it answers an echo."""
        env = _served.environment(self.folder, lease_seconds=2, dicom_associations=64, **self.settings)
        command = ["dicom", "listen", "--port", str(self.port), *([] if self.reads else ["--only-receive"])]
        self.process = _served.start(*command, env=env, quiet=True)
        deadline = time.monotonic() + _READY_SECONDS
        while not self.answers():
            assert self.process.poll() is None, "the node ended"
            assert time.monotonic() < deadline, "the node does not answer"
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether an echo is answered."""
        with calling(self) as assoc:  # type: ignore[arg-type]
            return assoc.is_established and assoc.send_c_echo().Status == 0

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM; it ends in good order."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(60) == 0, "it did not end in good order"

    def holds(self) -> dict[str, float]:
        """Memory (MB), threads and open files at present."""
        assert self.process is not None
        place = Path(f"/proc/{self.process.pid}")
        status = (place / "status").read_text(encoding="ascii")
        threads = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))
        files = len(list((place / "fd").iterdir()))
        return {"megabytes": round(megabytes_of(self.process.pid), 1), "threads": threads, "files": files}


@contextmanager
def listening(*, reads: bool = False, **settings: Any) -> Iterator[Listening]:
    """A node on an empty folder. settings: by name, in place of their defaults."""
    with tempfile.TemporaryDirectory() as folder:
        node = Listening(Path(folder), _served.free_port(), reads, settings=settings)
        node.start()
        try:
            yield node
        finally:
            if node.process is not None and node.process.poll() is None:
                node.kill()


@contextmanager
def kept_in(folder: Path) -> Iterator[Service]:
    """The service of a node that has ended."""
    service = Service.open({"DATA_FOLDER": str(folder)})
    try:
        yield service
    finally:
        service.close()


def main() -> None:
    """One subcommand; fails where something was lost, doubled or left behind."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name, options in (
        ("many", {"associations": 20, "images": 50}),
        ("echoes", {"n": 10_000}),
        ("mutated", {"pdus": 100_000}),
        ("killed", {"kills": 20}),
        ("killed_series", {"kills": 20, "slices": 24}),
    ):
        command = commands.add_parser(name)
        for option, default in options.items():
            command.add_argument(f"--{option}", type=int, default=default)
    options_given = vars(parser.parse_args())
    name = options_given.pop("command")
    ways: dict[str, Callable[..., dict[str, Any]]] = {
        "many": many, "echoes": echoes, "mutated": mutated, "killed": killed, "killed_series": series_killed
    }  # fmt: skip
    found = {"date": date.today().isoformat(), **ways[name](**options_given)}
    path = RESULTS / "dicom_node.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    own = {"command": " ".join(["python -m benchmarks.dicom_node", *sys.argv[1:]]), **found}
    known = {one: value for one, value in before.items() if one in ways}
    save("dicom_node", known | {name: own})
    print(json.dumps(own, indent=2))


def many(associations: int, images: int) -> dict[str, Any]:
    """So many associations of DCMTK's storescu at once, each with so many images of 512 × 512."""
    with listening() as node, tempfile.TemporaryDirectory() as folder:
        for number in range(associations + 1):
            _write_part(Path(folder) / str(number), number, images if number else 20)
        first = _storescu(node, Path(folder) / "0")  # what is loaded at the first object is loaded
        assert not first, first
        before = node.holds()
        started = time.monotonic()
        with ThreadPoolExecutor(associations + 1) as pool:
            held = pool.submit(_largest, node, started)
            folders = [Path(folder) / str(number + 1) for number in range(associations)]
            failed = list(filter(None, pool.map(lambda one: _storescu(node, one), folders)))
            seconds = time.monotonic() - started
            node.sending = False
        _settle()
        after = node.holds()
        node.stop()
        with kept_in(node.folder) as service:
            rows = service.dicom.latest(10**6)
            kept = [row for row in rows if row.image_sha256 and service.images.exists(row.image_sha256)]
    there = {row.sop_instance_uid for row in kept}
    n = associations * images
    assert not failed, failed[0]
    assert len(there) == len(rows) == n + 20, f"{n + 20 - len(there)} acknowledged objects are not there"
    return {
        "associations": associations,
        "images": n,
        "lost": 0,
        "seconds": round(seconds, 2),
        "images_a_second": round(n / seconds, 1),
        "before": before,
        "most_megabytes": held.result(),
        "after": after,
    }


def _write_part(folder: Path, number: int, images: int) -> None:
    """Files of one association, every one another image."""
    folder.mkdir()
    series = {"SeriesInstanceUID": f"{_UID}.{number}", "StudyInstanceUID": f"{_UID}.0.{number}"}
    ds = radiograph(number, size=(512, 512), **series)
    pixels = np.frombuffer(ds.PixelData, np.uint8).copy()
    for at in range(images):
        pixels[:8] = np.frombuffer(np.int64(at).tobytes(), np.uint8)
        ds.PixelData = pixels.tobytes()
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{_UID}.{number}.{at + 1}"
        ds.save_as(folder / f"{at}.dcm")


def _storescu(node: Listening, folder: Path) -> str:
    """DCMTK's program; '' where it was told that every file of the folder is stored, else what it says."""
    command = ["storescu", "-v", "-aec", "SECONDREAD", "-xe", "+sd", *map(str, node.address), str(folder)]
    found = subprocess.run(command, capture_output=True, text=True)
    return "" if found.returncode == 0 else found.stderr[-500:] or "no word"


def _largest(node: Listening, since: float) -> float:
    most = 0.0
    while node.sending and time.monotonic() < since + 600:
        most = max(most, node.holds()["megabytes"])
        time.sleep(0.2)
    return most


def echoes(n: int) -> dict[str, Any]:
    """Half of them on one association each, half on associations of a hundred."""
    with listening() as node:
        conversation = true_conversations(node)[0]  # type: ignore[arg-type]
        counts = [1] * (n // 2) + [100] * (n // 200)
        first = len(counts) // 10

        def some(count: int) -> int:
            return _echo(node.address, conversation, count)

        with ThreadPoolExecutor(8) as pool:
            sum(pool.map(some, counts[:first]))
            _settle()
            before = node.holds()
            answered = sum(pool.map(some, counts[first:]))
        _settle()
        after = node.holds()
        node.stop()
    wanted = sum(counts[first:])
    assert answered == wanted, f"{wanted - answered} echoes were not answered"
    assert after["threads"] <= before["threads"], "threads are left behind"
    assert after["files"] <= before["files"] + 2, "open files are left behind"
    return {"echoes": answered, "associations": len(counts) - first, "before": before, "after": after}


def _echo(address: tuple[str, int], conversation: list[bytes], n: int) -> int:
    """So many echoes on one association, as bytes: pynetdicom's requestor now and then loses an answer under load."""
    asked, echo, release = conversation
    with socket.create_connection(address, timeout=60) as peer:
        accepted = _said(peer, asked)[:1] == b"\x02"
        answered = sum(_said(peer, echo)[:1] == b"\x04" for _ in range(n if accepted else 0))
        return answered if _said(peer, release)[:1] == b"\x06" else 0


def _said(peer: socket.socket, pdu: bytes) -> bytes:
    """The PDU that answers this one."""
    peer.sendall(pdu)
    head = _exactly(peer, 6)
    return head + _exactly(peer, int.from_bytes(head[2:], "big"))


def _exactly(peer: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n and (chunk := peer.recv(n - len(data))):
        data += chunk
    return data


def mutated(pdus: int) -> dict[str, Any]:
    """Conversations that are changed in one to four places, until so many PDUs were sent."""
    with listening() as node:
        seeds = true_conversations(node)  # type: ignore[arg-type]
        each = sum(map(len, seeds)) / len(seeds)
        n = round(pdus / each)
        _settle()
        before = node.holds()
        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            conversations = mutated_conversations(seeds, n, random_state=19)
            lock = threading.Lock()

            def some(_: int) -> int:
                done = 0
                while True:
                    with lock:
                        data = next(conversations, None)
                    if data is None:
                        return done
                    with suppress(OSError):
                        talk(node.address, data, timeout=2)
                    done += 1

            done = sum(pool.map(some, range(8)))
        seconds = time.monotonic() - started
        assert node.process is not None
        assert node.process.poll() is None, "the node ended"
        assert node.answers(), "the node does not answer any more"
        _settle()
        after = node.holds()
        node.stop()
    assert after["threads"] <= before["threads"] + 2, "threads are left behind"
    assert after["files"] <= before["files"] + 4, "open files are left behind"
    return {
        "pdus": round(done * each),
        "conversations": done,
        "seconds": round(seconds),
        "before": before,
        "after": after,
    }


def killed(kills: int) -> dict[str, Any]:
    """SIGKILL at random moments while objects come in and are read; who was not answered sends again."""
    rng = random.Random(0)
    acknowledged: set[str] = set()
    with listening(reads=True) as node:
        number = 0
        for _ in range(kills):
            stopping = threading.Event()
            sender = threading.Thread(target=_send_until, args=(node, number, acknowledged, stopping))
            sender.start()
            time.sleep(rng.uniform(0.3, 2.0))
            node.kill()
            stopping.set()
            sender.join()
            number = len(acknowledged)  # the one that was under way is sent again
            node.start()
        deadline = time.monotonic() + 300
        while _unread(node.folder) and time.monotonic() < deadline:
            time.sleep(0.5)
        node.stop()
        with kept_in(node.folder) as service:
            rows = service.dicom.latest(10**6)
            stand_ins = {service.intake.stand_in(one) for one in acknowledged}
            made = [line["subject"] for line in service.trail.lines(action="reading.made")]
            service.trail.verify()
    here = {row.sop_instance_uid for row in rows}
    states = {row.state for row in rows}
    assert stand_ins <= here, f"{len(stand_ins - here)} acknowledged objects are lost"
    assert len(here) == len(rows)
    assert states <= {"read", "refused"}, f"states at the end: {states}"
    assert len(made) == len(set(made)) == len(rows), "an object was read twice, or not at all"
    return {
        "kills": kills,
        "acknowledged": len(acknowledged),
        "rows": len(rows),
        "readings": len(made),
        "lost": 0,
        "twice": 0,
    }


def series_killed(kills: int, slices: int) -> dict[str, Any]:
    """See killed_series."""
    with listening(reads=True, dicom_series_seconds=300) as node:
        return killed_series(node, kills=kills, slices=slices)


def _send_until(node: Listening, first: int, acknowledged: set[str], stopping: threading.Event) -> None:
    """One object after the other, until the node is gone."""
    number = first
    while not stopping.is_set():
        with suppress(Exception), calling(node) as assoc:  # type: ignore[arg-type]
            while assoc.is_established and not stopping.is_set():
                ds = radiograph(number, size=(256, 256))
                if store(assoc, ds).status != 0:
                    break
                acknowledged.add(ds.SOPInstanceUID)
                number += 1


def _unread(folder: Path) -> int:
    with kept_in(folder) as service:
        counts = service.dicom.counts()
    return counts["received"] + counts["waiting"]


def _settle() -> None:
    time.sleep(3)


if __name__ == "__main__":
    main()
