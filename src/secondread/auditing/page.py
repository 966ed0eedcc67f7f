"""The page of an audit: one HTML file that carries its pictures, and audit.json beside it."""

from datetime import date
from pathlib import Path
from typing import Any

from secondread.auditing.duplicates import Pair
from secondread.auditing.findings import Audit
from secondread.errors import CannotOpen, ImageError
from secondread.files import write_json, write_text
from secondread.images import decode, encode_png, to_display
from secondread.pages import data_uri, render

_SHOWN = 40  # pairs of each kind shown as pictures: more is scrolling, and megabytes
_PICTURE = 128  # pixels of the longest side
_TITLES = {
    "leakage": "One image in two splits",
    "labels": "One image, two labels",
    "duplicates": "One image more than once in a split",
}


def write_audit(audit: Audit, folder: Path, *, command: str = "") -> Path:
    """Write `index.html` and `audit.json` into the folder, each aside and then renamed. Returns the page's path.

    command: how the audit can be made again. Raises CannotOpen.
    """
    table = audit.to_dict() | {"date": date.today().isoformat(), "command": command}
    page = _render(audit, table)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "audit.json", table)
        write_text(folder / "index.html", page)
    except OSError as error:
        raise CannotOpen(f"cannot write into '{folder}': {error.strerror}; name another folder") from error
    return folder / "index.html"


def _render(audit: Audit, table: dict[str, Any]) -> str:
    galleries = [
        {"kind": kind, "title": title, "pairs": [_shown(audit, pair) for pair in pairs[:_SHOWN]], "n": len(pairs)}
        for kind, title in _TITLES.items()
        if (pairs := audit.copies(kind))
    ]
    return render("auditing/templates/audit.html", audit=table, galleries=galleries)


def _shown(audit: Audit, pair: Pair) -> dict[str, Any]:
    sides = []
    for number in (pair.first, pair.second):
        row = audit.looks.rows[number]
        sides.append(
            {
                "picture": _picture(row.path),
                "name": row.name,
                "split": row.split or "no split",
                "class_name": row.class_name or str(row.label),
                "group": audit.looks.groups[number],
            }
        )
    return {"sides": sides, "said": pair.said, "correlation": pair.correlation, "how": pair.how}


def _picture(path: Path) -> str:
    """A small picture as a data URI; '' if the file is gone since it was read."""
    try:
        image = decode(path.read_bytes())
    except (OSError, ImageError):
        return ""
    return data_uri(encode_png(to_display(image, longest_side=_PICTURE)))
