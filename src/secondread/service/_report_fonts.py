"""The report's fonts: which letters they have, and text marked up so that each word is set in one that has them."""

import re
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

_FOLDER = Path(__file__).parent / "fonts"
_FAMILIES = ("NotoSans", "NotoSansDevanagari")  # the first that has all letters of a word sets it
_JOINERS = "\u200c\u200d"  # they shape the letters around them
_PRIVATE = range(0xE000, 0xF900)  # where ReportLab puts shaped glyphs that are no letter
MISSING = "\N{REPLACEMENT CHARACTER}"  # stands for a letter that no font here has


@cache
def font(family: str = _FAMILIES[0], *, bold: bool = False) -> str:
    """The name under which ReportLab knows it, registered at the first call."""
    name = f"{family}-{'Bold' if bold else 'Regular'}"
    pdfmetrics.registerFont(TTFont(name, str(_FOLDER / f"{name}.ttf"), shapable=True))
    return name


def markup(text: str, *, bold: bool = False) -> str:
    """The text for a ReportLab paragraph: escaped, each word in a font that has it, MISSING for letters none has.

    A word is set in one font, since it is shaped as a whole.
    """
    letters = "".join(letter if letter.isprintable() or letter in _JOINERS else " " for letter in text)
    return " ".join(_word(word, bold) for word in letters.split(" "))


def is_complete(text: str) -> bool:
    """Whether every letter can be set."""
    return MISSING not in markup(text)


def _word(word: str, bold: bool) -> str:
    family = min(_FAMILIES, key=lambda one: sum(letter not in _letters(one) for letter in word))
    shown = re.sub(".", lambda found: found[0] if found[0] in _letters(family) else MISSING, word)
    return f'<font name="{font(family, bold=bold)}">{escape(shown)}</font>' if word else ""


@cache
def _letters(family: str) -> frozenset[str]:
    known = pdfmetrics.getFont(font(family)).face.charToGlyph
    return frozenset(map(chr, set(known) - set(_PRIVATE))) | frozenset(_JOINERS)
