"""What a request may carry besides images: little, and JSON that is JSON."""

import json
import math
from typing import Any, NoReturn

from apiflask import APIFlask
from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from secondread.web.problems import problem

MOST_BYTES = 1_000_000  # of a body at every address but those that take images
UPLOADS = frozenset({"readings.read_images", "pages.read", "batches.submit"})  # endpoints that take images
_DEEPEST = 20  # lists and objects in one another


def register(app: APIFlask) -> None:
    """Bound every body before a byte of it is read."""
    app.before_request(_bound)


def check_json() -> Response | None:
    """Refuse a body that calls itself JSON and is none, or is made to trouble who reads it. For after the login."""
    if request.endpoint in UPLOADS:
        return None
    if not request.is_json:
        return _not_called_json()
    try:
        found = strict_json(request.get_data())
    except ValueError as error:
        return problem(400, f"the body is no JSON that is read here: {error}", code="bad_json")
    if not isinstance(found, dict):
        return problem(400, "the body is to be a JSON object, { … }")
    return None


def _not_called_json() -> Response | None:
    """A JSON object that another type is given for, as curl does by itself, would be taken for an empty form."""
    n_bytes = request.content_length or 0
    if request.mimetype == "multipart/form-data" or not 1 < n_bytes <= MOST_BYTES:
        return None
    data = request.get_data(cache=True, parse_form_data=False).strip()
    if not (data.startswith(b"{") and data.endswith(b"}")):
        return None
    return problem(415, "the body looks like JSON: send it with 'Content-Type: application/json'")


def strict_json(text: str | bytes) -> Any:
    """The value of a JSON text (RFC 8259): finite numbers, Unicode, and no more than 20 levels. Raises ValueError."""
    try:
        found = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {_DEEPEST} levels") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from None
    except ValueError:
        raise ValueError("a number in it has more digits than any") from None
    level = [found]
    for _ in range(_DEEPEST + 1):
        inside: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inside += [*one, *one.values()]
            elif isinstance(one, list):
                inside += one
            elif isinstance(one, float) and not math.isfinite(one):
                raise ValueError("a number in it is larger than any")
            elif isinstance(one, str) and any("\ud800" <= letter <= "\udfff" for letter in one):
                raise ValueError("half a letter stands in it (a lone surrogate)")
        level = inside
    if level:
        raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
    return found


def _no_number(word: str) -> NoReturn:
    raise json.JSONDecodeError(f"{word} is no number", "", 0)


def _bound() -> None:
    """A body of no stated length is counted while it is read."""
    if request.endpoint in UPLOADS:
        return
    limit = request.max_content_length
    request.max_content_length = MOST_BYTES if limit is None else min(limit, MOST_BYTES)
    if (request.content_length or 0) > MOST_BYTES:
        raise RequestEntityTooLarge
