"""Accounts, tokens, trail, backup and retention from the command line."""

import io
import json
import os
import sqlite3

import pytest

from secondread.data import read_manifest
from secondread.evidence.localisation import load_lesions
from secondread.service import LOCAL, ReadingRequest, Service
from secondread.testing.phantoms import chest_phantom, encode
from tests.cli.test_cli import call

GOOD = "correct horse battery"


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command on one data folder; what it is given on standard input, and its status and output."""
    monkeypatch.delenv("SECONDREAD_DATABASE", raising=False)

    def work(*args, typed=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        return call(capsys, *args, "--data-folder", tmp_path / "data")

    return work


def test_accounts_are_made_listed_and_changed_without_a_password_on_the_command_line(run) -> None:
    code, out, _ = run("user", "add", "Chief", "--role", "administrator", typed=f"{GOOD}\n")
    assert (code, out) == (0, "chief: administrator\n")
    assert run("user", "add", "bert", typed="short\n")[0] == 2
    assert run("user", "add", "bert", typed=f"{GOOD}\n")[0] == 0
    for command in (("role", "bert", "reviewer"), ("disable", "bert"), ("enable", "bert")):
        assert run("user", *command)[0] == 0
    assert run("user", "password", "bert", typed=f"{GOOD} staple\n")[0] == 0
    code, _, err = run("user", "disable", "chief")
    assert code == 2
    assert "last administrator" in err
    rows = run("user", "list")[1].splitlines()
    assert [row.split("\t")[:3] for row in rows] == [
        ["bert", "reviewer", "enabled"],
        ["chief", "administrator", "enabled"],
    ]


def test_sessions_of_an_account_are_shown_and_ended(run, tmp_path) -> None:
    run("user", "add", "bert", "--role", "administrator", typed=f"{GOOD}\n")
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    secret = service.sessions.begin(service.accounts.get("bert"), address="10.0.0.1", browser="Firefox, Linux").secret
    shown = run("user", "sessions", "bert")[1]
    assert shown.split("\t")[1:3] == ["Firefox, Linux", "10.0.0.1"]
    assert secret not in shown
    assert run("user", "sessions", "bert", "--end")[1] == "bert is logged out everywhere\n"
    assert service.sessions.account_of(secret) is None
    assert run("user", "sessions", "bert")[1] == ""
    service.close()


def test_a_token_is_printed_once_and_can_be_revoked(run, tmp_path) -> None:
    run("user", "add", "bert", "--role", "administrator", typed=f"{GOOD}\n")
    code, secret, err = run("token", "add", "bert", "--name", "script", "--scope", "read")
    assert code == 0
    assert "only now" in err
    assert secret.strip() not in run("token", "list")[1]
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    assert service.tokens.account_of(secret.strip())[0].name == "bert"
    service.close()
    assert run("token", "revoke", "1")[0] == 0
    assert "revoked" in run("token", "list", "bert")[1]
    assert run("token", "revoke", "9")[0] == 2


def test_work_reads_what_waits_and_ends(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SECONDREAD_GATE", "off")
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process keeps its own
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    films = [(f"{n}.png", encode(chest_phantom(128, random_state=n), "PNG")) for n in range(3)]
    batch = service.intake.take([*films, ("note.txt", b"no image")], ReadingRequest("tuberculosis"), actor=LOCAL)
    code, out, _ = run("work", "--until-empty")
    assert (code, out) == (0, "3 images read\n")
    assert service.queue.batch(batch).counts == {"done": 3, "refused": 1} | dict.fromkeys(
        ("queued", "running", "failed", "cancelled"), 0
    )
    assert run("work", "--until-empty")[1] == "0 images read\n"
    service.close()


def test_the_trail_is_verified_exported_and_pinned(run, tmp_path) -> None:
    run("user", "add", "bert", "--role", "administrator", typed=f"{GOOD}\n")
    checkpoint = run("trail", "checkpoint")[1].strip()
    run("user", "password", "bert", typed=f"{GOOD} staple\n")
    code, out, _ = run("trail", "verify", "--checkpoint", checkpoint)
    assert code == 0
    assert "compared with" in out
    assert "not known: the" in out
    assert run("trail", "verify", "--checkpoint", "²:" + "0" * 64)[0] == 2
    lines = [json.loads(line) for line in run("trail", "export", "--subject", "user:bert")[1].splitlines()]
    assert [line["action"] for line in lines] == ["user.added", "user.password_set"]
    with sqlite3.connect(tmp_path / "data" / "secondread.sqlite") as connection:
        connection.execute("DROP TRIGGER trail_no_update")
        connection.execute("UPDATE trail SET actor = 'x' WHERE seq = 2")
    connection.close()
    code, _, err = run("trail", "verify")
    assert code == 1
    assert "line 2" in err


def test_an_emptied_trail_is_found_without_a_word_of_the_checkpoint(run, tmp_path) -> None:
    for name in ("bert", "carl"):
        run("user", "add", name, "--role", "administrator", typed=f"{GOOD}\n")
    with sqlite3.connect(tmp_path / "data" / "secondread.sqlite") as connection:
        found = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'trail_no_delete'").fetchone()[0]
        for statement in ("DROP TRIGGER trail_no_delete", "DELETE FROM trail", found):
            connection.execute(statement)
    connection.close()
    code, _, err = run("trail", "verify")
    assert (code, "it was cut" in err) == (1, True)


def test_a_backup_is_made_and_restored_and_never_over_something(run, capsys, tmp_path) -> None:
    assert run("db", "status")[0] == 1
    assert run("db", "upgrade")[0] == 0
    assert run("db", "status")[0] == 0
    assert run("backup", tmp_path / "one.tar.gz")[0] == 0
    code, out, _ = call(capsys, "restore", tmp_path / "one.tar.gz", "--data-folder", tmp_path / "new")
    assert code == 0
    assert "audit trail up to 1:" in out
    assert call(capsys, "restore", tmp_path / "one.tar.gz", "--data-folder", tmp_path / "new")[0] == 2


def test_every_patient_line_is_erased_on_request_and_nothing_else(run) -> None:
    code, out, _ = run("retain", "--patient-lines")
    assert (code, "the patient lines of 0 images" in out) == (0, True)
    assert run("retain", "--patient-lines", "--days", "3")[0] == 2


def test_retention_needs_a_number_of_days(run, monkeypatch) -> None:
    assert run("retain")[0] == 2
    assert run("retain", "--days", "30", "--dry-run")[0] == 0
    monkeypatch.setenv("SECONDREAD_RETENTION_DAYS", "30")
    code, out, _ = run("retain")
    assert code == 0
    assert "deleted 0 images" in out


def _read_one(tmp_path) -> int:
    from tests.service.stubs import draft

    with_folder = {"DATA_FOLDER": str(tmp_path / "data")}
    service = Service.open(with_folder)
    sha = service.intake.stage(encode(chest_phantom(32, random_state=0), "PNG"), actor=LOCAL).sha256
    reading, _ = service.readings.add(draft(0.9), image_sha256=sha, name="Doe.png", actor=LOCAL)
    service.close()
    return reading.id


def test_one_person_is_erased_after_a_look_and_kept_erased_by_a_restore(run, capsys, tmp_path) -> None:
    number = _read_one(tmp_path)
    assert run("backup", tmp_path / "one.tar.gz")[0] == 0
    code, out, _ = run("erase", "--reading", str(number), "--dry-run")
    assert code == 0
    assert "1 image, 1 reading" in out
    code, _, err = run("erase", "--reading", str(number))
    assert code == 2
    assert "nothing was erased" in err
    code, out, _ = run("erase", "--reading", str(number), "--yes")
    assert code == 0
    assert "erasures.jsonl" in out
    assert run("erase", "--reading", str(number), "--yes")[0] == 2
    assert run("erase", "--patient", "Doe", "--yes")[0] == 2
    code, out, err = call(capsys, "restore", tmp_path / "one.tar.gz", "--data-folder", tmp_path / "with")
    assert "are here again" in err
    kept = tmp_path / "data" / "erasures.jsonl"
    code, out, err = call(
        capsys, "restore", tmp_path / "one.tar.gz", "--data-folder", tmp_path / "new", "--erasures", kept
    )
    assert (code, err) == (0, "")
    assert "erasures done again: 1; 1 image went" in out
    assert not list((tmp_path / "new" / "images").glob("*/*"))
    assert (
        call(capsys, "restore", tmp_path / "one.tar.gz", "--data-folder", tmp_path / "x", "--erasures", "none")[0] == 1
    )


def test_database_and_folder_are_compared_and_mended(run, tmp_path) -> None:
    _read_one(tmp_path)
    code, out, _ = run("db", "check")
    assert code == 0
    assert all(line.split()[0] == "0" for line in out.splitlines())
    orphan = tmp_path / "data" / "images" / "0a" / ("0a" + "1" * 62)
    orphan.parent.mkdir(exist_ok=True, mode=0o700)
    orphan.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    orphan.chmod(0o644)
    code, out, err = run("db", "check")
    assert code == 1
    assert "1  image files that no row names\n" in out
    assert "1  files and folders that others can reach\n" in out
    assert "--repair" in err
    code, out, _ = run("db", "check", "--repair")
    assert code == 0
    assert "image files that no row names, 1 mended" in out
    assert run("db", "check")[0] == 0


def test_retention_removes_files_that_no_row_names(run, tmp_path) -> None:
    _read_one(tmp_path)
    orphan = tmp_path / "data" / "images" / "0a" / ("0a" + "1" * 62)
    orphan.parent.mkdir(exist_ok=True, mode=0o700)
    orphan.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    code, out, _ = run("retain", "--days", "30")
    assert code == 0
    assert "removed 1 file that no row names" in out
    assert not orphan.exists()


def test_reviewed_images_and_boxes_are_written_for_training(run, tmp_path) -> None:
    number = _read_one(tmp_path)
    assert run("reviewed", "--task", "tuberculosis", "--out", tmp_path / "none")[0] == 2
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    service.reviews.add(number, verdict="agree", actor=LOCAL, role="reviewer")
    service.boxes.add(number, [{"box": [1, 2, 8, 9]}], bundle=None, actor=LOCAL, role="reviewer")
    service.close()
    code, out, _ = run("reviewed", "--task", "tuberculosis", "--out", tmp_path / "out", "--split", "train")
    assert (code, "1 reviewed image" in out) == (0, True)
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert manifest.splits() == {"train": 1}
    assert load_lesions(manifest).boxes == {manifest.rows[0].name: [(1, 2, 8, 9)]}
