"""Requests that create something, sent twice with one `Idempotency-Key`, create it once."""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from apiflask import APIBlueprint, Schema
from flask import Response, current_app, request

from secondread.errors import IdempotencyKeyReused, UsageError
from secondread.service import Answer
from secondread.web.auth import current_actor
from secondread.web.context import service
from secondread.web.problems import problem
from secondread.web.shapes import Text, said

_LONGEST = 100  # characters
_CHUNK = 1 << 20  # bytes of a file looked at at once
_NOT_ASKED = {"csrf_token"}  # a field that every page has anew


class KeyHeader(Schema):
    """The key that tells a repetition from a second request."""

    key = Text(
        data_key="Idempotency-Key",
        metadata=said("any text of at most 100 characters, another for each thing to create; repeat it with a retry"),
    )


def checked_key(headers: dict[str, Any]) -> str | None:
    """The key of this request, if it has one. Raises UsageError."""
    key = headers.get("key")
    if key is not None and not 1 <= len(key) <= _LONGEST:
        raise UsageError(f"an Idempotency-Key has 1 to {_LONGEST} characters")
    return key


def fingerprint() -> bytes:
    """What tells this request from another one: its query and its body. 32 bytes.

    Of a form its fields and files count, and not the text that a client puts between them, which is another each time.
    """
    found = hashlib.sha256()

    def add(*parts: str | bytes) -> None:
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            found.update(len(data).to_bytes(8, "big") + data)

    add(request.query_string, request.mimetype)
    if not request.mimetype.startswith(("multipart/", "application/x-www-form-urlencoded")):
        add(request.get_data())
    for name in sorted(set(request.form) - _NOT_ASKED):
        add("field", name, *request.form.getlist(name))
    for name, files in sorted(request.files.lists()):
        for file in files:
            content = hashlib.sha256()
            file.stream.seek(0)
            while chunk := file.stream.read(_CHUNK):
                content.update(chunk)
            file.stream.seek(0)
            add("file", name, file.filename or "", content.digest())
    return found.digest()


def once(
    blueprint: APIBlueprint, *, secret: bool = False, kept: Callable[[Response], Response] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a view take a key, and answer a repeated one with its first answer. It stands above the view's output.

    409 while the first request is still being answered, 422 where the key came with another request. secret: the answer
    holds what is shown once and kept nowhere, so a repetition is told that, with 409. kept: makes of an answer what is
    kept of it for a repetition, where it holds what must not be.
    """

    def _for_repetitions(made: Response) -> Answer:
        if secret:
            return _kept(_shown_once())
        return _kept(made if kept is None else kept(made))

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def answered(*args: Any, headers_data: dict[str, Any], **kwargs: Any) -> Any:
            key = checked_key(headers_data)
            if key is None:
                return view(*args, **kwargs)
            name = f"{current_actor().name}\n{request.method} {request.path}\n{key}"
            found = service().answers.begin(name, fingerprint())
            if found != "new":
                return _in_words(found)
            made: Response | None = None
            try:
                made = current_app.make_response(view(*args, **kwargs))
                return made
            finally:
                # an error is not kept, so that the request can be tried again
                good = made is not None and made.status_code < 400
                answer = _for_repetitions(made) if good and made is not None else None
                service().answers.end(name, answer)

        with_key: Callable[..., Any] = blueprint.input(KeyHeader, location="headers")(answered)
        return with_key

    return wrap


def _in_words(found: Answer | str) -> Response:
    if isinstance(found, Answer):
        return Response(found.body, status=found.status, content_type=found.content_type)
    if found == "other_request":
        raise IdempotencyKeyReused
    return problem(409, "the first request with this Idempotency-Key is still being answered", code="in_progress")


def _kept(made: Response) -> Answer:
    return Answer(made.status_code, made.content_type, made.get_data(as_text=True))


def _shown_once() -> Response:
    sentence = "this Idempotency-Key has made it already, and its secret is shown once; revoke it, and use a new key"
    return problem(409, sentence, code="shown_once")
