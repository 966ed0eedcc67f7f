"""At the door: what a request with a body is told before its body is taken in."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import Headers

from secondread.client import Client, Refused
from secondread.service import Actor
from secondread.testing.phantoms import chest_phantom, encode
from tests.web.conftest import multipart
from tests.web.serving import IN_TIME, Here, account, answer_on, is_closed, serving

POST = b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
LARGE = b"Content-Length: 90000000\r\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("door"), LOGIN="on", MAX_BODY_MB=100) as found:
        yield found


@pytest.fixture(scope="module")
def writer(here: Here) -> bytes:
    return b"Authorization: Bearer " + account(here, "anna", "administrator", "read", "write").encode() + b"\r\n"


@pytest.mark.parametrize("body", [LARGE, b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize(
    "credentials", [b"", b"Authorization: Bearer sr_unknown\r\n", b"Cookie: secondread=eyJ1c2VyIjoxfQ.x.y\r\n"]
)
def test_without_credentials_no_byte_of_a_body_is_taken(here: Here, body: bytes, credentials: bytes) -> None:
    with here.connect() as connection:
        connection.sendall(POST + body + credentials + b"\r\n")
        status, head, told = answer_on(connection)
        assert status == 401
        assert b"application/problem+json" in head
        assert b"www-authenticate: bearer" in head.lower()
        assert json.loads(told)["code"] == "login_refused"
        assert is_closed(connection)


def test_nothing_of_a_refused_body_reaches_the_disk(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def spooled(*_: Any, **__: Any) -> None:
        raise AssertionError("a body was spooled")

    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.__init__", spooled)
    with here.connect() as connection:
        connection.sendall(POST + LARGE + b"\r\n" + b"x" * 2_000_000)
        assert answer_on(connection)[0] == 401


def test_continue_is_said_once_it_is_let_in(here: Here, writer: bytes) -> None:
    expecting = POST + LARGE + b"Expect: 100-continue\r\n"
    with here.connect() as connection:
        connection.sendall(expecting + writer + b"\r\n")
        assert answer_on(connection)[0] == 100
    with here.connect() as connection:
        connection.sendall(expecting + b"\r\n")
        assert answer_on(connection)[0] == 401


def test_continue_without_a_body_does_not_wait_for_one(here: Here) -> None:
    status, _, _ = here.ask(b"GET /login HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n")
    assert status == 200


def test_a_body_that_comes_with_its_header_is_read_whole(here: Here, writer: bytes) -> None:
    body, content_type = multipart(("a.png", encode(chest_phantom(64, random_state=0), "PNG")), task="tuberculosis")
    headers = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n".encode()
    request = b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\n" + headers + writer + b"\r\n" + body
    status, _, told = here.ask(request)
    assert (status, len(json.loads(told)["readings"])) == (200, 1)


def test_requests_in_one_packet_are_answered_in_their_order(here: Here, writer: bytes) -> None:
    refused = b"POST /api/v1/batches HTTP/1.1\r\nHost: localhost\r\n" + LARGE + b"\r\n"
    with here.connect() as connection:
        connection.sendall(b"GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\n\r\n" + refused)
        found = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"401"]


def test_who_may_not_write_is_told_so_before_the_body(here: Here) -> None:
    reader = account(here, "berta", "reader", "read").encode()
    status, _, told = here.ask(POST + LARGE + b"Authorization: Bearer " + reader + b"\r\n\r\n")
    assert (status, json.loads(told)["code"]) == (403, "not_allowed")


def test_a_body_beyond_the_limit_is_refused_at_its_header(here: Here, writer: bytes) -> None:
    status, _, told = here.ask(POST + b"Content-Length: 100000001\r\n" + writer + b"\r\n")
    assert (status, json.loads(told)["code"]) == (413, "body_too_large")
    assert "100 MB" in json.loads(told)["detail"]


def test_a_page_of_another_site_sends_no_body(here: Here, writer: bytes) -> None:
    status, _, told = here.ask(POST + LARGE + writer + b"Origin: https://evil.example\r\n\r\n")
    assert (status, json.loads(told)["code"]) == (403, "cross_origin")


def test_what_everybody_may_send_is_small(here: Here) -> None:
    head = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    status, _, told = here.ask(head + b"Content-Length: 64001\r\n\r\n")
    assert (status, json.loads(told)["code"]) == (413, "body_too_large")
    status, _, told = here.ask(head + b"Transfer-Encoding: chunked\r\n\r\n")
    assert status == 413
    body = json.dumps({"name": "nobody", "password": "wrong"}).encode()
    assert here.ask(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)[0] == 401


def test_the_form_of_a_page_whose_session_has_ended_leads_to_the_login(here: Here) -> None:
    head = b"POST /logout HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nContent-Length: 1\r\n\r\nx"
    assert here.ask(head)[0] in (302, 303, 403)


def test_on_this_machine_without_login_a_body_is_taken(tmp_path: Path) -> None:
    with serving(tmp_path, LOGIN="off") as alone, alone.connect() as connection:
        connection.sendall(POST + LARGE + b"Expect: 100-continue\r\n\r\n")
        assert answer_on(connection)[0] == 100


def test_bodies_have_room_for_so_much_in_all(tmp_path: Path) -> None:
    with serving(tmp_path, LOGIN="off", MAX_WAITING_MB=150) as alone, ExitStack() as stack:
        first, second = (stack.enter_context(alone.connect()) for _ in range(2))
        first.sendall(POST + LARGE + b"Expect: 100-continue\r\n\r\n")
        assert answer_on(first)[0] == 100
        second.sendall(POST + LARGE + b"Expect: 100-continue\r\n\r\n")
        status, head, _ = answer_on(second)
        assert status == 503
        assert b"Retry-After: " in head


def test_a_door_that_waits_for_the_database_holds_nobody_else_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = threading.Event()
    monkeypatch.setattr("secondread.web.auth.identity", lambda: unlocked.wait(IN_TIME) and None)
    with serving(tmp_path, LOGIN="on") as alone, alone.connect() as waits:
        waits.sendall(POST + LARGE + b"\r\n")
        assert alone.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200
        unlocked.set()
        assert answer_on(waits)[0] == 401


def test_the_client_says_why_a_large_upload_was_refused(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondread.client._FIRST_PAUSE", 0.01)
    room = Client(f"http://127.0.0.1:{here.port}", token="sr_unknown")
    with pytest.raises(Refused) as told:
        room.read(("film.png", b"x" * 30_000_000), task="tuberculosis")
    assert told.value.status == 401


def test_who_sends_on_after_a_refusal_is_not_cut_at_once(here: Here) -> None:
    with here.connect() as connection:  # as a proxy does, which would say 502 after a write that failed
        connection.sendall(POST + LARGE + b"\r\n")
        assert answer_on(connection)[0] == 401
        for _ in range(300):
            connection.sendall(b"x" * 100_000)
        here.later(4)
        assert is_closed(connection)


def test_headers_of_refusals_are_set_once(here: Here) -> None:
    _, head, _ = here.ask(POST + LARGE + b"\r\n")
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    assert len(names) == len(set(names))
    assert Headers([(name.decode(), "") for name in names]).get("content-length") is not None


def of_film(writer: bytes, number: int, more: bytes = b"") -> bytes:
    body, content_type = multipart(
        (f"{number}.png", encode(chest_phantom(64, random_state=0), "PNG")), source="x" * number
    )
    headers = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n".encode()
    return b"POST /api/v1/readings HTTP/1.1\r\nHost: localhost\r\n" + headers + writer + more + b"\r\n" + body


@pytest.fixture
def asked(here: Here, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that the door was asked about; what it said within the last minute counts."""
    found: list[str] = []
    refuses = here.server.door.refuses

    def noting(channel: Any, request: Any) -> Any:
        found.append(request.path)
        return refuses(channel, request)

    monkeypatch.setattr(here.server.door, "refuses", noting)
    monkeypatch.setattr("secondread.web.serving.door._BELIEVED_SECONDS", 60.0)
    return found


