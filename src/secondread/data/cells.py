"""Cells of a table that a person may open in a spreadsheet: never a formula, and read back as what they were.

A spreadsheet runs a cell that begins with = + - @ (CWE-1236), also behind spaces or in full width. Such text is written
with an apostrophe before it, which `plain` takes off again; such a path with ./ before it, which names the same file.
"""

import re
import unicodedata
from typing import Any

_BEGIN = frozenset("=+-@\u2212")  # the last is the minus sign, which some take for the hyphen
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?%?", re.ASCII)
# Where a spreadsheet of another language divides a line that has commas, whatever stands in quotes.
_BETWEEN = re.compile(r"([;\t\r\n])")
_WHITE = ("\t", "\r", "\n")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might run this text. A number is none, whatever its sign."""
    if text.startswith(_WHITE):
        return True
    bare = _bare(text)
    return bare[:1] in _BEGIN and not _NUMBER.fullmatch(bare.rstrip())


def safe(value: Any) -> Any:
    """A value as it may stand in a cell; all that is not text stays what it is."""
    return _guarded("".join(map(_guarded, _BETWEEN.split(value))), _WHITE) if isinstance(value, str) else value


def plain(text: str) -> str:
    """What a cell held before `safe`."""
    return "".join(map(_unguarded, _BETWEEN.split(_unguarded(text, _WHITE))))


def safe_path(name: str) -> str:
    """A relative path as it may stand in a cell: it names the same file."""
    return f"./{name}" if is_formula(name) else name


def plain_path(name: str) -> str:
    """What a path was before `safe_path`."""
    return name[2:] if name.startswith("./") and is_formula(name[2:]) else name


def _guarded(text: str, begins: tuple[str, ...] | None = None) -> str:
    return f"'{text}" if _asks_for_it(text, begins) else text


def _unguarded(text: str, begins: tuple[str, ...] | None = None) -> str:
    return text[1:] if text.startswith("'") and _asks_for_it(text, begins) else text


def _asks_for_it(text: str, begins: tuple[str, ...] | None) -> bool:
    """A formula, or one that has apostrophes already: another is put before them, so that one can be taken off.

    begins: what to look for in place of formulas.
    """
    inside = text.lstrip("'")
    if begins is not None:
        return inside.startswith(begins)
    return not inside.startswith(_WHITE) and is_formula(inside)


def _bare(text: str) -> str:
    """In the form that programs compare letters in, without what they pass over at the beginning of a cell."""
    folded = unicodedata.normalize("NFKC", text)
    at = 0
    while at < len(folded) and (folded[at] == '"' or unicodedata.category(folded[at])[0] in "ZC"):
        at += 1
    return folded[at:]
