"""One page of A4 for one reading: to be printed, signed, or put into a patient's file."""

import io
import threading
from collections.abc import Callable, Sequence
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
from secondread.service.boxes import SOLID, Mark
from secondread.service.outcomes import StoredReading
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
)
from secondread.service.report import MOST_LETTERS, ReportFacts, report_facts, short
from secondread.service.reviews import Review
from secondread.service.service import Service
from secondread.service.tables import now
from secondread.service.trail import Actor
from secondread.service.triage import DISPUTED, DONE, SETTLED, WAITING
from secondread.stats.scale import marks, of_hundred, ratio_in_words, share
from secondread.tasks import N_

_BAR_HEIGHT, _BAR, _BASE = 15 * mm, 3 * mm, 5 * mm
_BAND = HexColor(0xEBD98F)


class ScoreBar(Flowable):
    """The scale from 0 to 100, as wide as the page, with what begins where. Only for a reading that has a score."""

    def __init__(self, reading: StoredReading, width: float):
        super().__init__()
        assert reading.score is not None
        self.reading = reading
        self.score = reading.score
        self.width, self.height = width, _BAR_HEIGHT

    def draw(self) -> None:
        """Scale, band, threshold, and the reading's place."""
        canvas = self.canv
        canvas.setFillColor(RULE)
        canvas.rect(0, _BASE, self.width, _BAR, stroke=0, fill=1)
        if self.reading.threshold is not None:
            self._marks(*marks(self.reading.threshold, self.reading.low))
        self._end(0, "0")
        self._end(100, "100")
        x = self.width * self.score / 100
        canvas.setFillColor(COLOURS[self.reading.decision])
        canvas.circle(x, _BASE + _BAR / 2, 1.8 * mm, stroke=0, fill=1)
        canvas.setFont(font(bold=True), 11)
        text = str(self.score)
        half = canvas.stringWidth(text, font(bold=True), 11) / 2
        canvas.drawCentredString(min(max(x, half), self.width - half), _BASE + _BAR + 2.2 * mm, text)

    def _marks(self, uncertain: int | None, positive: int) -> None:
        canvas = self.canv
        if uncertain is not None:
            canvas.setFillColor(_BAND)
            canvas.rect(
                self.width * uncertain / 100, _BASE, self.width * (positive - uncertain) / 100, _BAR, stroke=0, fill=1
            )
        canvas.setStrokeColor(GREY)
        canvas.setLineWidth(1)
        places = sorted({mark for mark in (uncertain, positive) if mark is not None})
        for mark in places:
            x = self.width * mark / 100
            canvas.line(x, _BASE - 1 * mm, x, _BASE + _BAR + 1 * mm)
        # Two marks side by side are told together, since their numbers would lie on each other.
        if len(places) > 1 and places[1] - places[0] < _APART:
            self._end(sum(places) / 2, f"{places[0]} – {places[1]}")
        else:
            for mark in places:
                self._end(mark, str(mark))

    def _end(self, at: float, text: str) -> None:
        """A number under the scale, left out where it would lie on the one at an end."""
        canvas = self.canv
        canvas.setFont(font(), 7.5)
        canvas.setFillColor(GREY)
        half = canvas.stringWidth(text, font(), 7.5) / 2
        x = min(max(self.width * at / 100, half), self.width - half)
        if at in (0, 100) or 3 * mm + half < x < self.width - 6 * mm - half:
            canvas.drawCentredString(x, 0.8 * mm, text)


_APART = 6  # points of the scale
Words = Callable[[str], str]
_GAP = 5 * mm


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


