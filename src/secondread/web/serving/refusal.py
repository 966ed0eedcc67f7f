"""What the server itself refuses, before the application is asked: in the shape of all other refusals."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Response
from waitress.task import ErrorTask

from secondread.web.problems import MEDIA_TYPE, problem_body

_HEADERS = (("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
_BUSY_SECONDS = 5  # until it is worth asking again


@dataclass(frozen=True)
class Refusal:
    """An answer that closes the connection. Has what waitress asks of an error: `to_response`."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = field(default=_HEADERS)

    def to_response(self, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status line, headers and body."""
        return f"{self.status} {HTTPStatus(self.status).phrase}", list(self.headers), self.body

    def raw(self) -> bytes:
        """The whole answer, for a connection that is not read from at all."""
        line, headers, body = self.to_response()
        head = [f"HTTP/1.1 {line}", *(f"{name}: {value}" for name, value in headers)]
        head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        return "\r\n".join(head).encode("latin-1") + body


def refusal(status: int, detail: str, *, code: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Refusal:
    """One with a sentence that says what is wrong and what to do."""
    return Refusal(status, json.dumps(problem_body(status, detail, code=code)).encode(), (*_HEADERS, *headers))


def refusal_of(answer: Response) -> Refusal:
    """What the application would have answered with."""
    kept = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    return Refusal(answer.status_code, answer.get_data(), tuple({**dict(_HEADERS), **kept}.items()))


def busy(detail: str) -> Refusal:
    """503, and when to ask again."""
    return refusal(503, detail, code="busy", headers=(("Retry-After", str(_BUSY_SECONDS)),))


def too_many(detail: str) -> Refusal:
    """429: it is the one who asks that asks too much. And when to ask again."""
    return refusal(429, detail, code="too_many_requests", headers=(("Retry-After", str(_BUSY_SECONDS)),))


def too_large(megabytes: int) -> Refusal:
    """413: the stated length, or what came in pieces, is beyond the setting `max_body_mb`."""
    return refusal(413, f"a request holds at most {megabytes} MB; send fewer files at once", code="body_too_large")


class RefusalTask(ErrorTask):
    """Answers with a Refusal; waitress's own errors (a broken request) are brought into its shape."""

    def execute(self) -> None:
        """Answer and close."""
        error: Any = self.request.error
        if not isinstance(error, Refusal):
            error = self.channel.server.told(error.code, str(error.body))
        self.request.error = error
        super().execute()
