"""What a notebook shows of an audit: one self-contained piece of HTML, small and escaped.

An `Audit` imports this module when it is shown, so its type is not named here.
"""

from typing import Any

from secondread.auditing.duplicates import Pair
from secondread.images import encode_jpeg
from secondread.pages import data_uri, render
from secondread.pages.bars import ORANGE, RED, bar

_PAIRS = 3
_COLOURS = {"alarm": RED, "note": ORANGE}


def audit_html(audit: Any) -> str:
    """The findings, alarms first; how many of each split are positive, on bars; the first pairs of copies."""
    return render(
        "auditing/templates/notebook.html",
        title=f"Audit of {audit.summary['n']:,} images",
        findings=[(finding, _COLOURS[finding.level]) for finding in audit.findings],
        splits=[_split(name, table) for name, table in audit.summary["splits"].items()],
        pairs=[_shown(audit, pair) for pair in audit.pairs[:_PAIRS]],
    )


def _split(name: str, table: dict[str, Any]) -> dict[str, Any]:
    share = table["positives"] / table["n"] if table["n"] else None
    return {"name": name or "no split", "n": table["n"], "positives": table["positives"], "bar": bar(share)}


def _shown(audit: Any, pair: Pair) -> dict[str, Any]:
    sides = (pair.first, pair.second)
    return {
        "kinds": ", ".join(pair.kinds),
        "names": " and ".join(audit.looks.rows[number].name for number in sides),
        "pictures": [data_uri(encode_jpeg(audit.looks.thumbnails[number])) for number in sides],
    }
