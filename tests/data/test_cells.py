"""No cell is a formula to a spreadsheet, and every cell is read back as what it was."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondread.data import Manifest, Row, read_manifest, write_manifest
from secondread.data.cells import is_formula, plain, plain_path, safe, safe_path
from secondread.service import csv_text

FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", " =1", "\t=1", "\r=1", "\u00a0=1", "\u200b=1", "\ufeff=1")
ALIKE = ("＝1+1", "＋1-1", "－1+1", "＠SUM(1)", "﹦1", "﹢x", "⁼1", "\u22121+x", '"=1', "a;=1", "a\n=1", 'a;"=1')
NUMBERS = ("-5", "+5", "-0.25", "-1e-3", "-12%", "-1,5")
_TRICKY = st.text(st.sampled_from("=+-@'\";\t\r\n ＝＠a1.,\u2212\u200b"), max_size=8)


@pytest.mark.parametrize("text", [*FORMULAS, *ALIKE])
def test_a_formula_is_text_however_it_is_disguised(text: str) -> None:
    """Whatever a spreadsheet divides a line at, no part of it begins as a formula."""
    written = safe(text)
    parts = [part for line in written.splitlines() for part in line.replace("\t", ";").split(";")]
    assert not any(is_formula(part) for part in parts), written
    assert written[:1] not in ("\t", "\r", "\n")
    assert plain(written) == text


@pytest.mark.parametrize("value", [*NUMBERS, -5, 0.1, None, True, "", "it's", "a=b", "film.png", "2026-03-01"])
def test_numbers_and_plain_words_stay_what_they_are(value: object) -> None:
    assert safe(value) == value


@given(st.text(max_size=30) | _TRICKY)
def test_every_text_is_read_back(text: str) -> None:
    assert plain(safe(text)) == text
    assert plain_path(safe_path(text)) == text


@given(_TRICKY)
def test_no_text_is_a_formula_once_it_is_written(text: str) -> None:
    assert not any(is_formula(part) for part in re.split("[;\t\r\n]", safe(text)))


def test_a_manifest_with_formulas_in_every_column_is_read_back(tmp_path: Path) -> None:
    """Paths, words and patients: as written, and no cell of the file begins as a formula."""
    names = ["=cmd.png", "-2+3.png", "＝x.png", "@here.png", "plain.png", "./=x.png"[2:] + ".png"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    rows = tuple(
        Row(
            path=tmp_path / name,
            name=name,
            label=at % 2,
            source=f"={name}",
            patient=f"+{at}x",
            group=f"'=group {at}",
            class_name="-none",
            note="=HYPERLINK(1); =2",
        )
        for at, name in enumerate(names)
    )
    write_manifest(Manifest(rows, tmp_path), tmp_path / "manifest.csv")
    with (tmp_path / "manifest.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(is_formula(cell) for cell in cells)
    found = read_manifest(tmp_path / "manifest.csv")
    assert found.rows == rows
    write_manifest(found, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "manifest.csv").read_bytes()


def test_a_table_that_leaves_holds_no_formula_in_text_or_in_lists() -> None:
    table = "".join(csv_text(["a", "b", "c"], [["＝1", -1.5, ["x;=1"]], [" @x", None, {"note": "=1"}]]))
    assert table == 'a,b,c\r\n\'＝1,-1.5,"[""x;\'=1""]"\r\n\' @x,,"{""note"": ""=1""}"\r\n'
