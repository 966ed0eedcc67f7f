"""The real server in this process, on a free port, with a clock that a test sets; and raw requests to it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from secondread.service import Actor
from secondread.web import create_app
from secondread.web.serving.listen import listen
from secondread.web.serving.server import Server

IN_TIME = 30.0  # seconds for what takes none


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Here:
    """A server, its clock and its application."""

    def __init__(self, app: Any, server: Server, clock: Clock):
        self.app, self.server, self.clock = app, server, clock
        self.port = int(server.effective_port)

    @property
    def service(self) -> Any:
        """What the application keeps."""
        return self.app.extensions["secondread.service"]

    def later(self, seconds: float) -> None:
        """So much later, when the loop has looked at every connection twice: what each is at, then for how long."""
        for step in (0.0, 1.0, seconds - 1.0, 1.0):
            self.clock.now += step
            turned = threading.Event()
            self.server.soon(turned.set)
            assert turned.wait(IN_TIME)
            looked = threading.Event()  # the look comes after what is to be done soon
            self.server.soon(looked.set)
            assert looked.wait(IN_TIME)

    def until(self, true: Callable[[], bool]) -> None:
        """Let the loop turn until it is so."""
        deadline = time.monotonic() + IN_TIME
        while not true():
            assert time.monotonic() < deadline, "it did not happen in time"
            self.later(1)

    def connect(self, *, address: str = "127.0.0.1") -> socket.socket:
        """A connection, from an address of this machine."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=IN_TIME, source_address=(address, 0))

    def ask(self, raw: bytes, *, address: str = "127.0.0.1") -> tuple[int, bytes, bytes]:
        """Status, headers and body of the answer to raw bytes, on a connection that is closed then."""
        with self.connect(address=address) as connection:
            connection.sendall(raw)
            return answer_on(connection)

    def n_open(self) -> int:
        """Connections that are open now."""
        return len(self.server.active_channels)


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[Here]:
    """A server with these settings, by key."""
    app = create_app({"GATE": "off", "DATA_FOLDER": str(folder / "data"), "DATABASE": "", **settings})
    clock = Clock()
    server = Server(app, listen("127.0.0.1", 0), clock=clock)
    loop = threading.Thread(target=server.run)
    loop.start()
    try:
        yield Here(app, server, clock)
    finally:
        clock.now += 1000  # nothing is waited for at the end
        server.stop()
        loop.join(IN_TIME)
        server.close()
        app.extensions["secondread.service"].close()


def answer_on(connection: socket.socket) -> tuple[int, bytes, bytes]:
    """Status, headers and body of one answer; (0, …) where the connection was closed without one."""
    found = b""
    while b"\r\n\r\n" not in found:
        more = connection.recv(65536)
        if not more:
            return 0, found, b""
        found += more
    head, _, body = found.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split(b" ")[1]), head, body


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has closed it; waits for that as long as a test may."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def account(here: Here, name: str, role: str, *scopes: str) -> str:
    """A new account's token."""
    actor = Actor("test")
    here.service.accounts.add(name, role=role, password="a long password 42", actor=actor)
    return str(here.service.tokens.add(name, name="test", scopes=scopes, actor=actor)[0])
