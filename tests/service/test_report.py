"""The report as PDF: one page whatever is on it, in letters that are there, and noted in the trail."""

import re
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import Paragraph

from secondread.errors import NotThere
from secondread.reading import load_bundle
from secondread.service import Actor, Draft, PatientLine, ReadingRequest, Service, pdf_parts, report_facts
from secondread.service.patient_lines import PatientLines
from secondread.service.pdf import page_of, reading_pdf
from secondread.service.pdf_parts import sentence
from secondread.service.pdf_style import BODY, MISSING, is_complete, markup, paragraph
from secondread.service.promised import promised
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode
from tests.service.conftest import ANNA
from tests.service.stubs import draft
from tests.several import bright_reader

_RULES = {"positive": 0.9, "negative": 0.1, "uncertain": 0.4}
HINDI, CHINESE = "छाती का एक्स-रे", "胸片"


def _add(service: Service, stored: Draft, *, name: str = "film.png", number: int = 0) -> int:
    data = encode(chest_phantom((90, 70), random_state=number), "PNG")
    sha256 = service.intake.stage(data, actor=ANNA).sha256
    return service.readings.add(stored, image_sha256=sha256, name=name, source="ward 3", actor=ANNA)[0].id


def _draft(probability: float = 0.9, **more: object) -> Draft:
    """A reading of a shipped bundle."""
    bundle = load_bundle("tuberculosis/paper")
    known = {"bundle": bundle.id, "bundle_sha256": str(bundle.record["sha256"]), "operating_point": "paper"}
    return replace(draft(probability, low=0.3), threshold=0.7, high=0.7, **known, **more)


def _pages(pdf: bytes) -> int:
    assert pdf.startswith(b"%PDF-")
    return len(re.findall(rb"/Type /Page\b", pdf))


@pytest.mark.parametrize("decision", _RULES)
def test_every_decision_is_one_page_with_its_pictures(service: Service, decision: str) -> None:
    """The heat map of a negative is drawn only where it is asked for."""
    reading = _add(service, _draft(_RULES[decision], decision=decision, decision_text="words"))
    for asked in (False, True):
        pdf = reading_pdf(service, reading, actor=ANNA, heat_map=asked)
        assert _pages(pdf) == 1
        assert pdf.count(b"/Subtype /Image") == (1 if decision == "negative" and not asked else 2)


def test_a_refusal_has_its_reason_and_no_probability(service: Service) -> None:
    reading = _add(service, replace(draft(refusal="blank"), has_thumbnail=False))
    facts = report_facts(service, reading, actor=ANNA)
    assert facts.overlay is None
    assert facts.measured == ()
    assert _pages(reading_pdf(service, reading, actor=ANNA)) == 1


def test_limits_and_measurements_come_from_the_bundle_that_read(service: Service) -> None:
    facts = report_facts(service, _add(service, _draft()), actor=ANNA)
    assert "A heat map shows what the model used, not where disease is." in facts.limits
    assert facts.bundle_is_here


def test_other_hospitals_come_first_and_the_images_the_threshold_was_chosen_on_last(service: Service) -> None:
    facts = report_facts(service, _add(service, _draft()), actor=ANNA)
    assert facts.measured[0].where.startswith("external")
    assert [row.chosen for row in facts.measured] == [False] * (len(facts.measured) - 1) + [True]
    assert facts.measured[-1].n_positive == 26
    assert facts.evidence[0].named().startswith("another hospital")
    assert "where the threshold was chosen" in facts.evidence[-1].named()


def test_a_bundle_that_is_gone_is_told_and_the_task_gives_the_limits(service: Service) -> None:
    facts = report_facts(service, _add(service, draft(map_cells=None)), actor=ANNA)
    assert not facts.bundle_is_here
    assert facts.measured == ()
    assert facts.task is not None
    assert facts.limits == facts.task.limits


def test_no_amount_of_text_makes_a_second_page(service: Service) -> None:
    long = tuple(f"warning {number}: " + "very long " * 60 for number in range(20))
    reading = _add(service, _draft(warnings=long), name="x" * 499 + HINDI)
    for number in range(9):
        reviewer = Actor(f"reviewer {number} " + "w" * 80, "test")
        service.reviews.add(reading, verdict="unsure", note="note " * 700, actor=reviewer, role="reviewer")
    assert _pages(reading_pdf(service, reading, actor=ANNA)) == 1


