"""How the report looks: its fonts and which letters they have, sizes, colours, text as ReportLab's paragraphs."""

import re
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph

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


WIDTH = A4[0] - 32 * mm  # of what is printed
GREY, RULE, WASH = HexColor(0x525B64), HexColor(0xCFD5DB), HexColor(0xF3F5F7)
COLOURS: dict[str, Color] = {  # as on the pages; never the only sign, the word stands beside
    "positive": HexColor(0xA8380A),
    "negative": HexColor(0x0A6654),
    "uncertain": HexColor(0x735400),
    "": HexColor(0x515962),  # refused
}


def _style(name: str, size: float, **more: object) -> ParagraphStyle:
    common = {"fontName": font(), "fontSize": size, "leading": 1.35 * size, "shaping": 1}
    return ParagraphStyle(name, **(common | more))


BODY = _style("body", 9)
RIGHT = _style("right", 9, alignment=TA_RIGHT)
SMALL = _style("small", 7.5, textColor=GREY)
TITLE = _style("title", 15)
SECTION = _style("section", 9.5, spaceBefore=4, spaceAfter=2)
BANNER = _style("banner", 12, textColor=HexColor(0xFFFFFF))
BULLET = _style("bullet", 8.5, leftIndent=9, bulletIndent=0)


def paragraph(text: str, style: ParagraphStyle = BODY, *, bold: bool = False, bullet: str | None = None) -> Paragraph:
    """Plain text, whatever its letters, in that style."""
    return Paragraph(markup(text, bold=bold), style, bulletText=bullet)


def short(text: str, most: int) -> str:
    """At most so many characters, the cut shown."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
