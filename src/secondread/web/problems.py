"""One shape for every error of a request: problem details, RFC 9457."""

import json
from http import HTTPStatus
from typing import Any

from apiflask import APIFlask, HTTPError
from flask import Response, current_app
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from secondread.errors import (
    BundleError,
    Conflict,
    DatabaseUnusable,
    NotThere,
    SecondReadError,
    TrailBroken,
    UploadRefused,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"
_TOO_LARGE = {"too_many_files", "upload_too_large", "swells_too_much", "too_large"}
_SENTENCES = {
    404: "nothing is at this address; the API is described at /api/v1/openapi.json",
    429: "too many requests at once; wait a moment and go on more slowly",
    405: "this address is not used with that method; see /api/v1/openapi.json",
    500: "something went wrong here; the server's log says what",
}


def problem_body(status: int, detail: str, *, code: str = "") -> dict[str, Any]:
    """The members of RFC 9457, and `code`: a short name for programs."""
    phrase = HTTPStatus(status).phrase
    return {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": detail,
        "code": code or phrase.lower().replace(" ", "_").replace("-", "_"),
    }


def problem(status: int, detail: str, *, code: str = "") -> Response:
    """An answer that says what is wrong with the request."""
    body = json.dumps(problem_body(status, detail, code=code), ensure_ascii=False)
    return Response(body, status=status, content_type=MEDIA_TYPE)


def register(app: APIFlask) -> None:
    """Make every error of the application answer in this shape."""
    app.error_processor(_from_check)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(SecondReadError, _from_mistake)


def _from_check(error: HTTPError) -> Response:
    """A form that does not fit its schema: the first message of each field."""
    fields = _fields(error.detail) if isinstance(error.detail, dict) else {}
    sentences = [f"{name}: {_first(messages)}" for name, messages in fields.items()]
    return problem(error.status_code, "; ".join(sentences) or str(error.message))


def _fields(detail: Any) -> Any:
    """Messages by field, wherever they stood in the request."""
    places = ("form_and_files", "json", "query", "headers", "path")
    found = {name: said for place in places for name, said in dict(detail.get(place) or {}).items()}
    return found or detail


def _first(messages: Any) -> str:
    while isinstance(messages, dict):
        messages = next(iter(messages.values()))
    return str(messages[0] if isinstance(messages, list) else messages)


def _from_http(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error, RequestEntityTooLarge):
        # Flask answers 413 for too many parts as well; either way the cure is to send less at once.
        megabytes, files = current_app.config["MAX_BODY_MB"], current_app.config["MAX_FILES"]
        sentence = f"a request holds at most {megabytes} MB and {files} files; send fewer or smaller files at once"
        return problem(413, sentence, code="body_too_large")
    answer = problem(status, _SENTENCES.get(status) or error.description or error.name)
    answer.headers.extend((name, value) for name, value in error.get_headers() if name in ("Allow", "Retry-After"))
    return answer


def _from_mistake(error: SecondReadError) -> Response:
    """A name or an option that is wrong is the caller's; a bundle that cannot be loaded is ours."""
    if isinstance(error, NotThere):
        return problem(404, str(error), code="not_there")
    if isinstance(error, Conflict | TrailBroken):
        return problem(409, str(error), code=_code(error))
    if isinstance(error, UploadRefused):
        return problem(413 if error.code in _TOO_LARGE else 422, str(error), code=error.code)
    if isinstance(error, UsageError):
        return problem(400, str(error), code=_code(error))
    current_app.logger.error("a reading was not possible: %s", error)
    if isinstance(error, BundleError):
        return problem(
            503, "the model for this task cannot be loaded; the server's log says why", code="bundle_unusable"
        )
    if isinstance(error, DatabaseUnusable):
        return problem(503, "the database cannot be used now; the server's log says why", code="database_unusable")
    return problem(500, _SENTENCES[500])


def _code(error: SecondReadError) -> str:
    """'UnknownName' as 'unknown_name'."""
    name = type(error).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
