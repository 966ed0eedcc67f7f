"""One page of A4 for one reading: to be printed, signed, or put into a patient's file."""

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Frame, Image, KeepInFrame, PageTemplate, Paragraph, Spacer, Table
from reportlab.platypus.doctemplate import BaseDocTemplate

from secondread import __version__
from secondread.service import pdf_style as styles
from secondread.service.pdf_style import (
    BODY,
    BULLET,
    COLOURS,
    GREY,
    RIGHT,
    RULE,
    SECTION,
    SMALL,
    WASH,
    WIDTH,
    font,
    is_complete,
    paragraph,
    short,
)
from secondread.service.readings import DISPUTED, DONE, SETTLED, WAITING, StoredReading
from secondread.service.report import Measured, ReportFacts, report_facts
from secondread.service.reviews import Review
from secondread.service.service import Service
from secondread.service.tables import now
from secondread.service.trail import Actor
from secondread.stats.interval import Interval
from secondread.tasks import N_

_BAR_HEIGHT, _BAR, _BASE = 15 * mm, 3 * mm, 5 * mm
_BAND = HexColor(0xEBD98F)


class ProbabilityBar(Flowable):
    """A scale as wide as the page. Only for a reading that has a probability."""

    def __init__(self, reading: StoredReading):
        super().__init__()
        assert reading.probability is not None
        self.reading = reading
        self.width, self.height = WIDTH, _BAR_HEIGHT

    def draw(self) -> None:
        """Scale, band, threshold, and the reading's place."""
        canvas, reading = self.canv, self.reading
        canvas.setFillColor(RULE)
        canvas.rect(0, _BASE, WIDTH, _BAR, stroke=0, fill=1)
        if reading.low is not None and reading.high is not None:
            canvas.setFillColor(_BAND)
            canvas.rect(WIDTH * reading.low, _BASE, WIDTH * (reading.high - reading.low), _BAR, stroke=0, fill=1)
        self._ticks()
        x = WIDTH * float(reading.probability or 0)
        canvas.setFillColor(COLOURS[reading.decision])
        canvas.setStrokeColor(COLOURS[reading.decision])
        canvas.circle(x, _BASE + _BAR / 2, 1.8 * mm, stroke=0, fill=1)
        canvas.setFont(font(bold=True), 11)
        text = f"{reading.probability:.2f}"
        half = canvas.stringWidth(text, font(bold=True), 11) / 2
        canvas.drawCentredString(min(max(x, half), WIDTH - half), _BASE + _BAR + 2.2 * mm, text)

    def _ticks(self) -> None:
        canvas, reading = self.canv, self.reading
        canvas.setFont(font(), 7.5)
        canvas.setFillColor(GREY)
        canvas.drawString(0, 0.8 * mm, "0")
        canvas.drawRightString(WIDTH, 0.8 * mm, "1")
        canvas.setStrokeColor(GREY)
        canvas.setLineWidth(1)
        marks = {value for value in (reading.low, reading.threshold) if value is not None}
        for mark in marks:
            x = WIDTH * mark
            canvas.line(x, _BASE - 1 * mm, x, _BASE + _BAR + 1 * mm)
            canvas.drawCentredString(min(max(x, 6 * mm), WIDTH - 6 * mm), 0.8 * mm, f"{mark:.2f}")


Words = Callable[[str], str]
_GAP = 5 * mm
_HALF = (WIDTH - _GAP) / 2
_MOST_ROWS, _MOST_WARNINGS, _MOST_LIMITS, _MOST_REVIEWS = 4, 4, 6, 4
_MOST_LETTERS = 240  # of a name, warning or note


def heading(facts: ReportFacts, _: Words) -> list[Flowable]:
    """What was asked."""
    if facts.task is None:
        return [paragraph(_("An image that fits no task"), styles.TITLE, bold=True), Spacer(0, 2 * mm)]
    kind = _("%(modality)s of the %(part)s") % {"modality": _(facts.task.modality), "part": _(facts.task.body_part)}
    if facts.task.body_part.lower() in facts.task.modality.lower():
        kind = _(facts.task.modality)
    return [
        paragraph(f"{_(facts.task.title)}: {kind}", styles.TITLE, bold=True),
        paragraph(_(facts.task.question)),
        Spacer(0, 2 * mm),
    ]


