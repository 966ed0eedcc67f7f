"""`secondread data` from the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from secondread.cli import data
from secondread.data import Manifest, import_folder, read_manifest
from secondread.errors import DownloadError, SecondReadError, UnknownName, UsageError
from secondread.tasks import Source, Task, load_task
from tests.data.folders import write_images


def run(*words: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(data.data, [str(word) for word in words], input=typed)


def said(*words: object, typed: str | None = None) -> str:
    result = run(*words, typed=typed)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return str(result.output)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    names = [f"{word}/{number}.png" for word in ("normal", "tb") for number in range(20)]
    write_images(tmp_path / "films", names, size=16)
    return tmp_path / "films"


def test_import_then_split_then_info(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "manifest.csv"
    assert "40 images, 20 positive, 20 negative" in said("import", films, "--task", "tuberculosis", "--out", table)
    assert "splits: train" in said("split", table, "--out", table)
    summary = json.loads(said("info", table, "--json"))
    assert {name: split["n"] for name, split in summary["splits"].items()} == {"train": 28, "val": 4, "test": 8}
    assert summary["majority_accuracy"] == 0.5
    assert summary["missing"] == []
    shown = said("info", table)
    assert "train" in shown
    assert "50.0%" in shown


@pytest.mark.parametrize("patient", ["", "p1"])
def test_patients_are_asked_for_only_where_the_importer_told_none(
    films: Path, tmp_path: Path, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(_: str, folder: Path, *, task: Task) -> Manifest:
        found = import_folder(folder, task=task)
        return Manifest(tuple(replace(row, patient=patient) for row in found.rows), found.folder)

    monkeypatch.setattr("secondread.data.import_with", told)
    shown = said("import", films, "--task", "tuberculosis", "--out", tmp_path / "m.csv")
    assert ("fill the column 'patient'" in shown) == (not patient)


def test_import_writes_nothing_when_the_folder_is_unclear(tmp_path: Path) -> None:
    write_images(tmp_path / "films", ["cat/1.png", "dog/1.png"])
    result = run("import", tmp_path / "films", "--task", "tuberculosis", "--out", tmp_path / "m.csv")
    assert isinstance(result.exception, SecondReadError)
    assert not (tmp_path / "m.csv").exists()


def test_split_takes_fractions_and_a_random_state(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "manifest.csv"
    said("import", films, "--task", "tuberculosis", "--out", table)
    for name, words in {"a": ["--random-state", 1], "b": ["--random-state", 2]}.items():
        said("split", table, "--out", tmp_path / f"{name}.csv", "--fractions", "50,0,50", *words)
    first, second = read_manifest(tmp_path / "a.csv"), read_manifest(tmp_path / "b.csv")
    assert {name: first.splits()[name] for name in ("train", "test")} == {"train": 20, "test": 20}
    assert first != second


@pytest.mark.parametrize("fractions", ["70,30", "a,b,c", "70,20,20", "", "nan,50,50"])
def test_odd_fractions_are_refused(films: Path, tmp_path: Path, fractions: str) -> None:
    table = tmp_path / "manifest.csv"
    said("import", films, "--task", "tuberculosis", "--out", table)
    result = run("split", table, "--out", table, "--fractions", fractions)
    assert isinstance(result.exception, UsageError)


def test_split_mends_a_table_that_divides_a_group(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "manifest.csv"
    names = [
        f"films/{word}/{n}.png,{int(word == 'tb')},p{n // 2}-{word},{('train', 'test')[n % 2]}"
        for word in ("normal", "tb")
        for n in range(20)
    ]
    table.write_text("path,label,patient,split\n" + "\n".join(names))
    said("split", table, "--out", tmp_path / "mended.csv")
    assert read_manifest(tmp_path / "mended.csv").divided() == {}


def test_info_tells_of_leaks_and_missing_files(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "manifest.csv"
    table.write_text("path,label,patient,split\nfilms/tb/1.png,1,p,train\nfilms/tb/2.png,1,p,test\ngone.png,0,q,test\n")
    shown = said("info", table)
    assert "1 groups lie in two splits, such as 'p' in test and train" in shown
    assert "files of 1 rows, such as 'gone.png'" in shown
    summary = json.loads(said("info", table, "--json"))
    assert summary["divided_groups"] == {"p": ["test", "train"]}
    assert summary["missing"] == ["gone.png"]
    assert summary["splits"]["test"]["sources"][""]["negatives"] == 1


def test_info_of_a_folder(films: Path) -> None:
    assert json.loads(said("info", films, "--task", "tuberculosis", "--json"))["positives"] == 20


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, bool]]:
    """What the command asks to be fetched; the fetching itself is tested against a server."""
    asked: list[tuple[str, bool]] = []

    def note(source: Source, folder: Path, *, accept_terms: bool, progress: object) -> Path:
        asked.append((source.name, accept_terms))
        return folder / source.name

    monkeypatch.setattr("secondread.data.download", note)
    return asked


def test_download_shows_terms_and_fetches_every_source_with_an_address(
    fetched: list[tuple[str, bool]], tmp_path: Path
) -> None:
    shown = said("download", "--task", "tuberculosis", "--out", tmp_path, "--accept-terms")
    assert fetched == [("shenzhen", True), ("montgomery", True)]
    for source in load_task("tuberculosis").sources:
        assert all(fact in shown for fact in (source.title, source.citation, source.terms, source.page))
    assert "by hand" in shown


def test_download_of_one_source(fetched: list[tuple[str, bool]], tmp_path: Path) -> None:
    said("download", "--task", "tuberculosis", "--source", "montgomery", "--out", tmp_path, "--accept-terms")
    assert fetched == [("montgomery", True)]


@pytest.mark.parametrize(("typed", "accepted"), [("y\n", True), ("n\n", False)])
def test_download_asks_at_a_terminal(
    fetched: list[tuple[str, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, accepted: bool
) -> None:
    monkeypatch.setattr(data, "_at_terminal", lambda: True)
    said("download", "--task", "tuberculosis", "--source", "shenzhen", "--out", tmp_path, typed=typed)
    assert fetched == [("shenzhen", accepted)]


def test_download_without_a_terminal_refuses(tmp_path: Path) -> None:
    result = run("download", "--task", "tuberculosis", "--out", tmp_path)
    assert isinstance(result.exception, DownloadError)
    assert "--accept-terms" in str(result.exception)


def test_download_of_a_source_without_an_address_tells_the_page(tmp_path: Path) -> None:
    result = run("download", "--task", "tuberculosis", "--source", "nih", "--out", tmp_path, "--accept-terms")
    assert isinstance(result.exception, DownloadError)
    assert "by hand" in str(result.exception)


def test_download_of_an_unknown_source_suggests_one(tmp_path: Path) -> None:
    result = run("download", "--task", "tuberculosis", "--source", "shenzen", "--out", tmp_path)
    assert isinstance(result.exception, UnknownName)
    assert "did you mean 'shenzhen'" in str(result.exception)


@pytest.mark.parametrize("command", ["import", "split", "info", "download"])
def test_every_command_explains_itself(command: str) -> None:
    assert "Usage" in said(command, "--help")
