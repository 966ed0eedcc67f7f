"""What commands print for people fits a terminal of 80 columns, and nothing of it is lost."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from secondread.cli import tables
from secondread.cli.main import secondread
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


def test_what_is_wrapped_is_whole() -> None:
    long = "one two three " * 20
    with CliRunner().isolation() as (out, *_):
        tables.say(f": {long}", indent="    ", bold="name")
        said = out.getvalue().decode()
    assert " ".join(said.split()) == f"name: {long.strip()}"


def overlong(text: str) -> list[str]:
    """Lines that do not fit; one word longer than a line is printed whole, to be copied."""
    return [line for line in text.splitlines() if len(line) > WIDTH and len(line.split()) > 1]
