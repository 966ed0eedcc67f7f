"""At the door: whether a request that brings a body may come in, decided by its header alone."""

import time
from collections.abc import Hashable
from io import BytesIO
from typing import Any

from apiflask import APIFlask
from flask import Response, g, request
from waitress.task import WSGITask

from secondread.errors import LoginRefused, NotAllowed, SecondReadError
from secondread.service.database import Patience, wait_at_most
from secondread.web import auth, security
from secondread.web.app import behind_proxies
from secondread.web.problems import problem, problem_of
from secondread.web.serving.refusal import Refusal, refusal_of

_SMALL = 64_000  # bytes of a form: a name and a password, or a note whose writer's session has ended meanwhile
_PATIENCE = Patience(lock=2, statement=2)  # seconds for the database
_BELIEVED_SECONDS = 1.0  # that who was let in is let in again unasked
_MOST_KNOWN = 1024
_OF_ONE_REQUEST = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "IDEMPOTENCY_KEY"})  # fields that decide nothing here


class Door:
    """Looks at headers as the application would, and again does when the body is there: this saves taking it in."""

    def __init__(self, app: APIFlask):
        self._app = app
        self._look = behind_proxies(app, self._answer)
        self._let_in: dict[Hashable, tuple[float, str]] = {}  # as it asked → when, and its account

    def has_just_let_in(self, channel: Any, asked: Any) -> bool:
        """Whether a request of the same header came in within the last second: then this one may, and nobody is asked.

        One whose account was disabled meanwhile sends its body in vain: the application asks every time.
        """
        at, account = self._let_in.get(_header_of(channel, asked), (float("-inf"), ""))
        if time.monotonic() - at > _BELIEVED_SECONDS:
            return False
        asked.account = account
        return True

    def refuses(self, channel: Any, asked: Any) -> Refusal | None:
        """Why the body is not taken; None lets it in. In a thread of its own: accounts are looked up, and noted."""
        wait_at_most(_PATIENCE)
        began = time.monotonic()
        environ = WSGITask(channel, asked).get_environment() | {"wsgi.input": BytesIO()}
        size = asked.content_length
        environ["CONTENT_LENGTH"] = "0"
        environ["secondread.size"] = None if asked.chunked else size
        found: list[tuple[Response | None, str]] = []
        self._look(environ, lambda answer, account: found.append((answer, account)))
        refused, asked.account = found[0]
        if refused is not None:
            return refusal_of(refused)
        if len(self._let_in) >= _MOST_KNOWN:
            self._let_in.clear()
        self._let_in[_header_of(channel, asked)] = began, asked.account
        return None

    def _answer(self, environ: dict[str, Any], tell: Any) -> list[bytes]:
        with self._app.request_context(environ):
            try:
                refused = self._refusal(environ["secondread.size"])
            except SecondReadError as error:
                refused = problem_of(error)
            asker = g.get("identity")
            tell(refused, f"account {asker.actor.name}" if asker is not None and asker.user is not None else "")
        return []

    def _refusal(self, size: int | None) -> Response | None:
        foreign = security.refusal_of_foreign()
        if foreign is not None:
            return foreign
        small = size is not None and size <= _SMALL
        scope = auth.scope_of(self._app.view_functions[request.endpoint]) if request.endpoint else auth.PUBLIC
        if scope == auth.PUBLIC or (small and not request.path.startswith("/api/")):
            # Pages answer by themselves: the way to the login, and what was typed is kept.
            sentence = f"what is sent without login holds at most {_SMALL // 1000} kB"
            return None if small else problem(413, sentence, code="body_too_large")
        found = auth.identity()
        if found is None:
            raise LoginRefused("log in, or send an API token as 'Authorization: Bearer sr_…'")
        if scope not in found.scopes:
            raise NotAllowed(f"{found.actor.name} may not send this; ask an administrator")
        return None


def _header_of(channel: Any, asked: Any) -> Hashable:
    """All that is decided by: who sends it, the first line, and the fields but for those that are another each time."""
    size = not asked.chunked and asked.content_length <= _SMALL
    fields = tuple(one for one in asked.headers.items() if one[0] not in _OF_ONE_REQUEST)
    return channel.addr[0], asked.command, asked.path, asked.query, size, fields
