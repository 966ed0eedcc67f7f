"""What several pages do: going back, telling a mistake beside the form it was made in, choosing a bundle."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import request

from secondread.errors import Conflict, LoginRefused, LoginThrottled, NotAllowed, NotThere, SecondReadError, UsageError
from secondread.reading import Bundle
from secondread.web.context import bundle_named, readers
from secondread.web.pages.language import in_words

_STATUS: Mapping[type[SecondReadError], int] = {
    NotAllowed: 403,
    NotThere: 404,
    Conflict: 409,
    LoginThrottled: 429,
    LoginRefused: 401,
    UsageError: 400,
}
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "not_allowed",
    404: "not_there",
    409: "conflict",
    429: "login_throttled",
}


def way_back(otherwise: str) -> str:
    """The address in the field `next`, if it is one of this server's pages."""
    wanted = request.values.get("next", "")
    plain = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if plain else otherwise


def attempt(act: Callable[[], Any], again: Callable[[str], str]) -> Any:
    """What `act` answers; a user's mistake shows the page again with the sentence, and its status."""
    try:
        return act()
    except SecondReadError as error:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
        if status is None:
            raise
        return again(in_words(str(error), _CODES[status])), status


def bundles() -> list[Bundle]:
    """Every bundle that can be asked for here."""
    return [reader.bundle for reader in readers().bundled()]


def bundle_asked() -> tuple[list[Bundle], Bundle | None]:
    """All bundles, and the one that the query names, else the first with evidence. Raises UnknownName."""
    every = bundles()
    if wanted := request.values.get("bundle", "").replace("\0", ""):
        return every, bundle_named(wanted)
    chosen = next((bundle for bundle in every if bundle.evidence), every[0] if every else None)
    return every, chosen


def plain_name(bundle: Bundle) -> str:
    """'fracture/best', without the hash."""
    return bundle.id.partition("@")[0]


def number(name: str) -> float | None:
    """A number of the query or form, None where the field is empty. Raises UsageError."""
    text = request.values.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if found != found or abs(found) == float("inf"):
        raise UsageError(f"'{text[:40]}' is no number; write one as 0.5")
    return found


def whole(name: str, otherwise: int, least: int, most: int) -> int:
    """A whole number of the query or form between two bounds. Raises UsageError."""
    text = request.values.get(name, "").strip()
    if not text:
        return otherwise
    if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most or len(text) > 9:
        raise UsageError(f"'{text[:40]}' does not do for {name}; give a whole number from {least} to {most}")
    return int(text)
