"""What commands print for people fits a terminal of 80 columns, and nothing of it is lost."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from secondread.cli import compare, dicom, recalibrate, tables
from secondread.cli.main import secondread
from secondread.dicom.dry_run import Verdict
from secondread.testing.phantoms import chest_phantom, encode, write_phantom_data

WIDTH = 80


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("SECONDREAD_DATA_FOLDER", str(tmp_path / "room"))
    monkeypatch.setattr(tables, "at_terminal", lambda: True)


def printed(*words: str) -> str:
    done = CliRunner().invoke(secondread, words, catch_exceptions=False, input="a password that is long\n")
    assert done.exit_code == 0, done.output
    return done.output


def commands(group: click.Group, *before: str) -> list[tuple[str, ...]]:
    """The words of every command and group."""
    found = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        found.append((*before, name))
        if isinstance(command, click.Group):
            found += commands(command, *before, name)
    return found


def test_help_of_every_command_fits() -> None:
    asked = commands(secondread)
    assert len(asked) > 40
    wide = {}
    for words in asked:
        if over := overlong(printed(*words, "--help")):
            wide[words] = over
    assert wide == {}


@pytest.mark.parametrize(
    "words",
    [("tasks",), ("tasks", "tuberculosis"), ("tasks", "fracture"), ("models",), ("bundles",), ("data", "importers")],
    ids=" ".join,
)
def test_lists_fit(words: tuple[str, ...]) -> None:
    assert overlong(printed(*words)) == []


def test_a_table_of_images_fits_however_long_its_names(tmp_path: Path) -> None:
    folder = tmp_path / ("a-folder-with-a-long-name-" * 4)
    manifest = write_phantom_data(folder, counts={"train": 8, "val": 4}, size=32)
    text = manifest.read_text(encoding="utf-8").replace("site0", "hospital-of-the-long-name-by-the-river-" * 2)
    manifest.write_text(text, encoding="utf-8")
    told = printed("data", "info", str(manifest))
    assert overlong(told) == []
    assert "majority" in told
    assert "…" not in told


def test_accounts_and_tokens_fit() -> None:
    for name in ("anna", "bartholomew-of-the-night-shift"):
        printed("user", "add", name, "--role", "administrator")
        printed("token", "add", name, "--name", f"the machine in room {name}", "--scope", "read")
    for words in (("user", "list"), ("token", "list"), ("db", "check")):
        told = printed(*words)
        assert overlong(told) == []
        assert ("bartholomew" in told) == (words[1] == "list")


def test_a_program_gets_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    printed("user", "add", "anna", "--role", "administrator")
    monkeypatch.setattr(tables, "at_terminal", lambda: False)
    assert printed("user", "list").split("\t")[:3] == ["anna", "administrator", "enabled"]


def test_readings_fit_and_are_one_line_each_for_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film, blank = tmp_path / "film of anna.png", tmp_path / "blank.png"
    film.write_bytes(encode(chest_phantom(128, random_state=1, lesion=True), "PNG"))
    blank.write_bytes(b"no image")
    asked = ("read", "--no-gate", "--task", "tuberculosis", str(film), str(blank))
    told = printed(*asked)
    assert overlong(told) == []
    monkeypatch.setattr(tables, "at_terminal", lambda: False)
    piped = printed(*asked)
    assert overlong(piped)
    assert re.sub(r"\d+ ms", "", " ".join(told.split())) == re.sub(r"\d+ ms", "", " ".join(piped.split()))


def test_colour_takes_no_room() -> None:
    plain = "one two three four five six seven eight nine ten " * 4
    line = f"    {plain.strip()}"
    coloured = line.replace("six", click.style("six", fg="red", bold=True))
    assert click.unstyle(tables.fitted(coloured)) == tables.fitted(line)
    assert overlong(tables.fitted(line)) == []


HEAD = ("model", "without the hospital by the river", "test AUC", "accuracy")
WIDE = [(f"{name} of the evening", "0.812 (0.744–0.873)", "0.901 (0.850–0.944)", "0.87 (0.79–0.93)") for name in "ab"]


def shown(capsys: pytest.CaptureFixture[str], head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    tables.table(head, rows, title="the title of it all")
    return capsys.readouterr().out


@pytest.mark.parametrize("n_columns", [2, 3, 4])
def test_every_cell_of_a_table_is_whole_however_wide_it_is(capsys: pytest.CaptureFixture[str], n_columns: int) -> None:
    told = shown(capsys, HEAD[:n_columns], [row[:n_columns] for row in WIDE])
    assert overlong(told) == []
    assert "…" not in told
    for cell in (*HEAD[:n_columns], *(cell for row in WIDE for cell in row[:n_columns]), "the title of it all"):
        assert cell in told
    assert ("━" in told) == (n_columns < 4), "ruled where it fits"


def test_a_program_gets_a_table_as_wide_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "at_terminal", lambda: False)
    told = shown(capsys, HEAD, WIDE)
    assert [line for line in told.splitlines() if all(cell in line for cell in WIDE[0])]


def test_markup_in_a_cell_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert "[red]a[/red]" in shown(capsys, ("name", "what"), [("[red]a[/red]", "b")])


def test_compared_models_keep_their_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    rate = {"value": 0.8124, "low": 0.7441, "high": 0.8733}
    result = {
        "name": "a-network-with-a-rather-long-name",
        "left_out": {"north": {"roc_auc": rate}, "south": {"roc_auc": rate}},
        "metrics": {"val": {"roc_auc": rate}, "test": {"roc_auc": rate, "accuracy": rate}},
        "against": {"difference": -0.0123, "p": 0.0421},
        "latency": {"network_ratio": 1.25, "whole_ratio": 1.02},
    }
    compare._show([result, result | {"left_out": {}}])
    told = capsys.readouterr().out
    assert overlong(told) == []
    assert told.count("0.812 (0.744–0.873)") == 2 * 2 + 2
    assert told.count("a-network-with-a-rather-long-name") == 2
    assert "-0.012" in told
    assert "without south" in told


def test_recalibrated_points_keep_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    rate = {"value": 0.8124, "low": 0.7441, "high": 0.8733}
    point = {"threshold": 0.12345, "sensitivity": rate, "specificity": rate}
    found = {"operating_points": {"the-point-of-the-evening-clinic-by-the-river": point}}
    recalibrate._points(found, found, n=120, n_positive=30)
    told = capsys.readouterr().out
    assert (overlong(told), told.count("0.1235") + told.count("0.1234")) == ([], 2)
    assert told.count("the-point-of-the-evening-clinic-by-the-river") == 2


def test_a_dry_run_of_rules_names_files_whole(capsys: pytest.CaptureFixture[str]) -> None:
    long = "a-folder/" * 6 + "film.dcm"
    why = "the sentence of a rule that says at length why nothing of this kind is wanted here"
    dicom._show(iter([Verdict("a.dcm", "read", rule="chest"), Verdict(long, "ignore", reason=why)]))
    told = capsys.readouterr().out
    assert overlong(told) == []
    for part in ("a.dcm", long):
        assert part in told
    assert " ".join(told.split()).count(why) == 2


def test_what_is_wrapped_is_whole() -> None:
    long = "one two three " * 20
    with CliRunner().isolation() as (out, *_):
        tables.say(f": {long}", indent="    ", bold="name")
        said = out.getvalue().decode()
    assert " ".join(said.split()) == f"name: {long.strip()}"


def overlong(text: str) -> list[str]:
    """Lines that do not fit; one word longer than a line is printed whole, to be copied."""
    return [line for line in text.splitlines() if len(line) > WIDTH and len(line.split()) > 1]
