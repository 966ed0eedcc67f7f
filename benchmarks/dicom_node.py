"""The DICOM node under load, under attack and killed: nothing lost, nothing twice, and memory, threads and files flat.

python -m benchmarks.dicom_node many [--associations 20] [--images 50]    none lost? images a second; ten rounds
python -m benchmarks.dicom_node echoes [--n 10000]                        does anything leak?
python -m benchmarks.dicom_node mutated [--pdus 100000]                   does it still answer?
python -m benchmarks.dicom_node killed [--kills 20]                       SIGKILL while it receives and reads
python -m benchmarks.dicom_node killed_series [--kills 20] [--slices 24]  the same, of whole series by storescu
results in benchmarks/results/dicom_node.json, each subcommand's under its name

How `many` judges memory was fixed before the run that is kept: a point is what the node holds of its own when a round
is over and nothing comes in; the slope is that of Theil and Sen through the points after the third round, with its
95 % interval, and the upper end of that stays below 1 MB in 1,000 images. What libraries take is left out of it, which
changes with every other program that maps them; `megabytes` beside it counts them in parts.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from tests.dicom.mutated import mutated_conversations, talk, true_conversations
from tests.dicom.scu import calling, radiograph, store

from benchmarks._common import RESULTS, save
from benchmarks._killed_series import killed_series
from benchmarks._listening import Listening, listening
from benchmarks._memory import FLAT_MB, growth_of
from secondread.service import Service

_UID = "1.2.826.0.1.3680043.10.999.50"
_WARM = 3  # rounds after which every connection and arena was used


@contextmanager
def kept_in(folder: Path) -> Iterator[Service]:
    """The service of a node that has ended."""
    service = Service.open({"DATA_FOLDER": str(folder)})
    try:
        yield service
    finally:
        service.close()


def main() -> None:
    """One subcommand; fails where something was lost, doubled or left behind, or memory grows."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name, options in (
        ("many", {"associations": 20, "images": 50, "rounds": 10}),
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
    sys.exit(0 if own.get("flat", True) else 1)


def many(associations: int, images: int, rounds: int) -> dict[str, Any]:
    """So many associations of DCMTK's storescu at once, each with so many images of 512 × 512, again and again."""
    assert rounds >= _WARM + 3, f"a slope needs {_WARM + 3} rounds or more"
    seconds, after, load = [], [], os.getloadavg()[0]
    with listening() as node:
        _send_together(node, [0], images=20)  # what is loaded at the first object is loaded
        before = node.holds()
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(_largest, node)
            for at in range(rounds):
                first = at * associations + 1
                seconds.append(_send_together(node, range(first, first + associations), images=images))
                _settle()
                after.append(node.holds())
                print(f"{(at + 1) * associations * images} images: {after[-1]}", file=sys.stderr, flush=True)
            node.sending = False
        node.stop()
        with kept_in(node.folder) as service:
            rows = service.dicom.latest(10**6)
            kept = [row for row in rows if row.image_sha256 and service.images.exists(row.image_sha256)]
    there = {row.sop_instance_uid for row in kept}
    n = rounds * associations * images
    thousands = [(at + 1) * associations * images / 1000 for at in range(rounds)]
    slope = growth_of([one["own_megabytes"] for one in after[_WARM:]], thousands[_WARM:])
    assert len(there) == len(rows) == n + 20, f"{n + 20 - len(there)} acknowledged objects are not there"
    half = after[rounds // 2 - 1]  # a connection to the database is opened when so many are first wanted at once
    assert after[-1]["threads"] <= half["threads"], "threads are left behind"
    assert after[-1]["files"] <= half["files"] + 2, "open files are left behind"
    return {
        "associations": associations,
        "images": n,
        "lost": 0,
        "seconds": [round(one, 2) for one in seconds],
        "images_a_second": round(n / sum(seconds), 1),
        "load_average_before": round(load, 1),
        "before": before,
        "most_megabytes": held.result(),
        "after_each_round": after,
        "mb_in_1000_images": slope | {"after_images": round(1000 * thousands[_WARM - 1])},
        "flat": slope["high"] < FLAT_MB,
    }


def _send_together(node: Listening, numbers: Sequence[int], *, images: int) -> float:
    """One association for each number, all at once; seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            _write_part(Path(folder) / str(number), number, images)
        started = time.monotonic()
        with ThreadPoolExecutor(len(numbers)) as pool:
            failed = list(filter(None, pool.map(lambda one: _storescu(node, Path(folder) / str(one)), numbers)))
        assert not failed, failed[0]
        return time.monotonic() - started


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


def _largest(node: Listening) -> float:
    most, since = 0.0, time.monotonic()
    while node.sending and time.monotonic() < since + 1800:
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
