"""Files and folders are their owner's alone, whatever the umask is; results that a researcher writes are not."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from secondread.errors import ServiceError
from secondread.files import private_file, private_folder, write_bytes
from secondread.service import ReadingRequest, Service, back_up, restore
from secondread.service.private import close_to_others, open_to_others
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage, worker_of


@pytest.fixture(params=[0o022, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Of everything that is not the owner's alone."""
    every = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {str(path): oct(mode) for path, mode in every.items() if mode not in (0o700, 0o600)}


def use(folder: Path) -> Service:
    service = Service.open({"DATA_FOLDER": str(folder), "DATABASE": ""})
    sha = stage(service, image_bytes(0))
    reading, _ = service.readings.add(draft(0.9), image_sha256=sha, name="n.png", actor=ANNA)
    service.intake.take([("a.png", image_bytes(1)), ("b", b"")], ReadingRequest("tuberculosis"), actor=ANNA)
    worker_of(service, lambda data: draft(0.4)).run_until_empty()
    service.images.check()
    service.images.secret("x")
    service.erasure.erase(reading=reading.id, actor=ANNA)
    service.retention.apply(1, actor=ANNA)
    service.repair.check(repair=True, actor=ANNA)
    return service


def test_all_that_is_kept_is_the_owners_alone(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "new" / "data"
    service = use(folder)
    try:
        assert (folder / "secondread.sqlite-wal").exists()
        assert modes(tmp_path / "new") == {}
        out = tmp_path / "backups" / "one.tar.gz"
        back_up(service.database, service.images, out, actor=ANNA)
    finally:
        service.close()
    assert modes(out.parent) == {}
    restore(out, tmp_path / "restored" / "data")
    again = Service.open({"DATA_FOLDER": str(tmp_path / "restored" / "data"), "DATABASE": ""})
    try:
        stage(again, image_bytes(9))
        assert modes(tmp_path / "restored") == {}
    finally:
        again.close()


def test_results_follow_the_umask(tmp_path: Path, umask: int) -> None:
    write_bytes(tmp_path / "evidence.json", b"{}")
    assert stat.S_IMODE((tmp_path / "evidence.json").stat().st_mode) == 0o666 & ~umask


def test_a_folder_above_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    private_folder(tmp_path / "a" / "b")
    private_file(tmp_path / "a" / "file")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert modes(tmp_path / "a") == {}


def test_what_was_open_is_closed_at_the_start_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "data"
    use(folder).close()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o644)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("")
    n = len(open_to_others(folder))
    with caplog.at_level(logging.WARNING, "secondread.service"):
        Service.open({"DATA_FOLDER": str(folder), "DATABASE": ""}).close()
        Service.open({"DATA_FOLDER": str(folder), "DATABASE": ""}).close()
    (folder / "link").unlink()
    assert modes(folder) == {}
    (line,) = [record.getMessage() for record in caplog.records if "reached by others" in record.getMessage()]
    assert f"{n} files and folders" in line
    assert "mode 777" in line
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) != 0o600


def test_a_folder_of_another_user_is_told_and_one_that_all_may_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    private_folder(folder)
    folder.chmod(0o750)
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
    with caplog.at_level(logging.WARNING, "secondread.service"):
        assert close_to_others(folder) == 0
    assert "belongs to user" in caplog.text
    folder.chmod(0o777)
    with pytest.raises(ServiceError, match="chown"):
        close_to_others(folder)
