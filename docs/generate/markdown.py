"""Tables in Markdown."""

import html
from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Text that may stand in a row: one line, no bar."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """The same in the letters of code, where a bar cannot be escaped as elsewhere."""
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