def decision(facts: ReportFacts, _: Words) -> Flowable:
    """The answer in words, on the colour that it has on the pages."""
    reading = facts.reading
    said = {"positive": _("Positive"), "negative": _("Negative"), "uncertain": _("Uncertain"), "": _("Not read")}
    words = _(reading.decision_text) if reading.decision else _refusal(reading, _)
    rows = [[paragraph(said[reading.decision], styles.BANNER, bold=True), paragraph(words, styles.BANNER)]]
    style: list[Any] = [
        ("BACKGROUND", (0, 0), (-1, -1), COLOURS[reading.decision]),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
    ]
    style += [("TOPPADDING", (0, 0), (-1, -1), 5), ("BOTTOMPADDING", (0, 0), (-1, -1), 7)]
    return _table(rows, [30 * mm, WIDTH - 30 * mm], style)


def _refusal(reading: StoredReading, _: Words) -> str:
    """Its sentence; in another language that of its code, and the English one behind."""
    message, code = short(reading.refusal_message, 400), f"code:{reading.refusal_code}"
    told = _(code)
    return _(message) if told == code else f"{told} ({message})"


def operating_point(facts: ReportFacts, _: Words) -> list[Flowable]:
    """Where the line is drawn, and what was measured there."""
    reading = facts.reading
    at = {"name": reading.operating_point, "threshold": _number(reading.threshold), "low": _number(reading.low)}
    rule = _("Operating point “%(name)s”: positive above %(threshold)s, else negative.") % at
    if reading.low is not None:
        rule = _(
            "Operating point “%(name)s”: positive above %(threshold)s, uncertain above %(low)s, else negative."
        ) % at  # fmt: skip
    chance = {"probability": _number(reading.probability), "score": reading.score}
    answer = _("Probability %(probability)s (score %(score)s of 100).") % chance
    found: list[Flowable] = [paragraph(f"{answer} {rule}")]
    if facts.measured:
        head = [_("measured on"), _("sensitivity (interval of 95 %), n"), _("specificity (interval of 95 %), n")]
        rows = [[paragraph(text, SMALL) for text in head]]
        for row in facts.measured[:_MOST_ROWS]:
            sensitivity, specificity = (
                _interval(row.sensitivity, row.n_positive, _),
                _interval(row.specificity, row.n_negative, _),
            )
            rows.append([paragraph(text, SMALL) for text in (_where(row, _), sensitivity, specificity)])
        found += [Spacer(0, 1 * mm), _table(rows, [WIDTH * share for share in (0.44, 0.28, 0.28)], _LINES)]
    return found


def _where(row: Measured, _: Words) -> str:
    return f"{_(row.where)}, {_('where the threshold was chosen')}" if row.chosen else _(row.where)


def pictures(facts: ReportFacts, _: Words, height: float) -> Flowable:
    """The image, and the image under its heat map, with what that map is not. height: of either, at most."""
    if facts.picture is None:
        erased = facts.reading.erased_at is not None
        return paragraph(_("The image was deleted by retention.") if erased else _("The image cannot be shown."))
    captions = [_("The image")]
    shown = [_picture(facts.picture, height)]
    if facts.overlay is not None:
        captions.append(_("The same with the heat map: what the model used, not where disease is"))
        shown.append(_picture(facts.overlay, height))
    return side_by_side(*([picture, paragraph(text, SMALL)] for picture, text in zip(shown, captions, strict=True)))


