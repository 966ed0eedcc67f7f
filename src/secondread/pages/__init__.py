"""Generated pages: one Jinja environment for every report, card and leaderboard that the package writes."""

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secondread.stats.interval import Interval

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """The text that a template of the package makes, e.g. 'evidence/templates/card.md.j2'.

    Values are escaped where the template's name ends in .html. A name that is not given is an error, not a gap.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> "Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1]),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "data_uri": data_uri,
        "interval": _interval,
        "number": _number,
        "parts": _parts,
        "percent": _percent,
    }
    return environment


def data_uri(picture: bytes) -> str:
    """A PNG or JPEG as an address that holds it, so that a page needs nothing from elsewhere."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()


def _interval(found: Mapping[str, float | None] | None, scale: float = 1, digits: int = 3) -> str:
    return Interval.from_dict(found).format(scale=scale, digits=digits)


def _parts(found: Mapping[str, float | None] | None, scale: float = 1, digits: int = 3) -> tuple[str, str]:
    return Interval.from_dict(found).parts(scale=scale, digits=digits)


def _number(value: float | None, digits: int | None = None) -> str:
    """'12,345', or '0.868' where digits are asked for; a dash where nothing is defined."""
    if value is None:
        return "–"
    return f"{value:,}" if digits is None else f"{value:.{digits}f}"


def _percent(share: float, digits: int = 1) -> str:
    """'82.7 %' of 0.827."""
    return f"{100 * share:.{digits}f} %"
