"""What a page's form or address says: a number, a bundle, the way back."""

from flask import request

from secondread.errors import UsageError
from secondread.reading import Bundle
from secondread.web.context import bundle_named, readers


def way_back(otherwise: str = "/") -> str:
    """The address in the field `next`, if it is one of this server's pages."""
    wanted = request.values.get("next", "")
    plain = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if plain else otherwise


def written(name: str) -> str:
    """A text of the form as it can be stored; empty where it is not there."""
    return request.form.get(name, "").replace("\0", "").replace("\r\n", "\n")


def bundles() -> list[Bundle]:
    """Every bundle that can be asked for here."""
    return readers().bundled()


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