def about(facts: ReportFacts, _: Words) -> list[Flowable]:
    """What was read, when, by whom and by what."""
    reading = facts.reading
    size = f"{reading.facts.get('width', '?')} × {reading.facts.get('height', '?')}, {reading.facts.get('format', '?')}"
    kind = " ".join(str(reading.facts[key]) for key in ("modality", "body_part") if reading.facts.get(key))
    n_frames = int(reading.facts.get("n_frames") or 1)
    frame = _("frame %(n)s of %(all)s") % {"n": reading.frame + 1, "all": n_frames} if n_frames > 1 else ""
    rows = [
        (_("File"), short(reading.name, 120) or _("(name deleted by retention)")),
        (_("Source"), short(reading.source, 80)),
        (_("Image"), ", ".join(filter(None, [size, kind, frame]))),
        ("SHA-256", reading.image_sha256),
        (_("Read"), f"{reading.created_at:%Y-%m-%d %H:%M UTC}, {reading.created_by}, {1000 * reading.elapsed:.0f} ms"),
        (_("Bundle"), reading.bundle + ("" if facts.bundle_is_here else " " + _("(not installed any more)"))),
        (_("Bundle’s hash"), reading.bundle_sha256),
    ]  # fmt: skip
    cells = [[paragraph(name, SMALL), paragraph(value, SMALL)] for name, value in rows if value]
    return [paragraph(_("Image and bundle"), SECTION, bold=True), _table(cells, [19 * mm, _HALF - 19 * mm], _TIGHT)]


def warnings(facts: ReportFacts, _: Words) -> list[Flowable]:
    """What the reader noted of this image."""
    found = [_(text) for text in facts.reading.warnings]
    return _bullets(_("Warnings for this image"), found, _MOST_WARNINGS, _) if found else []


def limits(facts: ReportFacts, _: Words) -> list[Flowable]:
    """What is known not to work, from the bundle's card."""
    return _bullets(_("Known limits of this bundle"), [_(text) for text in facts.limits], _MOST_LIMITS, _)


def review(facts: ReportFacts, _: Words) -> list[Flowable]:
    """Who looked at it and what they found, and a place to sign."""
    reading, shown = facts.reading, facts.reviews[-_MOST_REVIEWS:]
    found: list[Flowable] = [
        paragraph(_("Review"), SECTION, bold=True),
        paragraph(_state(reading, facts.reviews_needed, _)),
    ]
    rows = [[paragraph(text, SMALL) for text in _opinion(one, _)] for one in shown]
    if rows:
        found += [Spacer(0, 1 * mm), _table(rows, [WIDTH * share for share in (0.2, 0.22, 0.58)], _LINES)]
    if hidden := len(facts.reviews) - len(shown):
        found.append(paragraph(_("and %(n)s more, on the reading’s own page") % {"n": hidden}, SMALL))
    sign = [[paragraph(text, SMALL) for text in (_("Name"), _("Signature"), _("Date"))]]
    line = [("LINEABOVE", (column, 0), (column, 0), 0.5, RULE) for column in range(3)]
    return [*found, Spacer(0, 9 * mm), _table(sign, [WIDTH / 3] * 3, line)]


def side_by_side(left: Sequence[Flowable], right: Sequence[Flowable] = ()) -> Flowable:
    """Two columns; an empty one stays free."""
    columns = [[list(left), "", list(right)]]
    return _table(columns, [_HALF, _GAP, _HALF], _TIGHT)


def is_whole(facts: ReportFacts) -> bool:
    """Whether every letter of what people wrote can be set."""
    texts = [facts.reading.name, facts.reading.source, *(review.note + review.reviewer for review in facts.reviews)]
    return all(is_complete(text) for text in texts)


_WHOLE = ((0, 0), (-1, -1))
_CELL_TOP = ("VALIGN", *_WHOLE, "TOP")
_TIGHT: list[Any] = [
    _CELL_TOP,
    ("LEFTPADDING", *_WHOLE, 0),
    ("RIGHTPADDING", *_WHOLE, 2),
    ("TOPPADDING", *_WHOLE, 0),
    ("BOTTOMPADDING", *_WHOLE, 1),
]
_LINES: list[Any] = [
    _CELL_TOP,
    ("LINEBELOW", (0, 0), (-1, -2), 0.4, RULE),
    ("BACKGROUND", *_WHOLE, WASH),
    ("TOPPADDING", *_WHOLE, 1),
    ("BOTTOMPADDING", *_WHOLE, 2),
]


