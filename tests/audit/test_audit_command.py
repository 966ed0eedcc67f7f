"""`secondread audit` from the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from secondread.cli.audit import audit
from secondread.cli.main import run as run_main
from secondread.errors import UnknownName
from tests.audit.films import COPIES, clean_files, film, write_files


@pytest.fixture(scope="module")
def leaking(tmp_path_factory) -> Path:
    files = clean_files(9)
    files["images/copy.png"] = (COPIES["flipped"](film(0)), {"label": "0", "split": "test", "patient": "other"})
    return write_files(tmp_path_factory.mktemp("leaking"), files)


def run(*words: object) -> Result:
    return CliRunner().invoke(audit, [str(word) for word in words])


def test_it_says_what_it_found_and_writes_page_and_table(leaking: Path, tmp_path: Path) -> None:
    result = run("--data", leaking, "--task", "tuberculosis", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "10 images, 4 positive" in result.output
    assert "alarm 1 pair of images (0 exact, 1 near)" in result.output
    assert (tmp_path / "out" / "index.html").is_file()
    assert json.loads((tmp_path / "out" / "audit.json").read_bytes())["command"].startswith("secondread")


@pytest.mark.parametrize(
    ("kinds", "code"),
    [("leakage", 3), ("labels, leakage", 3), ("labels,groups,duplicates,unreadable,shortcut", 0), ("", 0)],
)
def test_exit_code_is_3_if_a_named_kind_was_found(leaking: Path, tmp_path: Path, kinds: str, code: int) -> None:
    result = run("--data", leaking, "--fail-on", kinds, "--out", tmp_path)
    assert result.exit_code == code, result.output
    assert ("failed on: leakage" in result.output) == (code == 3)


def test_an_unknown_kind_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    result = run("--data", "/nowhere", "--fail-on", "leekage", "--out", tmp_path / "out")
    assert isinstance(result.exception, UnknownName)
    assert "did you mean 'leakage'?" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_the_exit_code_reaches_the_shell(leaking: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        run_main(["audit", "--data", str(leaking), "--fail-on", "leakage", "--out", str(tmp_path)])
    assert stop.value.code == 3


def test_a_folder_of_classes_is_taken_as_it_is(tmp_path: Path) -> None:
    for name, (content, facts) in clean_files(6).items():
        path = tmp_path / "films" / ("yes" if facts["label"] == "1" else "no") / Path(name).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    result = run("--data", tmp_path / "films", "--fail-on", "leakage,unreadable", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "no alarms" in result.output
