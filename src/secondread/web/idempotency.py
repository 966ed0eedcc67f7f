"""Requests that create something, sent twice with one `Idempotency-Key`, create it once."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from apiflask import APIBlueprint, Schema
from flask import Response, current_app, request

from secondread.errors import UsageError
from secondread.service import Answer
from secondread.web.auth import current_actor
from secondread.web.context import service
from secondread.web.problems import problem
from secondread.web.shapes import Text, said

_LONGEST = 100  # characters


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


def once(blueprint: APIBlueprint, *, secret: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a view take a key, and answer a repeated one with its first answer. It stands above the view's output.

    409 while the first request is still being answered, 422 where the key came with another body. secret: the answer
    holds what is shown once and kept nowhere, so a repetition is told that, with 409.
    """

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def answered(*args: Any, headers_data: dict[str, Any], **kwargs: Any) -> Any:
            key = checked_key(headers_data)
            if key is None:
                return view(*args, **kwargs)
            name = f"{current_actor().name}\n{request.method} {request.path}\n{key}"
            found = service().answers.begin(name, request.get_data())
            if found != "new":
                return _in_words(found)
            made: Response | None = None
            try:
                made = current_app.make_response(view(*args, **kwargs))
                return made
            finally:
                # an error is not kept, so that the request can be tried again
                good = made is not None and made.status_code < 400
                kept = _shown_once() if secret else made
                service().answers.end(name, _kept(kept) if good and kept is not None else None)

        with_key: Callable[..., Any] = blueprint.input(KeyHeader, location="headers")(answered)
        return with_key

    return wrap


def _in_words(found: Answer | str) -> Response:
    if isinstance(found, Answer):
        return Response(found.body, status=found.status, content_type=found.content_type)
    if found == "other_request":
        return problem(422, "this Idempotency-Key came with another request; choose a new one", code="key_reused")
    return problem(409, "the first request with this Idempotency-Key is still being answered", code="in_progress")


def _kept(made: Response) -> Answer:
    return Answer(made.status_code, made.content_type, made.get_data(as_text=True))


def _shown_once() -> Response:
    sentence = "this Idempotency-Key has made it already, and its secret is shown once; revoke it, and use a new key"
    return problem(409, sentence, code="shown_once")
