"""What stands on the page of a report, one part after another."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Image, Paragraph, Spacer, Table

from secondread.service import pdf_style as styles
from secondread.service.boxes import SOLID, Mark
from secondread.service.outcomes import StoredReading
from secondread.service.pdf_style import (
    BODY,
    BULLET,
    COLOURS,
    GREY,
    RULE,
    SECTION,
    SMALL,
    WASH,
    is_complete,
    paragraph,
)
from secondread.service.promised import promised
from secondread.service.report import MOST_LETTERS, ReportFacts, short
from secondread.service.reviews import Review
from secondread.service.triage import DISPUTED, DONE, SETTLED, WAITING
from secondread.stats.scale import marks, of_hundred, ratio_in_words, share

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
    """Its sentence; in another language, where that has none for it, the one of its code."""
    message, code = short(reading.refusal_message, 400), f"code:{reading.refusal_code}"
    return told if (told := _(message)) != message or _(code) == code else _(code)


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
    return [*found, *(paragraph(text, SMALL) for text in promised(facts, _))]


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
