"""The real server behind a real nginx with the file that is shipped: TLS, the browser's address, requests as large."""

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from secondread.service import Actor, Service
from secondread.testing.phantoms import chest_phantom, encode
from tests.deploy.checks import DEPLOY
from tests.deploy.fronts import BROWSER, NAME, PROGRAM, Front, free_port, nginx_before
from tests.web.conftest import multipart

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")


@dataclass(frozen=True)
class Room(Front):
    """Where nginx listens, the service's data folder, and a token for it."""

    folder: Path
    token: str


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """nginx with deploy/proxy/nginx.conf, on free ports, before `secondread serve` with deploy/secondread.toml."""
    folder = tmp_path_factory.mktemp("front")
    service = Service.open({"DATA_FOLDER": str(folder / "data")})
    service.accounts.add("anna", role="administrator", password="a long password", actor=Actor("test"))
    token, _ = service.tokens.add("anna", name="test", scopes=["read", "write"], actor=Actor("test"))
    service.close()
    inner = free_port()
    environment = {**os.environ, "SECONDREAD_CONFIG": str(DEPLOY / "secondread.toml"), "SECONDREAD_GATE": "off"}
    environment["SECONDREAD_DATA_FOLDER"] = str(folder / "data")
    serve = [sys.executable, "-m", "secondread.cli", "serve", "--port", str(inner)]
    before, nginx = nginx_before(folder, [inner])
    processes = [subprocess.Popen(serve, env=environment, stdout=subprocess.DEVNULL), subprocess.Popen(nginx)]
    try:
        found = Room(before.port, folder / "data", token)
        found.wait()
        yield found
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=20)


def test_it_answers_over_tls_and_asks_browsers_to_stay_there(front: Room) -> None:
    status, headers, body = front.ask("GET", "/healthz")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    assert headers["Strict-Transport-Security"].startswith("max-age=")


def test_nobody_is_let_in_as_if_they_sat_at_the_server(front: Room) -> None:
    """The server listens on the loopback address, and so does nginx: that must not count as being there."""
    status, _, _ = front.ask("GET", "/api/v1/tasks", Accept="application/json")
    assert status == 401


def test_the_address_in_the_trail_is_the_browsers_and_not_what_it_claims(front: Room) -> None:
    film = ("film.png", encode(chest_phantom(64, random_state=0), "PNG"))
    body, content_type = multipart(film, task="tuberculosis")
    claims = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    login = {"Authorization": f"Bearer {front.token}", "Content-Type": content_type}
    assert front.ask("POST", "/api/v1/readings", body, **login, **claims)[0] == 200
    service = Service.open({"DATA_FOLDER": str(front.folder)}, upgrade=False)
    addresses = {line["address"] for line in service.trail.lines(actor="anna")}
    service.close()
    assert addresses == {BROWSER}


def test_a_body_without_login_is_refused_before_it_is_sent(front: Room) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    head = f"POST /api/v1/readings HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 300000000\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=20) as plain,
        context.wrap_socket(plain) as connection,
    ):
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_metrics_are_for_the_machine_itself(front: Room) -> None:
    assert front.ask("GET", "/metrics")[0] == 403


def test_a_name_that_is_not_the_servers_is_refused(front: Room) -> None:
    assert front.ask("GET", "/api/v1/readings", Host="evil.example")[0] in (401, 421)