def patient(facts: ReportFacts, _: Words, width: float) -> list[Flowable]:
    """Whose image it is, where the site wants that said; what is not known stays free to be written by hand."""
    line = facts.patient
    if line is None:
        return []
    parts = ((_("Patient"), line.patient), (_("Accession"), line.accession), (_("Date of study"), line.study_date))
    widths = [width * share for share in (0.5, 0.3, 0.2)]
    cells = [
        [
            [paragraph(name, SMALL), paragraph(value, BODY, bold=True, width=wide) if value else Spacer(0, 6 * mm)]
            for (name, value), wide in zip(parts, widths, strict=True)
        ]
    ]
    return [_table(cells, widths, [_CELL_TOP, ("BOX", *_WHOLE, 0.5, GREY), ("INNERGRID", *_WHOLE, 0.5, RULE)])]


def decision(facts: ReportFacts, _: Words, width: float) -> Flowable:
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
    return _table(rows, [30 * mm, width - 30 * mm], style)


def _refusal(reading: StoredReading, _: Words) -> str:
    """Its sentence; in another language that of its code, and the English one behind."""
    message, code = short(reading.refusal_message, 400), f"code:{reading.refusal_code}"
    told = _(code)
    return _(message) if told == code else f"{told} ({message})"


def outlook(facts: ReportFacts, _: Words) -> Flowable:
    """What to keep in mind with this answer: how many are missed, or called positive for nothing."""
    return paragraph(sentence(facts.outlook.of(facts.reading.decision, facts.task, _)), bold=True)


def what_now(facts: ReportFacts, _: Words) -> list[Flowable]:
    """What to do now, in a sentence or two."""
    step = facts.reading.next_step
    return [] if step is None else [paragraph(f"{_('What to do now')}: {_(step.message)}"), Spacer(0, 2 * mm)]


def operating_point(facts: ReportFacts, _: Words, width: float) -> list[Flowable]:
    """Where the line is drawn on the scale, and what was measured there: at other hospitals first."""
    reading = facts.reading
    answer = _("Score %(n)s of 100") % {"n": reading.score}
    found: list[Flowable] = []
    if reading.threshold is None:
        return [paragraph(f"{answer}.")]
    uncertain, positive = marks(reading.threshold, reading.low)
    rule = _("positive from %(n)s") % {"n": positive}
    if uncertain is not None:
        rule = _("uncertain from %(low)s, positive from %(n)s") % {"low": uncertain, "n": positive}
    found.append(paragraph(f"{answer}; {_(reading.operating_point)}: {rule}."))
    if facts.marks:
        found.append(paragraph(f"{'; '.join(mark_in_words(one, _) for one in facts.marks)}."))
    found += [paragraph(sentence(text)) for text in meaning(facts, _)]
    found.append(paragraph(_probability(reading, _), SMALL))
    if facts.evidence:
        head = [_("On"), _("Sensitivity"), _("Specificity")]
        rows = [[paragraph(text, SMALL) for text in (*head,)]]
        for place in facts.evidence:
            rates = (place.rate("sensitivity", _), place.rate("specificity", _))
            rows.append([paragraph(text, SMALL) for text in (place.named(_), *rates)])
        found += [Spacer(0, 1 * mm), _table(rows, [width * share for share in (0.44, 0.28, 0.28)], _LINES)]
    return found


def mark_in_words(one: Mark, _: Words) -> str:
    """A box, as the pages list it."""
    sure = _("sure") if one.line == SOLID else _("in doubt")
    return _("Box %(n)s: score %(score)s of 100, %(sure)s") % {"n": one.number, "score": one.score, "sure": sure}


def meaning(facts: ReportFacts, _: Words) -> list[str]:
    """What the answer changes, and how likely disease is after it where the site has said how common it is."""
    likelihood, local = facts.meaning.likelihood, facts.meaning.local
    told = []
    if facts.below_screening:
        told.append(
            _(
                "“confirm” begins no higher than “screening” in this bundle: it calls no fewer images positive and "
                "confirms nothing"
            )
        )
    if likelihood is not None:
        n = likelihood.n_positive + likelihood.n_negative
        at = {"r": ratio_in_words(likelihood.ratio), "where": _(likelihood.split), "n": n}
        name = _("Likelihood ratio")
        times = _("%(r)s: such an answer is so many times as frequent with disease as without (%(where)s, n = %(n)s)")
        told.append(f"{name} {times % at}")
    if local is not None:
        here = {"p": share(local.prevalence), "n": of_hundred(local.probability, _)}
        told.append(_("at your prevalence of %(p)s: %(n)s of 100 people with such a score are ill") % here)
    return told


