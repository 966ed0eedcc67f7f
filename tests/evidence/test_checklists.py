"""The reporting checklists: complete, numbered as published, and every answer leads somewhere."""

from pathlib import Path

import pytest

from secondread.evidence.card import CHECKLISTS, answers, load_checklist

ROOT = Path(__file__).parents[2]
TRIPOD = (
    "1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g 13 14 15 16 17 "
    "18a 18b 18c 18d 18e 18f 19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c"
)
NUMBERS = {"claim_2024": [str(number) for number in range(1, 45)], "tripod_ai": TRIPOD.split()}


@pytest.mark.parametrize("name", CHECKLISTS)
def test_every_item_is_there_once_and_in_order(name):
    assert [item.number for item in load_checklist(name).items] == NUMBERS[name]


@pytest.mark.parametrize("name", CHECKLISTS)
def test_every_item_is_answered_or_shown_as_a_gap(name):
    for item in load_checklist(name).items:
        assert item.where or item.gap, item.number


@pytest.mark.parametrize("name", CHECKLISTS)
def test_files_that_are_named_are_there(name):
    places = {place for item in load_checklist(name).items for place in item.where}
    assert all((ROOT / place).exists() for place in places if "/" in place or place.isupper())


def test_a_section_that_a_card_lacks_is_a_gap():
    item = next(item for item in load_checklist("claim_2024").items if item.number == "33")
    assert answers(item, ["Measured on external"]) == (["Measured on external"], "")
    found, gap = answers(item, [])
    assert not found
    assert "no other hospital" in gap
