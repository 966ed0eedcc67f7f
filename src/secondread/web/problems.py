"""One shape for every error of a request, problem details (RFC 9457), and that shape as a page for people."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from apiflask import APIFlask, HTTPError, Schema
from apiflask.fields import Integer, String
from flask import Response, current_app, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from secondread.errors import (
    BundleError,
    Busy,
    CannotWrite,
    Conflict,
    DatabaseAway,
    DatabaseUnusable,
    DiskFull,
    IdempotencyKeyReused,
    LoginRefused,
    LoginThrottled,
    NotAllowed,
    NotThere,
    SecondReadError,
    StorageAway,
    TrailBroken,
    UploadRefused,
    UsageError,
)
from secondread.web.language import CODES, in_text, in_words, language
from secondread.web.shapes import said

MEDIA_TYPE = "application/problem+json"
# The first kind that fits. An empty code is the error's own, or its name: UnknownName is 'unknown_name'.
_ANSWERS: tuple[tuple[type[SecondReadError], int, str], ...] = (
    (LoginThrottled, 429, "login_throttled"),
    (LoginRefused, 401, "login_refused"),
    (NotAllowed, 403, "not_allowed"),
    (NotThere, 404, "not_there"),
    (Conflict, 409, ""),
    (TrailBroken, 409, ""),
    (UploadRefused, 422, ""),
    (IdempotencyKeyReused, 422, ""),
    (UsageError, 400, ""),
    (Busy, 503, "busy"),
    (BundleError, 503, "bundle_unusable"),
    (DatabaseAway, 503, "database_away"),
    (StorageAway, 503, "storage_away"),
    (DatabaseUnusable, 503, "database_unusable"),
    (DiskFull, 503, "disk_full"),
    (CannotWrite, 503, "cannot_write"),
    (SecondReadError, 500, "internal_server_error"),
)
_TOO_LARGE = {"too_many_files", "upload_too_large", "swells_too_much", "too_large"}  # codes of an upload: 413
SENTENCES: dict[int | str, str] = {  # what is told in place of an error's own words
    "busy": "the server has as much to do as it can; send it again in a moment",
    404: "nothing is at this address; the API is described at /api/v1/openapi.json",
    429: "too many requests at once; wait a moment and go on more slowly",
    405: "this address is not used with that method; see /api/v1/openapi.json",
    500: "something went wrong here; the server's log says what",
    "bundle_unusable": "the model for this task cannot be loaded; the server's log says why",
    "disk_full": "the server's disk is full; nothing was kept: tell the administrator",
    "cannot_write": "nothing can be written to the server's data folder; the server's log says why",
    "database_away": "the database does not answer now; nothing was stored: send it again in a moment",
    "storage_away": "where images are kept does not answer now; nothing was stored: send it again in a moment",
    "database_unusable": "the database cannot be used now; the server's log says why",
}


class ProblemOut(Schema):
    """What is wrong with a request (RFC 9457)."""

    type = String(required=True)
    title = String(required=True)
    status = Integer(required=True)
    detail = String(required=True, metadata=said("what is wrong and what to do"))
    code = String(required=True, metadata=said("for programs"))


def problem_body(status: int, detail: str, *, code: str = "") -> dict[str, Any]:
    """The members of RFC 9457, and `code`: a short name for programs."""
    title, code = HTTPStatus(status).phrase, code or _code_of(status)
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}


def problem(status: int, detail: str, *, code: str = "") -> Response:
    """An answer that says what is wrong with the request."""
    body = json.dumps(problem_body(status, detail, code=code), ensure_ascii=False)
    return Response(body.encode(errors="replace"), status=status, content_type=MEDIA_TYPE)


def status_of(error: SecondReadError) -> tuple[int, str]:
    """(status, code) that an error is answered with, by the API and by pages."""
    status, code = next((status, code) for kind, status, code in _ANSWERS if isinstance(error, kind))
    code = code or str(getattr(error, "code", "")) or _snake(type(error).__name__)
    return 413 if isinstance(error, UploadRefused) and code in _TOO_LARGE else status, code


def attempt(act: Callable[[], Any], again: Callable[[str], str]) -> Any:
    """What `act` answers; a user's mistake shows the page again with the sentence, and its status."""
    try:
        return act()
    except SecondReadError as error:
        status, code = status_of(error)
        if status >= 500:
            raise
        return again(in_words(str(error), code if code in CODES else _code_of(status))), status


def register(app: APIFlask) -> None:
    """Make every error of the application answer in this shape, and dress it where a browser asked for a page."""
    app.error_processor(_from_check)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(SecondReadError, problem_of)
    app.after_request(_dress)


def problem_of(error: SecondReadError) -> Response:
    """A name or an option that is wrong is the caller's; a bundle that cannot be loaded is ours."""
    status, code = status_of(error)
    if status >= 500:
        current_app.logger.error("a reading was not possible: %s", error)
    sentence = SENTENCES.get(code) or (SENTENCES[500] if status == 500 else str(error))
    answer = problem(status, sentence, code=code)
    if isinstance(error, (LoginThrottled, Busy, DatabaseAway, StorageAway)):
        answer.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    elif isinstance(error, LoginRefused):
        answer.headers["WWW-Authenticate"] = 'Bearer realm="secondread"'
    return answer


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
        megabytes, files = (request.max_content_length or 0) / 1e6, current_app.config["MAX_FILES"]
        sentence = f"a request holds at most {megabytes:g} MB and {files} files; send fewer or smaller files at once"
        return problem(413, sentence, code="body_too_large")
    answer = problem(status, SENTENCES.get(status) or error.description or error.name)
    answer.headers.extend((name, value) for name, value in error.get_headers() if name in ("Allow", "Retry-After"))
    return answer


def _dress(answer: Response) -> Response:
    """As a page, unless it is the API's or a program asked; in the language of whoever asks."""
    accepted = request.accept_mimetypes.best_match(["application/json", "text/html"])
    for_people = accepted == "text/html" and "text/html" in request.headers.get("Accept", "")
    if answer.mimetype != MEDIA_TYPE:
        return answer
    if for_people and not request.path.startswith("/api/"):
        answer.set_data(render_template("problem.html", problem=answer.get_json(), sentence_of=_to_people))
        answer.content_type = "text/html; charset=utf-8"
    elif (spoken := language()) != "en":
        body = answer.get_json()
        body["detail"] = in_text(body["detail"], body["code"])
        answer.set_data(json.dumps(body, ensure_ascii=False))
        answer.headers["Content-Language"] = spoken
    return answer


def _to_people(body: dict[str, Any]) -> str:
    """What a page says: a sentence that was written for programs gives way to that of its code."""
    if body["detail"] in (SENTENCES[404], SENTENCES[405]):
        return str(CODES[body["code"]])
    return in_words(body["detail"], body["code"])


def _code_of(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")


def _snake(name: str) -> str:
    """'UnknownName' as 'unknown_name'."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