def _table(rows: list[list[Any]], widths: list[float], style: list[Any]) -> Table:
    return Table(rows, colWidths=widths, style=style, hAlign="LEFT")


def _bullets(title: str, texts: Sequence[str], most: int, _: Words) -> list[Flowable]:
    shown: list[Paragraph] = [paragraph(short(text, _MOST_LETTERS), BULLET, bullet="•") for text in texts[:most]]
    if len(texts) > most:
        shown.append(paragraph(_("and %(n)s more, on the reading’s own page") % {"n": len(texts) - most}, SMALL))
    return [paragraph(title, SECTION, bold=True), *shown] if shown else []


def _state(reading: StoredReading, needed: int, _: Words) -> str:
    counts = {"n": reading.n_reviews, "needed": needed}
    if reading.review_state in (DONE, SETTLED):
        found = _("disease") if reading.finding else _("no disease")
        settled = _("Settled by adjudication") if reading.review_state == SETTLED else _("Reviewed")
        return f"{settled}: {found}."
    return {
        DISPUTED: _("Reviewers disagree or are unsure; not settled yet."),
        WAITING: _("%(n)s of %(needed)s reviews made.") % counts,
    }.get(reading.review_state, _("Not reviewed yet by a qualified person."))


def _opinion(review: Review, _: Words) -> tuple[str, str, str]:
    said = {"agree": _("agrees"), "disagree": _("disagrees"), "unsure": _("is unsure")}[review.verdict]
    found = {1: _("disease"), 0: _("no disease"), None: _("no finding")}[review.finding]
    if not review.saw_answer:
        said = _("before seeing the answer")
    elif review.kind == "adjudication":
        said = _("settles it")
    who = f"{short(review.reviewer, 60)}, {review.made_at:%Y-%m-%d}"
    return who, f"{said}: {found}", short(review.note, _MOST_LETTERS)


def _picture(png: bytes, most: float) -> Image:
    width, height = ImageReader(io.BytesIO(png)).getSize()
    scale = min(_HALF / width, most / height)
    picture = Image(io.BytesIO(png), width=width * scale, height=height * scale)
    picture.hAlign = "LEFT"
    return picture


def _interval(found: Mapping[str, Any] | None, n: int, _: Words) -> str:
    interval = Interval.from_dict(found)
    text = interval.format(digits=2, too_few=_("too few to say"))
    return text if interval.value is None else f"{text}, n = {n}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


Translate = Callable[[str], str]
DISCLAIMER = N_("It assists a qualified reader and is no medical device. It is not a diagnosis.")
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
    story: list[Flowable] = [*heading(facts, _), decision(facts, _), Spacer(0, 3 * mm)]
    if reading.probability is not None:
        story += [ProbabilityBar(reading), *operating_point(facts, _), Spacer(0, 3 * mm)]
    story += [pictures(facts, _, picture_height), Spacer(0, 3 * mm)]
    columns = [about(facts, _), [*warnings(facts, _), *limits(facts, _)]]
    story += [side_by_side(*columns), Spacer(0, 2 * mm), *review(facts, _)]
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
    if not is_whole(facts):
        told += " " + translate("� stands for a letter that this report has no font for.")
    _line(canvas, told, _MARGIN, _FOOT - 21, SMALL)


def _line(canvas: Canvas, text: str, x: float, top: float, style: Any, *, bold: bool = False) -> None:
    line = paragraph(text, style, bold=bold)
    _, height = line.wrap(WIDTH, 100)
    line.drawOn(canvas, x, top - height)


def reading_pdf(service: Service, reading_id: int, *, actor: Actor, translate: Callable[[str], str] = str) -> bytes:
    """One page of A4: pictures, answer, operating point, limits, warnings and reviewers. Noted in the trail.

    translate: gives a sentence in the language of the page, with its %(name)s left in place. Raises NotThere.
    """
    facts = report_facts(service, reading_id, actor=actor)
    service.trail.record(actor, "report.made", f"reading:{facts.reading.id}", format="pdf")
    return page_of(facts, actor=actor, translate=translate)
