"""The table of body parts: DICOM's words and codes, and what tasks may say of them."""

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.codedict import codes

from secondread.tasks import body_parts, list_tasks, load_task, part_of_code, part_term, part_word


def test_the_words_are_as_dicom_writes_them() -> None:
    """CS: capitals, digits, at most 16 characters (PS3.5 section 6.2)."""
    assert len(body_parts()) > 300
    assert all(term == part_word(term) and term.isalnum() and len(term) <= 16 for term in body_parts())
    assert all(body_parts().values())


@pytest.mark.parametrize(
    ("written", "term"),
    [("Lower leg", "LOWERLEG"), (" chest ", "CHEST"), ("UPPER_ARM", "UPPERARM"), ("l-spine", "LSPINE"), ("", "")],
)
def test_a_word_is_read_however_it_is_spaced(written: str, term: str) -> None:
    assert part_word(written) == term


@pytest.mark.parametrize(
    ("written", "term"),
    [
        ("Cervical spine", "CSPINE"),
        ("UPPER ARM", "ARM"),
        ("Chest", "CHEST"),
        ("TORAX", "TORAX"),
        ("Chest PA", "CHESTPA"),
    ],
)
def test_what_a_term_means_stands_for_it_and_nothing_is_guessed(written: str, term: str) -> None:
    assert part_term(written) == term


def test_every_code_is_a_code_of_snomed_that_pydicom_knows() -> None:
    known = {code for meanings in concepts["SCT"].values() for code in meanings}
    found = {code for code in known if part_of_code(code)}
    assert len(found) > 280
    assert {part_of_code(code) for code in found} <= set(body_parts())


@pytest.mark.parametrize(
    ("code", "term"),
    [
        (codes.cid4031.Chest.value, "CHEST"),
        (codes.cid4031.Abdomen.value, "ABDOMEN"),
        (codes.cid4031.Hand.value, "HAND"),
        (codes.cid4030.Brain.value, "BRAIN"),
        ("43799004", "CHEST"),  # as the standard had it before 2022
        ("0", ""),
    ],
)
def test_a_code_stands_for_its_word(code: str, term: str) -> None:
    assert part_of_code(code) == term


@pytest.mark.parametrize("name", list_tasks())
def test_a_task_lists_words_of_dicom_but_for_a_few_that_devices_write(name: str) -> None:
    assert set(load_task(name).dicom_body_parts) - set(body_parts()) <= {"UPPERARM", "LOWERLEG", "HEEL"}
