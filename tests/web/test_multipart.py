"""Forms that are cut in one go say what Werkzeug's parser says they do; what is not plain is left to it."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from secondread.web.multipart import FormParser

B = "----secondread-7"
FIELD = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}'
FILE = 'Content-Disposition: form-data; name="image"; filename="{}"\r\nContent-Type: image/png\r\n\r\n{}'


def form(*parts: str, boundary: str = B, end: str = "--\r\n") -> bytes:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts).encode("latin-1") + f"--{boundary}{end}".encode()


def said(kind: type[FormDataParser], body: bytes, boundary: str = B, **bounds: Any) -> Any:
    """What a parser makes of a body: fields, and files with all that is told of them; or its error."""
    parser = kind(stream_factory=lambda **_: io.BytesIO(), **bounds)
    try:
        _, fields, files = parser.parse(io.BytesIO(body), "multipart/form-data", len(body), {"boundary": boundary})
    except RequestEntityTooLarge as error:
        return type(error)
    told = [
        (name, file.filename, file.name, list(file.headers), file.content_type, file.stream.read())
        for name, file in files.items(multi=True)
    ]
    return list(fields.items(multi=True)), told


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each form that was parsed, whether it was cut in one go."""
    found: list[bool] = []
    cut: Callable[..., Any] = FormParser._at_once

    def noting(self: FormParser, body: bytes, boundary: bytes) -> Any:
        parts = cut(self, body, boundary)
        found.append(parts is not None)
        return parts

    monkeypatch.setattr(FormParser, "_at_once", noting)
    return found


PLAIN = {
    "a file and fields": form(FILE.format("a.png", "\x89PNG\r\n\x1a\n\0\xff"), FIELD.format("task", "auto")),
    "several files of one name": form(FILE.format("a.png", "1"), FILE.format("b (2).png", "2")),
    "no file name": form(FILE.format("", "")),
    "an empty field": form(FIELD.format("source", "")),
    "text that is UTF-8": form(FIELD.format("source", "Spital Süd".encode().decode("latin-1"))),
    "text that is none": form(FIELD.format("source", "\xff\xfe")),
    "blank lines inside": form(FILE.format("a.png", "\r\n\r\nx\r\n\r\n")),
    "hyphens inside": form(FILE.format("a.png", "\r\n--\r\n----secondread")),
    "no line behind the end": form(FIELD.format("task", "auto"), end="--"),
    "a file of no stated type": form('Content-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nx'),
}
ODD = {
    "nothing": b"",
    "no parts": form(),
    "a preamble": b"hello\r\n" + form(FIELD.format("task", "auto")),
    "an epilogue": form(FIELD.format("task", "auto")) + b"more",
    "no end": form(FIELD.format("task", "auto"))[:-6],
    "lines that end with LF": form(FIELD.format("task", "auto")).replace(b"\r\n", b"\n"),
    "space behind the boundary": form(FIELD.format("task", "auto")).replace(B.encode() + b"\r", B.encode() + b" \r"),
    "the boundary inside a file": form(FILE.format("a.png", f"x--{B}y")),
    "a boundary behind LF": form(FILE.format("a.png", f"x\n--{B}\n" + FIELD.format("task", "auto"))),
    "quotes escaped": form(FILE.format('a\\"b.png', "x")),
    "percent": form(FILE.format("a%22b.png", "x")),
    "a name of another alphabet": form(FILE.format("München.png".encode().decode("latin-1"), "x")),
    "an extended name": form("Content-Disposition: form-data; name=\"a\"; filename*=UTF-8''b.png\r\n\r\nx"),
    "an unquoted name": form("Content-Disposition: form-data; name=task\r\n\r\nauto"),
    "another order": form('Content-Disposition: form-data; filename="a.png"; name="image"\r\n\r\nx'),
    "other letters": form('content-disposition: form-data; name="task"\r\n\r\nauto'),
    "a charset": form('Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=latin-1\r\n\r\nx'),
    "one more header": form('Content-Disposition: form-data; name="a"; filename="b"\r\nX-Y: z\r\n\r\nx'),
    "no header": form("\r\nx"),
    "no blank line": form('Content-Disposition: form-data; name="a"'),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_form_is_cut_in_one_go_and_says_the_same(name: str, at_once: list[bool]) -> None:
    assert said(FormParser, PLAIN[name]) == said(FormDataParser, PLAIN[name])
    assert at_once == [True]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_form_is_left_to_werkzeug(name: str, at_once: list[bool]) -> None:
    assert said(FormParser, ODD[name]) == said(FormDataParser, ODD[name])
    assert at_once == [False]


@pytest.mark.parametrize("seed", range(200))
def test_whatever_is_changed_in_a_form_both_say_the_same(seed: int) -> None:
    """Bytes are put in, taken out and exchanged, most of them such as mean something in a form."""
    rng = np.random.default_rng(seed)
    body = bytearray([*PLAIN.values()][seed % len(PLAIN)])
    for _ in range(rng.integers(1, 4)):
        at, piece = int(rng.integers(len(body))), rng.choice([b"\r\n", b"\n", b"--", b'"', b";", b":", b" ", b"\0", B])
        body[at : at + int(rng.integers(0, 3))] = piece.encode() if isinstance(piece, str) else bytes(piece)
    assert said(FormParser, bytes(body)) == said(FormDataParser, bytes(body))


def test_the_bounds_hold_in_both(at_once: list[bool]) -> None:
    body = form(*(FIELD.format(f"f{number}", "x" * 100) for number in range(5)))
    for bounds in ({"max_form_parts": 4}, {"max_form_memory_size": 90}, {"max_form_memory_size": 400}):
        assert said(FormParser, body, **bounds) == said(FormDataParser, body, **bounds)
    assert not any(at_once)
    large = form(FILE.format("a.png", "x" * 600_000))
    assert said(FormParser, large) == said(FormDataParser, large)
    assert not any(at_once)
