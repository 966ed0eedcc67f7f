"""One page of A4 for one reading, as PDF: to be printed, signed, or put into a patient's file."""

import io
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Frame, KeepInFrame, PageTemplate, Spacer
from reportlab.platypus.doctemplate import BaseDocTemplate

from secondread import __version__
from secondread.service import _report_parts as parts
from secondread.service._actor import Actor
from secondread.service._report_bar import ProbabilityBar
from secondread.service._report_facts import ReportFacts
from secondread.service._report_fonts import font
from secondread.service._report_style import BODY, GREY, RIGHT, SMALL, WIDTH, paragraph
from secondread.service._times import now

Translate = Callable[[str], str]
DISCLAIMER = "It assists a qualified reader and is no medical device. It is not a diagnosis."
_ONE_AT_A_TIME = threading.Lock()  # ReportLab notes shaped glyphs in fonts that all documents share
_MARGIN = 16 * mm
_TOP, _FOOT = 24 * mm, 20 * mm  # kept free for what every page has
_HEIGHT = A4[1] - _TOP - _FOOT - 14  # of what is printed between them
_PICTURE_HEIGHTS = (76, 68, 60, 52, 44)  # mm


def page_of(facts: ReportFacts, *, actor: Actor, translate: Translate = str) -> bytes:
    """The page of these facts, as PDF. What does not fit is cut, with a note that there is more."""
    target = io.BytesIO()
    title = translate("Reading %(id)s") % {"id": facts.reading.id}
    document = BaseDocTemplate(
        target, pagesize=A4, title=f"secondread: {title}", author="secondread", subject=translate(DISCLAIMER)
    )
    frame = Frame(_MARGIN, _FOOT, WIDTH, A4[1] - _TOP - _FOOT, leftPadding=0, rightPadding=0, topPadding=0)
    dress = partial(_dress, title=title, actor=actor, facts=facts, translate=translate)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=lambda canvas, _: dress(canvas)))
    # Long texts are cut and the pictures give way; should it still not fit, the whole is made smaller.
    whole = KeepInFrame(WIDTH, _HEIGHT, _fitting(facts, translate), mode="shrink")
    with _ONE_AT_A_TIME:
        document.build([whole])
    return target.getvalue()


def _fitting(facts: ReportFacts, translate: Translate) -> list[Flowable]:
    """The story with pictures as tall as there is room for."""
    for millimetres in _PICTURE_HEIGHTS:
        height = _height_of(_story(facts, translate, millimetres * mm))
        if height <= _HEIGHT:
            break
    return _story(facts, translate, millimetres * mm)


def _height_of(story: list[Flowable]) -> float:
    return sum(part.wrap(WIDTH, _HEIGHT)[1] + part.getSpaceBefore() + part.getSpaceAfter() for part in story)


def _story(facts: ReportFacts, _: Translate, picture_height: float) -> list[Flowable]:
    reading = facts.reading
    story: list[Flowable] = [*parts.heading(facts, _), parts.decision(facts, _), Spacer(0, 3 * mm)]
    if reading.probability is not None:
        story += [ProbabilityBar(reading), *parts.operating_point(facts, _), Spacer(0, 3 * mm)]
    story += [parts.pictures(facts, _, picture_height), Spacer(0, 3 * mm)]
    columns = [parts.about(facts, _), [*parts.warnings(facts, _), *parts.limits(facts, _)]]
    story += [parts.side_by_side(*columns), Spacer(0, 2 * mm), *parts.review(facts, _)]
    return story


def _dress(canvas: Canvas, *, title: str, actor: Actor, facts: ReportFacts, translate: Translate) -> None:
    """Name and number on top, the disclaimer and who made the page at the foot."""
    right, top = A4[0] - _MARGIN, A4[1] - 15 * mm
    canvas.setFont(font(bold=True), 11)
    canvas.drawString(_MARGIN, top, "secondread")
    _line(canvas, title, _MARGIN, top + 10, RIGHT)
    canvas.setStrokeColor(GREY)
    canvas.setLineWidth(0.5)
    canvas.line(_MARGIN, top - 5, right, top - 5)
    canvas.line(_MARGIN, _FOOT - 4, right, _FOOT - 4)
    _line(canvas, translate(DISCLAIMER), _MARGIN, _FOOT - 8, BODY, bold=True)
    made = {"when": f"{now():%Y-%m-%d %H:%M UTC}", "who": actor.name, "version": __version__}
    told = translate("Made on %(when)s for %(who)s by secondread %(version)s.") % made
    if not parts.is_whole(facts):
        told += " " + translate("� stands for a letter that this report has no font for.")
    _line(canvas, told, _MARGIN, _FOOT - 21, SMALL)


def _line(canvas: Canvas, text: str, x: float, top: float, style: Any, *, bold: bool = False) -> None:
    line = paragraph(text, style, bold=bold)
    _, height = line.wrap(WIDTH, 100)
    line.drawOn(canvas, x, top - height)
