"""What kills leave behind is found and removed, and never what an upload has just written."""

import logging
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from secondread.files import private_folder
from secondread.service import ReadingRequest, Service
from secondread.service.backup import BACKING_UP, RESTORING, back_up
from secondread.service.repair import Repair
from secondread.service.tables import ImageRow, ItemRow, ReadingRow, now
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

ORPHAN = "0a" + "1" * 62


def told(service: Service, *, repair: bool = False) -> dict[str, tuple[int, int]]:
    return {one.what: (one.n, one.mended) for one in service.repair.check(repair=repair, actor=ANNA) if one.n}


def aged(path: Path, data: bytes = b"x", *, minutes: float = 120) -> Path:
    private_folder(path.parent)
    path.write_bytes(data)
    path.chmod(0o600)
    then = time.time() - 60 * minutes
    os.utime(path, (then, then))
    return path


@pytest.fixture
def read(service: Service) -> int:
    """The number of a reading with its pictures."""
    sha = stage(service, image_bytes(0))
    return service.readings.add(draft(0.9), image_sha256=sha, name="n.png", actor=ANNA)[0].id


def test_nothing_is_wrong_after_ordinary_use(service: Service, read: int) -> None:
    service.intake.take([("a.png", image_bytes(3)), ("b.txt", b"no")], ReadingRequest("auto"), actor=ANNA)
    other = stage(service, image_bytes(2))
    service.erasure.erase(
        reading=service.readings.add(draft(0.2), image_sha256=other, name="n", actor=ANNA)[0].id, actor=ANNA
    )
    assert told(service) == {}
    assert service.repair.look() == []


def test_files_that_no_row_names_are_found_and_removed_and_only_those(service: Service, read: int) -> None:
    folder = service.folder
    orphans = [
        aged(folder / "images" / "0a" / ORPHAN),
        aged(folder / "thumbnails" / "0a" / f"{ORPHAN}.png"),
        aged(folder / "heatmaps" / "0a" / f"{ORPHAN}-{'b' * 16}.png"),
        aged(folder / "pictures" / "0a" / f"{ORPHAN}-image-f0-4096-v1"),
        aged(folder / "images" / "0a" / f".{ORPHAN}.12-ab.new"),
        aged(folder / ".key-x"),
        aged(folder.parent / f"{RESTORING}abc" / "images" / "0a" / ORPHAN).parent.parent.parent,
    ]
    os.utime(orphans[-1], (1, 1))
    for inside in orphans[-1].rglob("*"):
        os.utime(inside, (1, 1))
    young = aged(folder / "images" / "0b" / ("0b" + "2" * 62), minutes=1)
    aside = aged(folder / "images" / "0b" / ".x.new", minutes=30)
    before = told(service)
    assert before == {
        "image files that no row names": (1, 0),
        "pictures of no reading": (3, 0),
        "files that were never finished": (2, 0),
        "folders of restores that were killed": (1, 0),
    }
    assert all(path.exists() for path in orphans)
    assert told(service, repair=True) == {what: (n, n) for what, (n, _) in before.items()}
    assert not any(path.exists() for path in orphans)
    assert young.exists()
    assert aside.exists()
    assert service.readings.image(read, actor=ANNA)
    assert service.readings.thumbnails([read], actor=ANNA)
    assert told(service) == {}
    (line,) = service.trail.lines(action="orphans.removed")
    assert ORPHAN in line["detail"]


