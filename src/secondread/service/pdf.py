"""One page of A4 for one reading: to be printed, signed, or put into a patient's file."""

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
from secondread.service.pdf_bar import ScoreBar
from secondread.service.pdf_parts import (
    about,
    decision,
    file_name,
    heading,
    is_whole,
    limits,
    operating_point,
    outlook,
    patient,
    pictures,
    review,
    side_by_side,
    warnings,
    what_now,
)
from secondread.service.pdf_style import (
    BODY,
    GREY,
    RIGHT,
    SMALL,
    WIDTH,
    font,
    paragraph,
)
from secondread.service.report import ReportFacts, report_facts, short
from secondread.service.service import Service
from secondread.service.tables import now
from secondread.service.trail import Actor
from secondread.tasks import N_

Translate = Callable[[str], str]
DISCLAIMER = N_("It assists a qualified reader and is no medical device. It is not a diagnosis.")
_ONE_AT_A_TIME = threading.Lock()  # ReportLab notes shaped glyphs in fonts that all documents share
_MARGIN = 16 * mm
_TOP, _FOOT = 24 * mm, 20 * mm  # kept free for what every page has
_HEIGHT = A4[1] - _TOP - _FOOT - 14  # of what is printed between them
_PICTURE_HEIGHTS = (76, 68, 60, 52, 44)  # mm
_SCALES = (1, 0.94, 0.88, 0.82, 0.76, 0.7, 0.6, 0.54)


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
    whole = _fitting(facts, translate)
    with _ONE_AT_A_TIME:
        document.build([whole])
    return target.getvalue()


class _Scaled(Flowable):
    """A story on a page of its own size, drawn smaller so that it is as wide as this one."""

    def __init__(self, story: list[Flowable], scale: float):
        super().__init__()
        self.scale = scale
        self.story = KeepInFrame(WIDTH / scale, _HEIGHT / scale, story, mode="shrink")

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """As wide as the page; ReportLab asks before it draws."""
        _, own = self.story.wrapOn(self.canv, WIDTH / self.scale, _HEIGHT / self.scale)
        self.width, self.height = WIDTH, own * self.scale
        return self.width, self.height

    def draw(self) -> None:
        """Smaller."""
        self.canv.scale(self.scale, self.scale)
        self.story.drawOn(self.canv, 0, 0)


def _fitting(facts: ReportFacts, translate: Translate) -> Flowable:
    """Long texts are cut, then the pictures give way, then letters and all become smaller."""
    for scale in _SCALES:
        for millimetres in _PICTURE_HEIGHTS:
            story = partial(_story, facts, translate, WIDTH / scale, millimetres * mm / scale)
            if _height_of(story(), WIDTH / scale) * scale <= _HEIGHT:
                return _Scaled(story(), scale)
    return _Scaled(story(), scale)  # what it is then cannot be, short of texts that nobody cut: it is shrunk once more


def _height_of(story: list[Flowable], width: float) -> float:
    return sum(part.wrap(width, 10 * _HEIGHT)[1] + part.getSpaceBefore() + part.getSpaceAfter() for part in story)


def _story(facts: ReportFacts, _: Translate, width: float, picture_height: float) -> list[Flowable]:
    reading = facts.reading
    story: list[Flowable] = [*heading(facts, _), *patient(facts, _, width), Spacer(0, 2 * mm)]
    story += [decision(facts, _, width), Spacer(0, 2 * mm), *what_now(facts, _)]
    if reading.score is not None:
        story += [outlook(facts, _), ScoreBar(reading, width), *operating_point(facts, _, width), Spacer(0, 3 * mm)]
    story += [pictures(facts, _, width, picture_height), Spacer(0, 2 * mm)]
    story += [file_name(facts, _, width), Spacer(0, 1 * mm)]
    columns = [about(facts, _, width), [*warnings(facts, _, width), *limits(facts, _, width)]]
    story += [side_by_side(width, *columns), Spacer(0, 2 * mm), *review(facts, _, width)]
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
    made = {"when": facts.moment(now()), "who": short(actor.name, 60), "version": __version__}
    told = translate("Made on %(when)s for %(who)s by secondread %(version)s.") % made
    if not is_whole(facts):
        told += " " + translate("� stands for a letter that this report has no font for.")
    _line(canvas, told, _MARGIN, _FOOT - 21, SMALL)


def _line(canvas: Canvas, text: str, x: float, top: float, style: Any, *, bold: bool = False) -> None:
    line = paragraph(text, style, bold=bold)
    _, height = line.wrap(WIDTH, 100)
    line.drawOn(canvas, x, top - height)


def reading_pdf(
    service: Service,
    reading_id: int,
    *,
    actor: Actor,
    translate: Callable[[str], str] = str,
    heat_map: bool = False,
) -> bytes:
    """One page of A4: pictures, answer, operating point, limits, warnings and reviewers. Noted in the trail.

    translate: gives a sentence in the language of the page, with its %(name)s left in place. heat_map: draw it on a
    negative too. Raises NotThere.
    """
    facts = report_facts(service, reading_id, actor=actor, heat_map=heat_map)
    service.trail.record(actor, "report.made", f"reading:{facts.reading.id}", format="pdf")
    return page_of(facts, actor=actor, translate=translate)
