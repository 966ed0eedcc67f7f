"""Those who ask a server that is killed again and again, and what must be there of all that they were told."""

import http.client
import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sqlalchemy import func, select, update

from benchmarks import _served
from secondread.service import LOCAL, Service
from secondread.service.tables import ImageRow, ItemRow, ReadingRow, ReviewRow, now

TASK = "tuberculosis"
PART = 10  # images of one upload
_PAUSE = 0.3  # seconds between uploads, so that they last as long as the reading
_OLD = timedelta(days=3)


@dataclass
class Told:
    """All that somebody was told is stored or done, and how often it was asked for."""

    uploads: dict[int, int] = field(default_factory=dict)  # number → images
    readings: list[int] = field(default_factory=list)  # of images that were sent to be read at once
    reviews: dict[int, int] = field(default_factory=dict)  # number of the opinion → of which reading
    reviewed: list[int] = field(default_factory=list)  # readings on which an opinion was sent, answered or not
    erased: list[int] = field(default_factory=list)  # readings whose image `erase` said is gone
    wanted_erased: set[int] = field(default_factory=set)  # told or not
    backups: list[Path] = field(default_factory=list)
    commands: dict[str, int] = field(default_factory=dict)  # that ended
    commands_killed: dict[str, int] = field(default_factory=dict)
    requests: int = 0