def _probability(reading: StoredReading, _: Words) -> str:
    told = [
        _("Calibrated probability %(p)s; positive above %(t)s.")
        % {"p": f"{reading.probability:.4f}", "t": f"{reading.threshold:.4f}"}
    ]
    if reading.low is not None:
        told.append(_("Uncertain above %(low)s.") % {"low": f"{reading.low:.4f}"})
    told.append(_("It holds where disease is as common as in the images that it was calibrated on, and nowhere else."))
    return " ".join(told)


def sentence(text: str) -> str:
    """With a capital and a full stop, as the pages write it."""
    return f"{text[:1].upper()}{text[1:]}" + ("" if text[-1:] in (".", "?", "!", "।", ">", "") else ".")


def pictures(facts: ReportFacts, _: Words, width: float, height: float) -> Flowable:
    """The image, and the image under its heat map, with what that map is not. width: of both; height: at most."""
    if facts.picture is None:
        erased = facts.reading.erased_at is not None
        return paragraph(_("The image was deleted by retention.") if erased else _("The image cannot be shown."))
    captions = [_("The image")]
    shown = [_picture(facts.picture, _half(width), height)]
    if facts.overlay is not None:
        captions.append(" ".join(facts.map_caption(_)))
        shown.append(_picture(facts.overlay, _half(width), height))
    if facts.has_map and not facts.mapped:
        captions[0] += ". " + _("The heat map of a negative is drawn only when it is asked for.")
    columns = [[picture, paragraph(text, SMALL)] for picture, text in zip(shown, captions, strict=True)]
    return side_by_side(width, *columns)


def about(facts: ReportFacts, _: Words, width: float) -> list[Flowable]:
    """What was read, when, by whom and by what."""
    reading = facts.reading
    size = f"{reading.facts.get('width', '?')} × {reading.facts.get('height', '?')}, {reading.facts.get('format', '?')}"
    kind = " ".join(str(reading.facts[key]) for key in ("modality", "body_part") if reading.facts.get(key))
    n_frames = int(reading.facts.get("n_frames") or 1)
    which = _("frame %(n)s of %(all)s answered, as the highest score") if reading.worst_frame else ""
    which = which or (_("none of %(all)s frames read") if reading.frames else _("frame %(n)s of %(all)s"))
    frame = which % {"n": reading.frame + 1, "all": n_frames} if n_frames > 1 else ""
    rows = [
        (_("Source"), reading.source),
        (_("Image"), ", ".join(filter(None, [size, kind, frame]))),
        ("SHA-256", reading.image_sha256),
        (_("Read"), f"{facts.moment(reading.created_at)}; {reading.created_by}, {1000 * reading.elapsed:.0f} ms"),
        (_("Bundle"), reading.bundle + ("" if facts.bundle_is_here else " " + _("(not installed any more)"))),
        (_("Bundle’s hash"), reading.bundle_sha256),
    ]  # fmt: skip
    wide = _half(width) - 19 * mm
    cells = [[paragraph(name, SMALL), paragraph(value, SMALL, width=wide)] for name, value in rows if value]
    return [paragraph(_("Image and bundle"), SECTION, bold=True), _table(cells, [19 * mm, wide], _TIGHT)]


def file_name(facts: ReportFacts, _: Words, width: float) -> Flowable:
    """In full, however long it is."""
    name = facts.reading.name or _("(name deleted by retention)")
    return _table(
        [[paragraph(_("File"), SMALL), paragraph(name, width=width - 19 * mm)]], [19 * mm, width - 19 * mm], _TIGHT
    )


