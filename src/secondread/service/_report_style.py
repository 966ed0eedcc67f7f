"""How the report looks: sizes, colours, and text as ReportLab's paragraphs."""

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph

from secondread.service._report_fonts import font, markup

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