def request(port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = {}) -> tuple[int, Any]:
    """(status, JSON) of one request. Raises OSError or HTTPException where the server was killed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def asked(port: int, told: Told, stop: threading.Event, *call: Any) -> Any:
    """The answer of a request that is sent again until it is answered with 200 or 201; None at the end of it all.

    409 comes while the first of its key counts as being answered, by a server that was killed, or, like 404, where the
    image was erased meanwhile; it is left then.
    """
    while not stop.is_set():
        told.requests += 1
        with suppress(OSError, http.client.HTTPException, json.JSONDecodeError):
            status, answer = request(port, *call)
            if status in (200, 201):
                return answer
            if status in (404, 409):
                return None
            assert status in (500, 503), answer
        time.sleep(0.2)  # it was killed, and comes back
    return None


class Askers:
    """Threads that send uploads, images and opinions, and one that runs the commands of the house.

    stop: ends all but the uploads, which are sent to the last.
    """

    def __init__(self, port: int, env: Mapping[str, str], service: Service, uploads: list[bytes], single: list[bytes]):
        self.told = Told()
        self.stop = threading.Event()
        self._never = threading.Event()
        self._port = port
        self._env = env
        self._service = service
        self._uploads = uploads
        self._single = single
        self._rng = random.Random(1)
        work = (self._send_uploads, self._send_images, self._review, self._keep_house)
        self._threads = [threading.Thread(target=act, name=act.__name__, daemon=True) for act in work]
        self.failed: list[BaseException] = []
        self._lasted: dict[str, float] = {}  # seconds that a command took
        self._before, threading.excepthook = threading.excepthook, lambda args: self.failed.append(args.exc_value)  # type: ignore[arg-type, return-value]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    @property
    def uploads_are_in(self) -> bool:
        """Whether every upload was answered."""
        return not self._threads[0].is_alive()

    def join(self) -> None:
        """End asking; raises what went wrong in a thread."""
        self.stop.set()
        for thread in self._threads:
            thread.join(120)
        threading.excepthook = self._before
        if self.failed:
            raise self.failed[0]

    def _send_uploads(self) -> None:
        for first in range(0, len(self._uploads), PART):
            files = [(f"{first + at}.png", data) for at, data in enumerate(self._uploads[first : first + PART])]
            body, headers = _served.form("image", files, task=TASK)
            headers["Idempotency-Key"] = f"part-{first}"
            found = asked(self._port, self.told, self._never, "POST", "/api/v1/batches", body, headers)
            assert found is not None, "an upload's key is its own, and never in progress"
            self.told.uploads[int(found["id"])] = len(files)
            time.sleep(_PAUSE)

    def _send_images(self) -> None:
        for number, data in enumerate(self._single):
            body, headers = _served.form("image", [(f"single-{number}.png", data)], task=TASK)
            found = asked(self._port, self.told, self.stop, "POST", "/api/v1/readings", body, headers)
            if found is None:
                return
            self.told.readings.append(int(found["readings"][0]["id"]))
            time.sleep(_PAUSE)

    def _review(self) -> None:
        seen = 0
        while not self.stop.is_set():
            if seen >= len(self.told.readings):
                time.sleep(0.05)
                continue
            reading = self.told.readings[seen]
            seen += 1
            self.told.reviewed.append(reading)
            headers = {"Content-Type": "application/json", "Idempotency-Key": f"review-{reading}"}
            body = json.dumps({"verdict": "unsure", "note": "seen"}).encode()
            path = f"/api/v1/readings/{reading}/reviews"
            if (found := asked(self._port, self.told, self.stop, "POST", path, body, headers)) is not None:
                self.told.reviews[int(found["id"])] = reading

    def _keep_house(self) -> None:
        """Retention, backup and erasure in turn, every second time killed in the middle."""
        number = 0
        while not self.stop.is_set():
            number += 1
            self._make_old()
            self._run("retain", "--days", "1")
            out = Path(self._env["SECONDREAD_DATA_FOLDER"]).parent / f"{number}.tar.gz"
            if self._run("backup", str(out)):
                self.told.backups.append(out)
            if self.told.readings:
                reading = self._rng.choice(self.told.readings)
                self.told.wanted_erased.add(reading)
                if self._run("erase", "--reading", str(reading), "--yes"):
                    self.told.erased.append(reading)

    def _make_old(self) -> None:
        """Three images that retention is to delete."""
        for _ in range(3):
            noise = np.frombuffer(self._rng.randbytes(64 * 64), np.uint8).reshape(64, 64)
            sha256 = self._service.intake.stage(cv2.imencode(".png", noise)[1].tobytes(), actor=LOCAL).sha256
            with self._service.database.begin() as session:
                session.execute(update(ImageRow).where(ImageRow.sha256 == sha256).values(received_at=now() - _OLD))

    def _run(self, *command: str) -> bool:
        """Whether it ended, and well. Killed it may be at any moment from its first to its last."""
        process = _served.start(*command, env=self._env, quiet=True)
        began = time.monotonic()
        spared = self._rng.random() < 0.5
        end = 600.0 if spared else self._rng.uniform(0.3, 1.2) * self._usual(command[0])
        while process.poll() is None and time.monotonic() - began < end and not self.stop.is_set():
            time.sleep(0.02)
        if process.poll() is None:
            process.kill()
            process.wait()
            self.told.commands_killed[command[0]] = self.told.commands_killed.get(command[0], 0) + 1
            return False
        self._lasted[command[0]] = time.monotonic() - began
        self.told.commands[command[0]] = self.told.commands.get(command[0], 0) + (process.returncode == 0)
        return process.returncode == 0

    def _usual(self, name: str) -> float:
        return self._lasted.get(name, 3.0)


def all_there(service: Service, told: Told, run: Callable[..., subprocess.CompletedProcess[str]]) -> dict[str, Any]:
    """What is wrong, a sentence each, and what there is; `db check --repair` has gone before."""
    wrong: list[str] = []
    with service.database.reading() as session:
        images = {row.sha256: row for row in session.scalars(select(ImageRow))}
        readings = {row.id: row for row in session.scalars(select(ReadingRow))}
        reviews = {row.id: row for row in session.scalars(select(ReviewRow))}
        items = session.scalars(select(ItemRow)).all()
        twice = session.execute(
            select(ItemRow.image_sha256, func.count()).group_by(ItemRow.image_sha256).having(func.count() > 1)
        ).all()
    for number, n in told.uploads.items():
        states = [item.state for item in items if item.batch_id == number]
        if states != ["done"] * n:
            wrong.append(f"upload {number} was answered and has {states}")
    wrong += [f"item {item.id} is stuck: {item.state}" for item in items if item.state not in ("done", "refused")]
    wrong += [f"image {sha256[:12]} is {n} items" for sha256, n in twice if sha256]
    if len({item.batch_id for item in items}) != len(told.uploads):
        wrong.append("there are uploads that nobody was told of, beside the one that was sent again")
    wrong += [f"reading {one} was answered and is not there" for one in told.readings if one not in readings]
    for number, reading in told.reviews.items():
        if number not in reviews or reviews[number].reading_id != reading:
            wrong.append(f"opinion {number} was answered and is not there")
    for reading in told.reviewed:
        n = sum(row.reading_id == reading for row in reviews.values())
        if n > 1 or (n == 0 and reading in told.reviews.values()):
            wrong.append(f"reading {reading} has {n} opinions, of one that was given")
    for reading in told.erased:
        sha256 = readings[reading].image_sha256
        if images[sha256].erased_at is None or service.images.exists(sha256):
            wrong.append(f"reading {reading} was erased and its image is there")
    for row in images.values():
        there = service.images.exists(row.sha256)
        if there == (row.erased_at is not None):
            wrong.append(f"image {row.sha256[:12]} is {'kept and erased' if there else 'lost'}")
    wrong += [f"'{path.name}' is no one's" for path in _files(service.folder) if path.name[:64] not in images]
    made = [line["subject"] for line in service.trail.lines(action="reading.made")]
    if len(made) != len(set(made)) or len(made) != len(readings):
        wrong.append(f"the trail says {len(made)} readings were made; there are {len(readings)}")
    end = service.trail.verify()
    for backup in told.backups[-1:]:
        done = run("restore", str(backup))
        if done.returncode:
            wrong.append(f"a backup that was told to be made cannot be restored: {done.stderr}")
    return {
        "wrong": wrong,
        "uploads": len(told.uploads),
        "images_of_uploads": sum(told.uploads.values()),
        "images_sent_to_be_read_at_once": len(told.readings),
        "readings": len(readings),
        "opinions": len(told.reviews),
        "erased": len(told.erased),
        "backups": len(told.backups),
        "deleted_by_retention": sum(row.erased_at is not None for row in images.values()) - len(set(told.erased)),
        "requests": told.requests,
        "commands_that_ended": told.commands,
        "commands_killed": told.commands_killed,
        "trail": f"verified, {end.seq} lines, {end.compared} checkpoints",
    }


def _files(folder: Path) -> list[Path]:
    return [path for kind in ("images", "thumbnails", "heatmaps") for path in (folder / kind).glob("??/*")]
