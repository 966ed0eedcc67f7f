"""The server: where it listens, and that its own refusals have the shape of all others."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest

from secondread.errors import UsageError
from secondread.web import create_app, open_server
from tests.web.conftest import Server


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "reading-room.example"])
def test_others_are_let_in_only_once_there_is_an_administrator(host: str) -> None:
    with pytest.raises(UsageError, match="secondread user add"):
        open_server(create_app(), host=host, port=0)


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="is in use"):
            open_server(create_app(), port=taken.getsockname()[1])


def test_a_request_far_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    line, headers, body = speak(
        server, b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\n\r\n"
    )
    assert b" 413 " in line
    assert b"application/problem+json" in headers
    assert json.loads(body)["status"] == 413


def test_a_broken_request_is_refused_in_the_same_shape(server: Server) -> None:
    line, headers, body = speak(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n")
    assert b" 400 " in line
    assert b"application/problem+json" in headers
    assert json.loads(body)["status"] == 400


def test_it_answers_while_running(server: Server) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=10)
    connection.request("GET", "/healthz")
    assert json.load(connection.getresponse())["status"] == "ok"
    connection.close()


def speak(server: Server, request: bytes) -> tuple[bytes, bytes, bytes]:
    """Status line, headers and body of the answer to raw bytes."""
    place = urlsplit(server.address)
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=10) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    line, _, headers = head.partition(b"\r\n")
    return line, headers, body