def test_after_retention_the_page_says_that_the_image_is_gone(service: Service) -> None:
    reading = _add(service, _draft())
    facts = report_facts(service, reading, actor=ANNA)
    erased = replace(
        facts, picture=None, overlay=None, reading=replace(facts.reading, erased_at=facts.reading.created_at)
    )
    told: list[str] = []
    page_of(erased, actor=ANNA, translate=lambda text: told.append(text) or text)
    assert "The image was deleted by retention." in told


def _told(service: Service, monkeypatch: pytest.MonkeyPatch, reading: int, **options: bool) -> list[str]:
    """The plain text of every paragraph of the page."""
    told: list[str] = []
    made = pdf_parts.paragraph
    monkeypatch.setattr(pdf_parts, "paragraph", lambda text, *a, **more: told.append(text) or made(text, *a, **more))
    reading_pdf(service, reading, actor=ANNA, **options)
    return told


def test_score_and_threshold_are_on_one_scale_and_a_decision_says_what_it_misses(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = _add(service, replace(_draft(0.706, decision="positive"), low=None, high=None))
    told = _told(service, monkeypatch, reading)
    assert "Score 71 of 100; paper: positive from 70." in told
    facts = report_facts(service, reading, actor=ANNA)
    assert sentence(facts.outlook.of("positive", facts.task)) in told


def test_the_name_of_the_file_and_the_patient_are_on_the_page_in_full(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "_".join([HINDI, "a_name_that_has_no_end"] * 15)[:499]
    reading = _add(service, _draft(), name=name)
    lines = PatientLines(service.database, service.images, "typed")
    lines.write(reading, PatientLine("W" * 64, "A-17", "2026-03-01"), actor=ANNA)
    there = replace(service, patient_lines=lines)
    assert {name, "W" * 64, "A-17", "2026-03-01"} <= set(_told(there, monkeypatch, reading))


def test_nothing_of_a_patient_is_on_the_page_unless_the_site_wants_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Patient" not in _told(service, monkeypatch, _add(service, _draft()))


def test_moments_are_told_in_local_time_beside_utc(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = _add(service, _draft())
    here = replace(service, zone=ZoneInfo("Asia/Kolkata"))
    assert any("(UTC+05:30)" in text and " UTC; anna" in text for text in _told(here, monkeypatch, reading))


def test_a_map_says_how_large_its_cells_are_where_that_is_known(service: Service) -> None:
    facts = {"width": 70, "height": 90, "map_cell": [21.3, 20.0]}
    known = report_facts(service, _add(service, _draft(facts=facts)), actor=ANNA)
    assert known.map_caption()[-1].endswith("cells of about 21 pixels.")
    unknown = report_facts(service, _add(service, _draft(), number=1), actor=ANNA)
    assert not any("cells" in sentence for sentence in unknown.map_caption())


SPACED = {  # what a file says of its pixels; millimetres from row to row and column to column; what is said of them
    "in the body": ({"Modality": "MR", "BodyPartExamined": "BRAIN", "PixelSpacing": [0.5, 0.25]}, (0.5, 0.25), ""),
    "corrected": ({"Modality": "DX", "ImagerPixelSpacing": [0.3, 0.3], "PixelSpacing": [0.2, 0.25]}, (0.2, 0.25), ""),
    "at the detector": ({"Modality": "DX", "ImagerPixelSpacing": [0.3, 0.4]}, (0.3, 0.4), "at the detector"),
    "perhaps there": ({"Modality": "CR", "PixelSpacing": [0.3, 0.4]}, (0.3, 0.4), "does not say"),
}


@pytest.mark.parametrize("case", SPACED)
def test_a_file_that_says_how_large_its_pixels_are_gives_millimetres(
    service: Service, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    header, (down, across), where = SPACED[case]
    task = "brain-tumour" if header["Modality"] == "MR" else "tuberculosis"
    reader = bright_reader(f"{task}/{'best' if task == 'brain-tumour' else 'paper'}")
    data = dicom_bytes(chest_phantom((90, 70), random_state=0), **header)
    stored = service.desk(lambda *_: reader).answer(data, ReadingRequest(task), actor=ANNA).stored
    facts = report_facts(service, stored.id, actor=ANNA)
    width, height = facts.cell
    size, *told = facts.cell_told()
    pixels, millimetres = round(max(width, height)), round(max(width * across, height * down))
    assert size.endswith(f"about {pixels} pixels, here {millimetres} mm.")
    assert len(told) == bool(where)
    assert all(where in sentence for sentence in told)
    captions = [text for text in _told(service, monkeypatch, stored.id, heat_map=True) if size in text]
    assert captions
    assert all(sentence in captions[0] for sentence in told)


@pytest.mark.parametrize("word", ["w" * 400, "x_y-" * 100, "छाती" * 90, ("छाती_film_क्ष्मा_" * 30)])
def test_a_word_too_long_for_its_place_is_broken_and_whole(word: str) -> None:
    line = paragraph(word, BODY, width=200)
    line.wrap(200, 1000)
    texts = [_line_of(one) for one in line.blPara.lines]
    assert len(texts) > 3
    assert all(extra >= 0 for extra in (getattr(one, "extraSpace", 0) for one in line.blPara.lines))
    plain = re.sub("<br/>", "", re.sub("</?font[^>]*>", "", markup(word, size=9, width=188)))
    assert plain == word


def _line_of(line: object) -> str:
    return "".join(getattr(word, "text", "") for word in getattr(line, "words", ()))


def test_the_trail_tells_who_had_a_report_made(service: Service) -> None:
    reading = _add(service, _draft())
    reading_pdf(service, reading, actor=ANNA)
    actions = [line["action"] for line in service.trail.lines(actor="anna")]
    assert actions[-4:] == ["reading.seen", "image.seen", "heat_map.seen", "report.made"]
    service.trail.verify()


def test_a_reading_that_is_not_there_has_no_report(service: Service) -> None:
    with pytest.raises(NotThere):
        reading_pdf(service, 7, actor=ANNA)
    assert service.trail.count() == 0


def test_every_sentence_goes_through_the_translation(service: Service) -> None:
    reading = _add(service, _draft(warnings=("burned-in text is likely",)))
    service.reviews.add(reading, verdict="agree", actor=ANNA, finding=1, role="reviewer")
    told: set[str] = set()
    reading_pdf(service, reading, actor=ANNA, translate=lambda text: told.add(text) or HINDI)
    assert {"Review", "Known limits of this bundle", "burned-in text is likely", "agrees", "disease"} <= told
    assert "It assists a qualified reader and is no medical device. It is not a diagnosis." in told


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("Müller, Łódź, Ωμέγα, Київ", True),
        (HINDI, True),
        (f"Brust {HINDI} é", True),
        (CHINESE, False),
        ("a\tb\n", True),
    ],
)
def test_letters_that_no_font_has_are_shown_as_missing(text: str, complete: bool) -> None:
    assert is_complete(text) is complete
    shown = re.sub("<[^>]*>", "", markup(text))
    assert shown.count(MISSING) == (0 if complete else len(text))


def test_markup_of_a_name_is_text_and_no_markup() -> None:
    assert "<b>" not in markup("<b>bold</b> & more")
    Paragraph(markup("<b>bold</b> & more"), BODY)


def test_devanagari_is_shaped(service: Service) -> None:
    """The vowel sign i is written before its consonant: as one glyph of another width, not as letters in a row."""
    line = Paragraph(markup("दिखता"), BODY)
    line.wrap(500, 100)
    (word,) = (word for word in line.blPara.lines[0].words if "द" in word.text)
    assert word.text.index("द") > 0
    assert pdfmetrics.getFont(word.fontName).shapable


def test_the_page_says_what_is_promised_and_where_that_was_shown(service: Service) -> None:
    bundle = load_bundle("tuberculosis/best")
    point = bundle.operating_points["screening"]
    known = {"bundle": bundle.id, "bundle_sha256": str(bundle.record["sha256"]), "operating_point": "screening"}
    stored = replace(_draft(), threshold=point.threshold, **known)
    facts = report_facts(service, _add(service, stored), actor=ANNA)
    told = promised(facts, str)
    (guarantee,) = point.guarantees
    assert told[0].startswith(
        f"Promised: sensitivity at least {100 * guarantee.target:g} % ({100 * guarantee.confidence:g} % sure); "
    )
    for source in guarantee.sources:
        assert f"{source.n} images of {source.source}" in told[0]
    assert told[0].endswith("not shown elsewhere." if guarantee.holds else ", nor elsewhere.")
    assert f"(by {guarantee.margin:.2f} logits)" in told[1]
    page = page_of(facts, actor=ANNA)
    assert _pages(page) == 1
    flow = pdf_parts.operating_point(facts, str, 400)
    assert [told for part in flow[-2:] if isinstance(part, Paragraph) for told in [part.getPlainText()]] == told


def test_a_fixed_threshold_promises_nothing_on_the_page(service: Service) -> None:
    assert promised(report_facts(service, _add(service, _draft()), actor=ANNA), str) == []
