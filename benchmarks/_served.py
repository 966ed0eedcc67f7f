"""Servers and workers as processes of their own, and films to send them."""

import csv
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import cv2
import numpy as np

from secondread.testing.phantoms import chest_phantom

POSTGRESQL = os.environ.get("SECONDREAD_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
_READY_SECONDS = 60.0
_BOUNDARY = "----secondread-benchmark"


def films(n: int, *, side: int = 400, distinct: int = 40, first: int = 0) -> list[bytes]:
    """PNG films, every one another file: pixels in a corner number them. Real chests where SECONDREAD_DATA is set.

    first: number of the first, for films that were not sent before.
    """
    pictures = _real(side, distinct) or [
        chest_phantom(side, random_state=number, lesion=bool(number % 2)) for number in range(distinct)
    ]
    files = []
    for number in range(first, first + n):
        picture = pictures[number % distinct]
        picture[0, :4] = np.frombuffer(number.to_bytes(4, "little"), np.uint8)
        files.append(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())
    return files


def _real(side: int, n: int) -> list[np.ndarray]:
    """uint8 (side, side), from all over the benchmark data; none where there is no such folder."""
    folder = os.environ.get("SECONDREAD_DATA")
    if not folder:
        return []
    table = Path(folder) / "tuberculosis/manifest.csv"
    with table.open(encoding="utf-8", newline="") as lines:
        paths = [row["path"] for row in csv.DictReader(lines)]
    chosen = paths[:: max(1, len(paths) // n)][:n]
    read = (cv2.imread(str(table.parent / path), cv2.IMREAD_GRAYSCALE) for path in chosen)
    return [cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA) for one in read]


def form(field: str, files: list[tuple[str, bytes]], **more: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a multipart form with these files, as (name, bytes). By hand: clients share the cores."""
    part = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    pieces: list[bytes] = []
    for name, data in files:
        head = f'{part}"{field}"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        pieces += [head.encode(), data, b"\r\n"]
    pieces += [f'{part}"{key}"\r\n\r\n{value}\r\n'.encode() for key, value in more.items()]
    body = b"".join([*pieces, f"--{_BOUNDARY}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


def environment(folder: Path, *, database: str = "", **settings: object) -> dict[str, str]:
    """Of a process that works on this folder and database, with these settings besides."""
    given = {f"SECONDREAD_{name.upper()}": str(value) for name, value in settings.items()}
    here = {"SECONDREAD_DATA_FOLDER": str(folder), "SECONDREAD_DATABASE": database, "SECONDREAD_GATE": "off"}
    return {**os.environ, "OMP_NUM_THREADS": "1", **here, **given}


def start(*arguments: str, env: Mapping[str, str], quiet: bool = False) -> subprocess.Popen[bytes]:
    """`secondread` with these arguments, in a process (and a group) of its own. quiet: its log is not shown."""
    command = [sys.executable, "-m", "secondread.cli", *arguments]
    log = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(command, env=dict(env), stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)


def wait_until_ready(address: str) -> None:
    """Return when it answers. Raises TimeoutError."""
    place = urlsplit(address)
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection(place.netloc, timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise TimeoutError(f"nothing answers at {address}")


def free_port() -> int:
    """A port that was free a moment ago; the server that is killed comes back on it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def empty_database(kind: str) -> Iterator[str]:
    """The URL of a new PostgreSQL database, dropped afterwards; '' for SQLite."""
    if kind == "sqlite":
        yield ""
        return
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    server = make_url(POSTGRESQL)
    name = f"secondread_bench_{uuid4().hex[:12]}"
    engine = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        engine.dispose()
