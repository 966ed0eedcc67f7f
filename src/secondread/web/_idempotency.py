"""Requests that create something, sent twice with one `Idempotency-Key`, create it once."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any

from apiflask import APIFlask, Schema
from flask import Response, current_app, request

from secondread.errors import UsageError
from secondread.web._auth import current_actor
from secondread.web._problems import problem
from secondread.web._schemas import Text, said

_KEY = "secondread.idempotency"
_LONGEST = 100  # characters
_KEPT_SECONDS = 24 * 3600
_MOST = 2000  # answers held


class KeyHeader(Schema):
    """The key that tells a repetition from a second request."""

    key = Text(
        data_key="Idempotency-Key",
        metadata=said("any text of at most 100 characters, another for each thing to create; repeat it with a retry"),
    )


class _Answers:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: OrderedDict[str, tuple[float, str, Response | None]] = OrderedDict()


def register(app: APIFlask) -> None:
    """Hold answers for a day in this process; uploads remember their keys in the database, for good."""
    app.extensions[_KEY] = _Answers()


def checked_key(headers: dict[str, Any]) -> str | None:
    """The key of this request, if it has one. Raises UsageError."""
    key = headers.get("key")
    if key is not None and not 1 <= len(key) <= _LONGEST:
        raise UsageError(f"an Idempotency-Key has 1 to {_LONGEST} characters")
    return key


def once(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let a view answer a repeated key with its first answer. It stands next to the function.

    409 while the first request is still being answered, 422 where the key came with another body.
    """

    @wraps(view)
    def answered(*args: Any, headers_data: dict[str, Any], **kwargs: Any) -> Any:
        key = checked_key(headers_data)
        if key is None:
            return view(*args, **kwargs)
        name = f"{current_actor().name}\n{request.method} {request.path}\n{key}"
        body = hashlib.sha256(request.get_data()).hexdigest()
        answers: _Answers = current_app.extensions[_KEY]
        if (found := _begin(answers, name, body)) is not None:
            return found
        made: Response | None = None
        try:
            made = current_app.make_response(view(*args, **kwargs))
            return made
        finally:
            _end(answers, name, body, made)

    return answered


def _begin(answers: _Answers, name: str, body: str) -> Response | None:
    with answers.lock:
        for old, (at, _, _) in list(answers.known.items()):
            if time.monotonic() - at < _KEPT_SECONDS and len(answers.known) <= _MOST:
                break
            del answers.known[old]
        if name not in answers.known:
            answers.known[name] = (time.monotonic(), body, None)
            return None
        _, known_body, answer = answers.known[name]
    if known_body != body:
        return problem(422, "this Idempotency-Key came with another request; choose a new one", code="key_reused")
    if answer is None:
        return problem(409, "the first request with this Idempotency-Key is still being answered", code="in_progress")
    return Response(answer.get_data(), status=answer.status_code, content_type=answer.content_type)


def _end(answers: _Answers, name: str, body: str, made: Response | None) -> None:
    """Hold the answer; an error is not held, so that the request can be tried again."""
    with answers.lock:
        if made is None or made.status_code >= 400:
            answers.known.pop(name, None)
        else:
            answers.known[name] = (time.monotonic(), body, made)
