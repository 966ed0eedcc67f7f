"""The parts of the report, from the heading to the reviewers, each as ReportLab's flowables."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Image, Paragraph, Spacer, Table

from secondread.service import _report_style as styles
from secondread.service._readings import StoredReading
from secondread.service._report_facts import Measured, ReportFacts
from secondread.service._report_fonts import is_complete
from secondread.service._report_style import BULLET, COLOURS, RULE, SECTION, SMALL, WASH, WIDTH, paragraph, short
from secondread.service._reviews import Review
from secondread.service._triage import DISPUTED, DONE, SETTLED, WAITING

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
                _interval(row.sensitivity, row.n_positive),
                _interval(row.specificity, row.n_negative),
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
_TOP = ("VALIGN", *_WHOLE, "TOP")
_TIGHT: list[Any] = [
    _TOP,
    ("LEFTPADDING", *_WHOLE, 0),
    ("RIGHTPADDING", *_WHOLE, 2),
    ("TOPPADDING", *_WHOLE, 0),
    ("BOTTOMPADDING", *_WHOLE, 1),
]
_LINES: list[Any] = [
    _TOP,
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


def _interval(found: Mapping[str, Any] | None, n: int) -> str:
    if found is None or found.get("value") is None:
        return "–"
    return f"{found['value']:.2f} ({found['low']:.2f}–{found['high']:.2f}), n = {n}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
