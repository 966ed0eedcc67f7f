"""The drill: a backup made by the command is restored and checked by the script; a damaged one is found out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from secondread.service import Actor, Service, back_up
from secondread.testing.phantoms import chest_phantom, encode
from tests.deploy.checks import DEPLOY

ANNA = Actor("anna", "test")


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Of a service that holds an image and an account, on SQLite."""
    return _back_up(tmp_path, "")


def _back_up(tmp_path: Path, url: str) -> Path:
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data"), "DATABASE": url})
    service.intake.stage(encode(chest_phantom(32, random_state=0), "PNG"), actor=ANNA)
    service.accounts.add("anna", role="administrator", password="a long password", actor=ANNA)
    path = tmp_path / "backup.tar.gz"
    back_up(service.database, service.images, path, actor=ANNA)
    service.close()
    return path


def test_a_good_backup_passes_and_leaves_nothing_behind(backup: Path, tmp_path: Path) -> None:
    done = _drill(backup, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "anna\tadministrator" in done.stdout
    assert done.stdout.endswith(f"restored and checked: {backup}\n")
    assert list((tmp_path / "aside").iterdir()) == []


@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="PostgreSQL's client programs are not installed")
def test_a_good_backup_of_postgresql_passes(postgresql: str, empty_postgresql: str, tmp_path: Path) -> None:
    done = _drill(_back_up(tmp_path, postgresql), tmp_path, empty_postgresql)
    assert done.returncode == 0, done.stderr
    assert "anna\tadministrator" in done.stdout


def test_a_damaged_backup_is_found_out(backup: Path, tmp_path: Path) -> None:
    data = bytearray(backup.read_bytes())
    middle = len(data) // 2  # a stretch: one bit of a run of zeros may unpack to the same zeros
    data[middle : middle + 64] = bytes(64)
    backup.write_bytes(data)
    done = _drill(backup, tmp_path)
    assert done.returncode != 0
    assert "restored and checked" not in done.stdout
    assert list((tmp_path / "aside").iterdir()) == []


def _drill(backup: Path, tmp_path: Path, *url: str) -> subprocess.CompletedProcess[str]:
    """The script, with a `secondread` that runs this package."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "secondread"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m secondread.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "aside").mkdir()
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(tmp_path / "aside")}
    command = ["sh", str(DEPLOY / "restore-drill.sh"), str(backup), *url]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