def warnings(facts: ReportFacts, _: Words, width: float) -> list[Flowable]:
    """What the reader noted of this image."""
    left = len(facts.reading.warnings) - len(facts.shown_warnings)
    return _bullets(_("Warnings for this image"), [_(text) for text in facts.shown_warnings], left, _, width)


def limits(facts: ReportFacts, _: Words, width: float) -> list[Flowable]:
    """What is known not to work, from the bundle's card."""
    left = len(facts.limits) - len(facts.shown_limits)
    return _bullets(_("Known limits of this bundle"), [_(text) for text in facts.shown_limits], left, _, width)


def review(facts: ReportFacts, _: Words, width: float) -> list[Flowable]:
    """Who looked at it and what they found, and a place to sign."""
    reading, shown = facts.reading, facts.shown_reviews
    found: list[Flowable] = [
        paragraph(_("Review"), SECTION, bold=True),
        paragraph(_state(reading, facts.reviews_needed, _)),
    ]
    widths = [width * share for share in (0.2, 0.22, 0.58)]
    rows = [
        [paragraph(text, SMALL, width=wide) for text, wide in zip(_opinion(one, facts, _), widths, strict=True)]
        for one in shown
    ]
    if rows:
        found += [Spacer(0, 1 * mm), _table(rows, widths, _LINES)]
    if hidden := len(facts.reviews) - len(shown):
        found.append(paragraph(_("and %(n)s more, on the reading’s own page") % {"n": hidden}, SMALL))
    sign = [[paragraph(text, SMALL) for text in (_("Name"), _("Signature"), _("Date"))]]
    line = [("LINEABOVE", (column, 0), (column, 0), 0.5, RULE) for column in range(3)]
    return [*found, Spacer(0, 9 * mm), _table(sign, [width / 3] * 3, line)]


def side_by_side(width: float, left: Sequence[Flowable], right: Sequence[Flowable] = ()) -> Flowable:
    """Two columns; an empty one stays free."""
    columns = [[list(left), "", list(right)]]
    return _table(columns, [_half(width), _GAP, _half(width)], _TIGHT)


def _half(width: float) -> float:
    return (width - _GAP) / 2


def is_whole(facts: ReportFacts) -> bool:
    """Whether every letter of what people wrote can be set."""
    texts = [facts.reading.name, facts.reading.source, *(review.note + review.reviewer for review in facts.reviews)]
    texts += [facts.patient.patient, facts.patient.accession] if facts.patient else []
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


def _bullets(title: str, texts: Sequence[str], left: int, _: Words, width: float) -> list[Flowable]:
    """left: how many more there are."""
    shown: list[Paragraph] = [
        paragraph(short(text, MOST_LETTERS), BULLET, bullet="•", width=_half(width)) for text in texts
    ]
    if left:
        shown.append(paragraph(_("and %(n)s more, on the reading’s own page") % {"n": left}, SMALL))
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


def _opinion(review: Review, facts: ReportFacts, _: Words) -> tuple[str, str, str]:
    said = {"agree": _("agrees"), "disagree": _("disagrees"), "unsure": _("is unsure")}[review.verdict]
    found = {1: _("disease"), 0: _("no disease"), None: _("no finding")}[review.finding]
    if not review.saw_answer:
        said = _("before seeing the answer")
    elif review.kind == "adjudication":
        said = _("settles it")
    who = f"{short(review.reviewer, 60)}, {review.made_at.astimezone(facts.zone):%Y-%m-%d}"
    return who, f"{said}: {found}", short(review.note, MOST_LETTERS)


def _picture(png: bytes, widest: float, tallest: float) -> Image:
    width, height = ImageReader(io.BytesIO(png)).getSize()
    scale = min(widest / width, tallest / height)
    picture = Image(io.BytesIO(png), width=width * scale, height=height * scale)
    picture.hAlign = "LEFT"
    return picture


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
