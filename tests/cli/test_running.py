"""What goes wrong around the program is said in a sentence: names, disks, databases, variables; never "a defect"."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from secondread.data import read_manifest
from secondread.testing.phantoms import chest_phantom, encode
from tests.cli.test_cli import call, read
from tests.test_files import files_in

FILM = encode(chest_phantom(128, random_state=1), "PNG")
ODD = os.fsdecode(b"film-\xff.png")  # as an old system in Latin-1 leaves it
PROGRAM = [sys.executable, "-c", "from secondread.cli.main import run; run()"]


def odd_folder(folder: Path) -> Path:
    for label in ("yes", "no"):
        (folder / label).mkdir(parents=True)
        (folder / label / "a.png").write_bytes(FILM)
    try:
        (folder / "yes" / ODD).write_bytes(FILM)
    except OSError:
        pytest.skip("this disk takes no names that are not UTF-8")
    return folder


@pytest.mark.parametrize("as_json", [True, False])
def test_a_file_whose_name_is_not_utf_8_is_read_and_its_name_shown(tmp_path: Path, as_json: bool) -> None:
    folder = odd_folder(tmp_path / "films") / "yes"
    more = ["--json"] if as_json else []
    command = [*PROGRAM, "read", "--no-gate", "--task", "tuberculosis", "--heatmaps", str(tmp_path / "maps"), *more]
    done = subprocess.run([*command, folder], capture_output=True, check=False, env=os.environ | {"LC_ALL": "C.UTF-8"})
    assert (done.returncode, done.stderr) == (0, b"")
    said = done.stdout.decode("utf-8")
    assert r"film-\xff.png" in (json.loads(said.splitlines()[-1])["path"] if as_json else said)
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_a_file_whose_name_is_not_utf_8_is_named_and_no_manifest_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, out = odd_folder(tmp_path / "films"), tmp_path / "manifest.csv"
    code, _, err = call(capsys, "data", "import", folder, "--task", "tuberculosis", "--out", out)
    assert (code, r"film-\xff.png" in err, "rename" in err) == (2, True, True), err
    assert files_in(tmp_path) == files_in(tmp_path / "films") or not out.exists()
    (folder / "yes" / ODD).unlink()
    assert call(capsys, "data", "import", folder, "--task", "tuberculosis", "--out", out)[0] == 0
    assert len(read_manifest(out)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"path,label\n\xff.png,1\n", "UTF-8"),
        (b"path,label\n" + b"a" * 300 + b".png,1\n", "not there"),
    ],
)
def test_a_manifest_with_names_that_no_disk_has_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: bytes, said: str
) -> None:
    (tmp_path / "manifest.csv").write_bytes(text)
    out = ("--split", "test", "--out", tmp_path / "out")
    code, _, err = call(capsys, "evaluate", "--task", "tuberculosis", "--data", tmp_path / "manifest.csv", *out)
    assert (code, said in err, "defect" in err) == (2, True, False), err


@pytest.mark.parametrize("stem", ["a" * 251, "\u0905" * 83])
def test_a_long_name_has_a_heat_map_too(capsys: pytest.CaptureFixture[str], tmp_path: Path, stem: str) -> None:
    film = tmp_path / f"{stem}.png"
    film.write_bytes(FILM)
    for _ in range(2):  # never over another
        code, out, err = read(capsys, "--json", "--task", "tuberculosis", "--heatmaps", tmp_path / "maps", film)
        assert (code, err) == (0, "")
        assert Path(json.loads(out)["heatmap"]).is_file()
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_a_name_that_no_disk_has_cannot_be_opened(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = read(capsys, "--json", "--task", "tuberculosis", tmp_path / ("a" * 300))
    assert (code, json.loads(out)["refusal"]["code"]) == (1, "cannot_open")


def test_heat_maps_on_a_full_disk_say_so_and_leave_no_half_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, small_disk: Path
) -> None:
    (tmp_path / "film.png").write_bytes(encode(chest_phantom(900, random_state=1), "PNG"))
    command = ("--task", "tuberculosis", "--heatmaps", small_disk, tmp_path / "film.png")
    code, _, err = read(capsys, *command)
    assert (code, "no room left to write" in err, str(small_disk) in err) == (1, True, True), err
    assert files_in(small_disk) == []


@pytest.mark.parametrize("what", ["run", "cache"])
def test_training_on_a_full_disk_says_so_and_leaves_no_half_file(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    small_disk: Path,
    phantom_manifest: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    monkeypatch.setenv("SECONDREAD_CACHE", str(small_disk if what == "cache" else tmp_path / "cache"))
    out = tmp_path / "mine" if what == "cache" else small_disk / "mine"
    command = ("--task", "tuberculosis", "--data", phantom_manifest, "--out", out, "--epochs", 1)
    code, _, err = call(capsys, "train", *command)
    assert (code, "defect" in err, str(small_disk) in err) == (1, False, True), err
    assert re.search("no room left to write|MB free", err), err
    assert not [name for name in files_in(small_disk) if not name.endswith(".lock")]
    assert not out.exists()


DATABASES = {
    "no database": b"this is no database" * 500,
    "a damaged one": b"SQLite format 3\0" + b"\xff" * 9000,
}


@pytest.mark.parametrize("kind", DATABASES)
@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("user", "list"), ("db", "status"), ("trail", "verify")])
def test_a_damaged_database_is_said_and_left_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str, command: tuple[str, ...]
) -> None:
    (tmp_path / "secondread.sqlite").write_bytes(DATABASES[kind])
    code, _, err = call(capsys, *command, "--data-folder", tmp_path)
    assert (code, "is damaged, or is no database" in err, "secondread restore" in err) == (1, True, True), err
    assert "defect" not in err
    assert (tmp_path / "secondread.sqlite").read_bytes() == DATABASES[kind]


@pytest.mark.parametrize("command", ["serve", "work"])
@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("SECONDREAD_MAX_FILE", "SECONDREAD_MAX_FILES"),
        ("SECONDREAD_DATAFOLDER", "SECONDREAD_DATA_FOLDER"),
        ("SECONDREAD_RETENTION", "SECONDREAD_RETENTION_DAYS"),
        ("SECONDREAD_CONFG", "SECONDREAD_CONFIG"),
    ],
)
def test_a_misspelt_variable_stops_the_start_with_the_nearest_right_name(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    wrong: str,
    right: str,
) -> None:
    monkeypatch.setenv(wrong, "7")
    code, _, err = call(capsys, command, "--data-folder", tmp_path / "data")
    assert (code, f"'{wrong}'" in err, f"did you mean '{right}'?" in err) == (2, True, True), err
    assert not (tmp_path / "data").exists()


def test_the_server_says_where_it_keeps_what_it_is_sent(tmp_path: Path) -> None:
    command = [*PROGRAM, "serve", "--port", "0", "--data-folder", str(tmp_path / "kept")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(2)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert "http://127.0.0.1:" in lines[0]
    assert str(tmp_path / "kept") in lines[1]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "is full"),
        (OSError(28, "No space left on device", "/media/usb/x"), "with '/media/usb/x' is full"),
        (PermissionError(13, "Permission denied", "/root/x"), "cannot use '/root/x': Permission denied"),
    ],
)
def test_what_the_system_refuses_is_no_defect(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("secondread.reading.load", fail)
    code, _, err = call(capsys, "read", "x.png")
    assert (code, said in err, "defect" in err) == (1, True, False), err


def test_a_name_cannot_pass_for_a_line_of_its_own_or_turn_the_text_round(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = ["a\nb.png  negative  score 0", "red\x1b[31m.png", "turned\u202egnp.png"]
    for name in names:
        (tmp_path / name).write_bytes(FILM)
    status, out, _ = call(capsys, "read", "--no-gate", "--task", "tuberculosis", str(tmp_path))
    assert status == 0
    assert sum(line.startswith(str(tmp_path)) for line in out.splitlines()) == 3
    assert all(text in out for text in ("a\\nb.png", "red\\x1b[31m", "turned\\u202egnp"))
    assert not {"\x1b[31m", "\u202e"} & {mark for mark in ("\x1b[31m", "\u202e") if mark in out}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "film.png").write_bytes(FILM)
    command = [*PROGRAM, "read", "--no-gate", "--task", "tuberculosis", "--json", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == [str(tmp_path / "film.png")]
