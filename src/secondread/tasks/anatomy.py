"""The parts of the body that DICOM has words and codes for, kept as a table (PS3.16 annex L, CID 4009 and 4030)."""

import csv
import re
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).parent / "body_parts.csv"  # term, SNOMED CT codes with spaces between, meaning


@cache
def body_parts() -> dict[str, str]:
    """The defined terms of Body Part Examined (0018,0015), each with what it means."""
    return {row["term"]: row["meaning"] for row in _rows()}


def part_word(text: str) -> str:
    """A body part as devices write it, in the form of the defined terms: 'Lower leg' → 'LOWERLEG'."""
    return re.sub(r"[\s_-]+", "", text.upper())


def part_term(text: str) -> str:
    """The defined term that a written body part is or plainly means ('Cervical spine' → 'CSPINE'); else `part_word`."""
    word = part_word(text)
    return word if word in body_parts() else _by_meaning().get(word, word)


def part_of_code(code: str) -> str:
    """The defined term for a SNOMED CT code of an anatomic region; '' for a code that none stands for."""
    return _by_code().get(code, "")


@cache
def _by_meaning() -> dict[str, str]:
    return {part_word(meaning): term for term, meaning in body_parts().items()}


@cache
def _by_code() -> dict[str, str]:
    return {code: row["term"] for row in _rows() for code in row["snomed"].split()}


@cache
def _rows() -> tuple[dict[str, str], ...]:
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
