"""A reserved way for who asks after the server: never behind readings, accounts, sessions or the database."""

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

from apiflask import APIFlask
from waitress.task import Task

from secondread.web import health
from secondread.web.problems import problem_body
from secondread.web.security import HEADERS

ALIVE, READY = "/healthz", "/readyz"
_JSON, _PROBLEM = "application/json", "application/problem+json"
_READY_SECONDS = 2.5  # after which the answer is no
_KEPT_SECONDS = 1.0  # that an answer holds for whoever asks next


def is_of_health(request: Any) -> bool:
    """Whether the server itself answers it. Other methods are the application's to refuse."""
    return request.path in (ALIVE, READY) and request.command in ("GET", "HEAD")


class Health:
    """What is answered: at once whether the server lives, in two and a half seconds at most whether it can work."""

    def __init__(self, app: APIFlask):
        self._app = app
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="readiness")
        self._found: Future[tuple[int, dict[str, Any]]] | None = None
        self._asked_at = 0.0

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        return (200, health.alive()) if path == ALIVE else self._ready()

    def close(self) -> None:
        """End the thread that checks, when it has done so."""
        self._checking.shutdown(wait=False, cancel_futures=True)

    def _ready(self) -> tuple[int, dict[str, Any]]:
        """One check at a time, for all who ask meanwhile; one that hangs is not waited for."""
        now = time.monotonic()
        if self._found is None or (self._found.done() and now - self._asked_at > _KEPT_SECONDS):
            self._found, self._asked_at = self._checking.submit(health.readiness, self._app), now
        left = max(0.0, self._asked_at + _READY_SECONDS - now)
        try:
            return self._found.result(timeout=left)
        except TookTooLong:
            sentence = f"the database or the data folder did not answer in {_READY_SECONDS:g} s"
            return 503, problem_body(503, sentence, code="database_away")


class HealthTask(Task):
    """Answers without the application; the connection stays open."""

    complete = True

    def execute(self) -> None:
        """Write status, headers and body."""
        status, found = self.channel.server.health.answer(self.request.path)
        body = json.dumps(found).encode()
        self.status = "200 OK" if status == 200 else "503 Service Unavailable"
        media_type = _JSON if status == 200 else _PROBLEM
        self.response_headers.extend({**HEADERS, "Content-Type": media_type, "Cache-Control": "no-store"}.items())
        self.content_length = len(body)
        self.write(b"" if self.request.command == "HEAD" else body)
