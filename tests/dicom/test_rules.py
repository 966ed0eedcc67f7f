"""Rules: which fits first, what they ask, and what is said of mistakes in them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from secondread.cli.dicom import dicom
from secondread.dicom.header import Header, known_words
from secondread.dicom.rules import load_rules, parse_rules
from secondread.errors import UnknownName, UsageError
from tests.dicom.scu import NAME, radiograph

CHEST = Header(modality="CR", body_part=("CHEST",), view=("PA", "FRONTAL"), age=40, series_description="THORAX PA")


def first(text: str, header: Header) -> str:
    """The name of the rule of these that decides; the package's own come after them."""
    rules = [*parse_rules(text, "here"), *load_rules().rules]
    return next(rule.name for rule in rules if rule.fits(header))


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ('modality = "CR"', True),
        ('modality = ["DX", "cr"]', True),
        ('modality = "MR"', False),
        ('body_part = "CH*"', True),
        ('body_part = ""', False),
        ('view = "frontal"', True),
        ('view = "lateral"', False),
        ('series_description = "*thorax*"', True),
        ('manufacturer = ""', True),
        ("age = { least = 15 }", True),
        ("age = { least = 15, most = 39 }", False),
        ("frames = { most = 1 }", True),
        ("pixels = true", True),
        ('modality = "CR", body_part = "HAND"', False),
        ('calling_aet = "XRAY*"', False),
    ],
)
def test_all_that_is_asked_must_fit(when: str, fits: bool) -> None:
    text = f'[[rule]]\nname = "asked"\nthen = "ignore"\nwhen = {{ {when} }}'
    assert (first(text, CHEST) == "asked") is fits


def test_an_age_that_is_not_known_fits_no_bound() -> None:
    text = '[[rule]]\nname = "asked"\nthen = "ignore"\nwhen = { age = { most = 200 } }'
    assert first(text, Header(modality="CR")) != "asked"


def test_the_first_rule_that_fits_decides_and_one_always_does() -> None:
    a, b = (f'[[rule]]\nname = "{name}"\nthen = "ignore"\nwhen = {{ modality = "CR" }}\n' for name in "ab")
    assert (first(a + b, CHEST), first(b + a, CHEST)) == ("a", "b")
    assert first(a, Header(modality="ZZ")) == "everything else"


def test_own_results_are_never_read_whatever_a_site_writes(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\nname = "all"\nthen = "read"')
    assert load_rules(path).decide(Header(modality="SC", manufacturer="SECONDREAD")).then == "ignore"


def test_results_go_where_the_rule_says_or_else_where_the_node_sends(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    rows = (("own", "send_to = 'A@host:104'"), ("nowhere", "send_to = []"), ("node's", ""))
    path.write_text(
        "".join(f'[[rule]]\nname = "{n}"\nthen = "read"\nwhen = {{ station = "{n}" }}\n{to}\n' for n, to in rows)
    )
    rules = load_rules(path, destinations=["B@host:104"])
    found = {rule.name: rules.destinations_of(rule) for rule in rules.rules}
    assert (found["own"], found["nowhere"], found["node's"]) == (("A@host:104",), (), ("B@host:104",))
    assert rules.all_destinations() == ("B@host:104", "A@host:104")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("[[rule]", UsageError, "not TOML"),
        ("[[rules]]", UnknownName, "did you mean 'rule'"),
        ("[[rule]]", UsageError, "rule 1: give it a name"),
        ('[[rule]]\nname = "a"', UsageError, "say what is done"),
        ('[[rule]]\nname = "a"\nthen = "reed"', UnknownName, "did you mean 'read'"),
        ('[[rule]]\nname = "a"\nthen = "read"\ntask = "tb"', UnknownName, "tuberculosis"),
        ('[[rule]]\nname = "a"\nthen = "read"\nwhen = { modalty = "CR" }', UnknownName, "did you mean 'modality'"),
        ('[[rule]]\nname = "a"\nthen = "read"\nwhen = { modality = 3 }', UsageError, "write it as"),
        ('[[rule]]\nname = "a"\nthen = "read"\nwhen = { age = 15 }', UsageError, "least = 15"),
        ('[[rule]]\nname = "a"\nthen = "read"\nwhen = { pixels = "yes" }', UsageError, "true or false"),
        ('[[rule]]\nname = "a"\nthen = "read"\nsend_to = "PACS"', UsageError, "AET@HOST:PORT"),
        ('[[rule]]\nname = "a"\nthen = "ignore"\ntask = "fracture"', UsageError, "these are not"),
        ('[[rule]]\nname = "a"\nthen = "read"\n[[rule]]\nname = "a"\nthen = "read"', UsageError, "two rules"),
    ],
)
def test_mistakes_are_named_with_the_rule_they_are_in(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        parse_rules(text, "here")


def test_of_a_description_words_of_the_field_stay_and_names_do_not() -> None:
    assert known_words("t2 TSE tra, Okonkwo (FLAIR)") == "T2 TSE TRA FLAIR"


def test_a_dry_run_says_of_every_file_what_would_be_done_and_names_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    radiograph(0).save_as(folder / "chest.dcm")
    radiograph(1, Modality="CT").save_as(folder / "a-long-name-that-does-not-fit-into-a-column.dcm")
    (folder / "note.txt").write_text("no image")
    options = [str(folder), "--data-folder", str(tmp_path / "data")]
    shown = CliRunner().invoke(dicom, ["rules", *options])
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    rows = CliRunner().invoke(dicom, ["rules", "--json", *options]).output.splitlines()
    told = {row["path"]: row for row in map(json.loads, rows)}
    assert {path: row["then"] for path, row in told.items()} == {
        "chest.dcm": "read",
        "a-long-name-that-does-not-fit-into-a-column.dcm": "refuse",
        "note.txt": "skip",
    }
    assert told["chest.dcm"]["task"] == "auto"
    assert NAME not in "".join(rows)
    assert not (tmp_path / "data").exists()
