"""What two servers could read differently: refused, and nothing after it is taken for a request."""

import json
import re
from collections.abc import Iterator

import pytest
from waitress.buffers import OverflowableBuffer

from secondread.web.serving.framing import Chunks
from tests.web.serving import Here, answer_on, is_closed, serving

HOST = b"Host: localhost\r\n"
HIDDEN = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("framing"), LOGIN="off") as found:
        yield found


@pytest.mark.parametrize(
    ("first", "fields"),
    [
        (b"POST /api/v1/readings HTTP/1.1", b"Content-Length: 5\r\n" + CHUNKED),
        (b"POST /api/v1/readings HTTP/1.1", CHUNKED + b"content-length : 5\r\n"),
        (b"POST /api/v1/readings HTTP/1.1", CHUNKED + CHUNKED),
        (b"POST /api/v1/readings HTTP/1.1", b"Transfer-Encoding: chunked, chunked\r\n"),
        (b"POST /api/v1/readings HTTP/1.1", b"Transfer-Encoding: chunked\r\n , chunked\r\n"),
        (b"POST /api/v1/readings HTTP/1.0", b"Connection: keep-alive\r\n" + CHUNKED),
        (b"POST /api/v1/readings HTTP/1.1", b"Content-Length: 0\r\nContent-Length: 0\r\n"),
        (b"POST /api/v1/readings HTTP/1.1", b"Content-Length: " + b"9" * 5000 + b"\r\n"),
        (b"GET /healthz HTTP/1.1", b"Host: other.example\r\n"),
        (b"GET /healthz HTTP/9.9", b""),
        (b"GET /healthz", b""),
        (b"GET http://[::1/healthz HTTP/1.1", b""),
    ],
)
def test_what_leaves_open_where_a_request_ends_is_refused(here: Here, first: bytes, fields: bytes) -> None:
    with here.connect() as connection:
        connection.sendall(first + b"\r\n" + HOST + fields + b"\r\n0\r\n\r\n" + HIDDEN)
        found = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1\.[01] (\d+)", found) == [b"400"]
    assert json.loads(found.partition(b"\r\n\r\n")[2])["code"] == "bad_request"


def test_a_folded_field_is_refused(here: Here) -> None:
    assert here.ask(b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Name: a\r\n b\r\n\r\n")[0] == 400


def test_a_line_before_a_chunk_does_not_grow_in_memory(here: Here) -> None:
    with here.connect() as connection:
        connection.sendall(b"POST /api/v1/readings HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n1;" + b"a" * 20_000)
        status, _, told = answer_on(connection)
        assert (status, "before a chunk" in json.loads(told)["detail"]) == (400, True)
        assert is_closed(connection)


def test_a_trailer_does_not_grow_in_memory() -> None:
    chunks = Chunks(OverflowableBuffer(1000))
    for _ in range(2):
        chunks.received(b"1\r\na\r\n0\r\n" + b"X-Name: a\r\n" * 1000)
    assert "trailer" in str(chunks.error.body)


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_chunks_are_put_together(cut: int) -> None:
    chunks = Chunks(OverflowableBuffer(1000))
    sent = b"5;name=value\r\nabcde\r\n2\r\nfg\r\n0\r\nX-Name: a\r\n\r\n"
    for start in range(0, len(sent), cut):
        chunks.received(sent[start : start + cut])
    assert (chunks.completed, chunks.error, chunks.getfile().read()) == (True, None, b"abcdefg")