def test_an_upload_that_comes_as_its_old_orphan_is_removed_keeps_its_file(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row may come between the first look and the removal; the file is an old one, of a killed upload."""
    data = image_bytes(5)
    sha = stage(service, data)
    with service.database.begin() as session:
        session.execute(text("DELETE FROM images"))
    path = service.folder / "images" / sha[:2] / sha
    aged(path, path.read_bytes())
    remove = Repair._remove

    def slowly(self: Repair, *args: object) -> tuple[int, int]:
        assert stage(service, data) == sha
        return remove(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Repair, "_remove", slowly)
    assert told(service, repair=True) == {"image files that no row names": (1, 0)}
    assert service.images.image(sha)


def test_rows_that_lead_nowhere_are_told_and_those_that_can_be_are_mended(service: Service, read: int) -> None:
    with service.database.begin() as session:
        row = session.get_one(ReadingRow, read)
        row.map_cells = None
    service.images.forget(row.image_sha256)
    batch = service.intake.take([("a.png", image_bytes(3))], ReadingRequest("auto"), actor=ANNA)
    with service.database.begin() as session:
        waits = session.scalar(select(ItemRow.image_sha256).where(ItemRow.batch_id == batch)) or ""
        session.execute(update(ImageRow).where(ImageRow.sha256 == waits).values(erased_at=now()))
    aged(service.folder / "images" / waits[:2] / waits, b"x")
    assert told(service, repair=True) == {
        "image files that no row names": (1, 1),
        "images whose file is missing": (1, 0),
        "readings whose heat map is missing": (1, 1),
        "items of uploads that lead nowhere": (1, 1),
    }
    assert service.readings.thumbnails([read], actor=ANNA) == {}  # the list is shown all the same
    assert [item.state for item in service.queue.items(batch)] == ["failed"]
    assert told(service) == {"images whose file is missing": (1, 0)}


def test_a_look_at_the_start_finds_what_a_kill_struck(
    service: Service, read: int, caplog: pytest.LogCaptureFixture
) -> None:
    aged(service.folder / ".key-x")
    with service.database.reading() as session:
        service.images.forget(session.get_one(ReadingRow, read).image_sha256)
    with caplog.at_level(logging.WARNING, "secondread.service"):
        service.repair.warn()
    assert "files that were never finished: 1" in caplog.text
    found = {one.what for one in service.repair.look()}
    assert {"of the newest 50 images those whose file is missing", "files that were never finished"} <= found


def test_a_broken_trail_and_broken_keys_are_told(service: Service, read: int) -> None:
    if not service.database.is_sqlite:
        pytest.skip("PostgreSQL holds its keys itself")
    connection = service.database.engine.raw_connection()
    connection.cursor().execute("PRAGMA foreign_keys = OFF")
    connection.cursor().execute("BEGIN")
    connection.cursor().execute("UPDATE readings SET image_sha256 = ?", ["0c" + "3" * 62])
    connection.cursor().execute("DROP TRIGGER IF EXISTS trail_no_update")
    connection.cursor().execute("COMMIT")
    connection.close()
    found = told(service, repair=True)
    assert found["rows that refer to none"] == (1, 0)


def test_a_killed_backup_leaves_no_copy_for_long(service: Service, tmp_path: Path) -> None:
    left = aged(tmp_path / "out" / f"{BACKING_UP}abc" / "archive").parent
    os.utime(left, (1, 1))
    at_work = aged(tmp_path / "out" / f"{BACKING_UP}now" / "archive", minutes=0).parent
    back_up(service.database, service.images, tmp_path / "out" / "one.tar.gz", actor=ANNA)
    assert not left.exists()
    assert at_work.exists()


def test_what_another_host_erased_goes_from_this_one(service: Service, read: int) -> None:
    kept = aged(service.folder / "pictures" / stored(service, read)[:2] / f"{stored(service, read)}-image-f0-4096-v1")
    gone = aged(service.folder / "pictures" / "0a" / f"{ORPHAN}-image-f0-4096-v1")
    assert service.repair.forget_pictures() == 1
    assert (kept.exists(), gone.exists()) == (True, False)


def stored(service: Service, reading: int) -> str:
    """The hash of a reading's image."""
    return service.readings.get(reading, actor=ANNA).image_sha256


def test_left_over_bytes_that_come_in_again_stay(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their upload has found the file there, and its row comes a moment later."""
    path = aged(service.folder / "images" / "0a" / ORPHAN)
    remove = Repair._remove

    def meanwhile(repair: Repair, *arguments: object) -> object:
        service.images.storage.write_many({f"images/0a/{ORPHAN}": b"x"}, once=True)
        return remove(repair, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Repair, "_remove", meanwhile)
    assert told(service, repair=True) == {"image files that no row names": (1, 0)}
    assert path.exists()
