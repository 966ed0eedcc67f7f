"""What attacks a server, what watches it meanwhile, and huge images in few bytes."""

import http.client
import multiprocessing
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydicom.uid import RLELossless

from secondread.testing.phantoms import chest_phantom, dicom_bytes

HALF = b"GET /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


class Probe:
    """Asks one address again and again, on a new connection each time, and keeps how long each answer took.

    In a process of its own: among the attackers' threads it would wait for them, not for the server.
    """

    def __init__(self, port: int, path: str, *, every: float = 0.05, source: str = "127.0.0.1", **headers: str):
        context = multiprocessing.get_context("spawn")
        self._stop, self._ready, self._told = context.Event(), context.Event(), context.Queue()
        place = (port, path, every, source, headers)
        self._process = context.Process(target=_ask, args=(place, self._stop, self._ready, self._told), daemon=True)
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()

    def __enter__(self) -> "Probe":
        self._process.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.seconds, self.statuses = self._told.get()
        self._process.join()

    def table(self) -> dict[str, Any]:
        """For the result."""
        found = sorted(self.seconds) or [float("nan")]
        return {
            "asked": len(self.seconds),
            "statuses": dict(self.statuses),
            "median_ms": round(1000 * found[len(found) // 2], 1),
            "max_ms": round(1000 * found[-1], 1),
        }


def _ask(place: tuple[int, str, float, str, dict[str, str]], stop: Any, ready: Any, told: Any) -> None:
    port, path, every, source, headers = place
    seconds: list[float] = []
    statuses: Counter[str] = Counter()
    ready.set()
    while not stop.wait(every):
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            statuses[str(answer.status)] += 1
        except (OSError, http.client.HTTPException) as error:
            statuses[type(error).__name__] += 1
        finally:
            connection.close()
        seconds.append(time.perf_counter() - began)
    told.put((seconds, statuses))


class Watch:
    """The most memory of a server's processes together, and the most that their temporary files held."""

    def __init__(self, pid: int):
        self._pid = pid
        self.memory = self.spooled = 0  # bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            pids = [self._pid, *children(self._pid)]
            self.memory = max(self.memory, sum(map(_resident, pids)))
            self.spooled = max(self.spooled, sum(map(_in_nameless_files, pids)))


def children(pid: int) -> list[int]:
    """Processes that this one started."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except OSError:
        return []
    return [int(child) for child in found.split()]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _in_nameless_files(pid: int) -> int:
    """Bytes in files that are open and have no name: what waitress and Flask spool to."""
    n = 0
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = entry.readlink()
                if "(deleted)" in str(target) and not str(target).startswith("/dev"):
                    n += entry.stat().st_size
            except OSError:
                continue
    except OSError:
        return n
    return n


@contextmanager
def dripping(port: int, n: int, addresses: list[str], *, every: float = 0.5) -> Iterator[Counter[str]]:
    """So many connections that send a header byte by byte, and come again when cut; counts what befell them."""
    befell: Counter[str] = Counter()
    stop = threading.Event()

    def run() -> None:
        open_: list[socket.socket | None] = [None] * n
        while not stop.is_set():
            for number in range(n):
                open_[number] = _drip(port, open_[number], addresses[number % len(addresses)], befell)
            stop.wait(every)
        for one in open_:
            if one is not None:
                one.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield befell
    finally:
        stop.set()
        thread.join()


def _drip(port: int, one: socket.socket | None, address: str, befell: Counter[str]) -> socket.socket | None:
    try:
        if one is None:
            one = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(address, 0))
            befell["opened"] += 1
            one.sendall(HALF)
        else:
            one.sendall(b"x")
            one.setblocking(False)
            if one.recv(4096) == b"":
                raise ConnectionError
    except BlockingIOError:
        return one
    except OSError:
        befell["cut"] += 1
        if one is not None:
            one.close()
        return None
    return one


def send_until_refused(port: int, size: int) -> tuple[int, int]:
    """(status, bytes that the server took) of a body of that size without credentials. 0: no answer came."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        sent, part = 0, b"\0" * 65536
        try:
            while sent < size:
                sent += connection.send(part)
        except OSError:
            pass  # as it should
        try:
            answer = connection.recv(65536)
        except OSError:
            answer = b""
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1") else 0, sent


def at_once(n: int, act: Callable[[int], Any]) -> list[Any]:
    """What each of so many threads gives, all at the same time."""
    found: list[Any] = [None] * n

    def run(number: int) -> None:
        found[number] = act(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def huge_images(n: int, side: int = 8000) -> list[tuple[str, bytes]]:
    """So many files of 64 megapixels, RLE DICOM and PNG in turn, no two alike."""
    small = chest_phantom(250, random_state=0)
    film = cv2.resize(small, (side, side), interpolation=cv2.INTER_NEAREST)  # runs of 32: they pack well
    files = []
    for number in range(n):
        film[:4, :4] = number
        if number % 2:
            files.append((f"{number}.png", cv2.imencode(".png", film, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()))
        else:
            files.append((f"{number}.dcm", dicom_bytes(film, syntax=RLELossless, codestreams=[_rle(film)])))
    return files


def _rle(film: np.ndarray) -> bytes:
    """One frame of 8 bits (DICOM PS3.5 annex G): one segment, every row by itself, runs alone."""
    packed = b"".join(map(cache(_runs), map(np.ndarray.tobytes, film)))  # most rows are as the one before
    return struct.pack("<16I", 1, 64, *[0] * 14) + packed + b"\0" * (len(packed) % 2)


def _runs(pixels: bytes) -> bytes:
    row = np.frombuffer(pixels, np.uint8)
    edges = np.flatnonzero(np.diff(row)) + 1
    found = bytearray()
    for part in np.split(row, edges):
        for first in range(0, len(part), 128):
            length = min(128, len(part) - first)
            found += bytes([(257 - length) & 0xFF if length > 1 else 0, part[0]])
    return bytes(found)