def test_one_film_after_the_other_is_asked_about_once(here: Here, asked: list[str]) -> None:
    writer = b"Authorization: Bearer " + account(here, "carla", "reader", "read", "write").encode() + b"\r\n"
    for number in range(3):
        assert here.ask(of_film(writer, number, f"Idempotency-Key: {number}\r\n".encode()))[0] in (200, 422)
    assert asked == ["/api/v1/readings"]
    here.ask(of_film(writer, 4, b"Origin: http://localhost\r\n"))  # another header is another question
    assert len(asked) == 2


def test_what_was_let_in_is_asked_for_by_the_application_all_the_same(here: Here, asked: list[str]) -> None:
    writer = b"Authorization: Bearer " + account(here, "dora", "reader", "read", "write").encode() + b"\r\n"
    assert here.ask(of_film(writer, 1))[0] in (200, 422)
    here.service.accounts.disable("dora", actor=Actor("test"))
    status, _, told = here.ask(of_film(writer, 2))
    assert (status, json.loads(told)["code"]) == (401, "login_refused")
    assert len(asked) == 1


def test_who_was_refused_is_asked_about_every_time(here: Here, asked: list[str]) -> None:
    for _ in range(2):
        assert here.ask(of_film(b"Authorization: Bearer sr_unknown\r\n", 1))[0] == 401
    assert len(asked) == 2


def test_a_second_later_the_door_asks_again(here: Here, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondread.web.serving.door._BELIEVED_SECONDS", -1.0)
    writer = b"Authorization: Bearer " + account(here, "erna", "reader", "read", "write").encode() + b"\r\n"
    for number in range(2):
        assert here.ask(of_film(writer, number))[0] in (200, 422)
    assert len(asked) == 2
