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


def markup(text: str, *, bold: bool = False, size: float = 0, width: float = 0) -> str:
    """The text for a ReportLab paragraph: escaped, each word in a font that has it, MISSING for letters none has.

    A word is set in one font, since it is shaped as a whole, and as its first script asks for: Devanagari behind Latin
    begins a new line. size, width: in points; a word wider than that is broken where a reader would, since ReportLab
    would tear signs from the letters they stand on.
    """
    letters = "".join(letter if letter.isprintable() or letter in _JOINERS else " " for letter in text)
    lines = (
        [line for part in _scripts(word) for line in (_broken(part, bold, size, width) if width else [part])]
        for word in letters.split(" ")
    )
    return " ".join("<br/>".join(_word(line, bold) for line in word) for word in lines)


def is_complete(text: str) -> bool:
    """Whether every letter can be set."""
    return MISSING not in markup(text)


def _broken(word: str, bold: bool, size: float, width: float) -> list[str]:
    """The word in parts that are no wider than that, cut between letters with all that is joined to them."""
    name = font(_family(word), bold=bold)
    parts, rest = [""], 0.0
    for cluster in _CLUSTER.findall(word):
        wide = pdfmetrics.stringWidth(cluster, name, size)
        if rest + wide > width and parts[-1]:
            parts.append("")
            rest = 0.0
        parts[-1] += cluster
        rest += wide
    return parts


# A letter with its marks; a virama (U+094D) joins the next letter to it.
_MARK = r"[\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963\u200c\u200d\u0300-\u036f]"
_JOINED = r"\u094d[\u200c\u200d]?[\u0904-\u0939\u0958-\u0961]"
_CLUSTER = re.compile(f".(?:{_JOINED}|{_MARK})*")


def _family(word: str) -> str:
    """The first that has all letters of a word, else most of them."""
    return min(_FAMILIES, key=lambda one: sum(letter not in _letters(one) for letter in word))


_RUN = re.compile(r"[\u0900-\u097f\u200c\u200d]+|[^\u0900-\u097f\u200c\u200d]+")
_DEVANAGARI, _LATIN = re.compile(r"[\u0900-\u097f]"), re.compile("[A-Za-z]")


def _scripts(word: str) -> list[str]:
    """The word in parts that a shaper gets right one by one."""
    parts = [""]
    for run in _RUN.findall(word):
        if _DEVANAGARI.match(run) and _LATIN.search(parts[-1]):
            parts.append("")
        parts[-1] += run
    return parts


def _word(word: str, bold: bool) -> str:
    family = _family(word)
    shown = re.sub(".", lambda found: found[0] if found[0] in _letters(family) else MISSING, word)
    return f'<font name="{font(family, bold=bold)}">{escape(shown)}</font>' if word else ""


@cache
def _letters(family: str) -> frozenset[str]:
    known = pdfmetrics.getFont(font(family)).face.charToGlyph
    return frozenset(map(chr, set(known) - set(_PRIVATE))) | frozenset(_JOINERS)


_CELL = 6  # points that a table keeps free at each side of a cell
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


def paragraph(
    text: str, style: ParagraphStyle = BODY, *, bold: bool = False, bullet: str | None = None, width: float = 0
) -> Paragraph:
    """Plain text, whatever its letters, in that style. width: of the place that it has, where words may be too long."""
    inside = max(0.0, width - style.leftIndent - 2 * _CELL)
    return Paragraph(markup(text, bold=bold, size=style.fontSize, width=inside), style, bulletText=bullet)
