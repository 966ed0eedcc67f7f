"""Retention, backup and restore: what goes is proven gone, what is kept comes back whole."""

import gzip
import tarfile
from datetime import timedelta

import pytest
from sqlalchemy import update

from secondread.errors import BackupDamaged, CannotOpen, Conflict, NotThere, UsageError
from secondread.service import Service, back_up, restore
from secondread.service.maintenance import maintenance
from secondread.service.tables import ImageRow, now
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage


def _fill(service: Service, n: int = 3) -> list[int]:
    ids = []
    for number in range(n):
        sha = stage(service, image_bytes(number))
        reading, _ = service.readings.add(draft(0.9), image_sha256=sha, name=f"Doe {number}.png", actor=ANNA)
        service.reviews.add(reading.id, verdict="agree", note="Doe again", actor=ANNA, role="reviewer")
        ids.append(reading.id)
    return ids


def _age(service: Service, days: int) -> None:
    with service.database.begin() as session:
        session.execute(update(ImageRow).values(received_at=now() - timedelta(days=days)))


def _files(service: Service) -> list[str]:
    kinds = ("images", "pictures")
    return sorted(path.name for kind in kinds for path in (service.folder / kind).glob("*/*"))


def test_retention_deletes_pictures_and_names_and_keeps_what_was_measured(service: Service) -> None:
    ids = _fill(service)
    assert service.retention.apply(30, actor=ANNA).images == 0
    _age(service, 31)
    young = stage(service, image_bytes(99))
    assert service.retention.due(30) == 3
    found = service.retention.apply(30, actor=ANNA)
    assert (found.images, found.readings) == (3, 3)
    assert _files(service) == [young]
    for reading_id in ids:
        reading = service.readings.get(reading_id, actor=ANNA)
        assert (reading.name, reading.probability, reading.finding) == ("", 0.9, 1)
        assert reading.erased_at is not None
        assert [review.note for review in service.reviews.of(reading_id)] == [""]
        with pytest.raises(NotThere):
            service.readings.image(reading_id, actor=ANNA)
    proofs = list(service.trail.lines(action="image.erased"))
    assert len(proofs) == 3
    assert "more than 30 days ago" in proofs[0]["detail"]
    assert "Doe" not in str(list(service.trail.lines()))
    assert service.retention.apply(30, actor=ANNA).images == 0


def test_an_image_that_waits_stays_and_one_sent_again_comes_back(service: Service) -> None:
    from secondread.service import ReadingRequest

    (reading_id,) = _fill(service, 1)
    batch = service.intake.take([("0.png", image_bytes(0))], ReadingRequest("tuberculosis"), actor=ANNA)
    _age(service, 31)
    assert service.retention.due(30) == 0
    service.queue.cancel(batch, actor=ANNA)
    service.retention.apply(30, actor=ANNA)
    sha = stage(service, image_bytes(0))
    again, new = service.readings.add(draft(0.9), image_sha256=sha, name="new.png", actor=ANNA)
    assert (again.id, new, again.name, again.erased_at) == (reading_id, False, "new.png", None)
    assert service.readings.image(reading_id, actor=ANNA)


def test_less_than_a_day_is_no_rule(service: Service) -> None:
    with pytest.raises(UsageError):
        service.retention.apply(0, actor=ANNA)


def test_a_backup_comes_back_whole_and_the_trail_with_it(service: Service, tmp_path, request) -> None:
    ids = _fill(service)
    out = tmp_path / "backups" / "one.tar.gz"
    made = back_up(service.database, service.images, out, actor=ANNA)
    assert made.n_files == 1 + 1 + 3
    url = "" if service.database.is_sqlite else request.getfixturevalue("empty_postgresql")
    target = tmp_path / "restored"
    assert restore(out, target, url=url).trail == made.trail
    again = Service.open({"DATA_FOLDER": str(target), "DATABASE": url})
    try:
        assert again.readings.image(ids[0], actor=ANNA) == image_bytes(0)
        assert again.readings.heat_map(ids[0], actor=ANNA) == service.readings.heat_map(ids[0], actor=ANNA)
        assert [row.id for row in again.worklist.page(actor=ANNA).rows] == ids
        assert again.images.secret("x") == service.images.secret("x")
        again.trail.verify()
        fresh = stage(again, image_bytes(77))  # numbers go on where they ended
        assert again.readings.add(draft(0.2), image_sha256=fresh, name="n", actor=ANNA)[1]
    finally:
        again.close()
    with pytest.raises(Conflict, match="not empty"):
        restore(out, target, url=url)
    with pytest.raises(Conflict, match="already"):
        back_up(service.database, service.images, out, actor=ANNA)


@pytest.fixture
def archive(tmp_path):
    opened = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    _fill(opened)
    out = tmp_path / "one.tar.gz"
    back_up(opened.database, opened.images, out, actor=ANNA)
    opened.close()
    return out


def test_a_damaged_cut_or_foreign_archive_leaves_nothing_behind(archive, tmp_path) -> None:
    plain = gzip.decompress(archive.read_bytes())
    at = plain.index(image_bytes(1))
    cases = {
        "changed": gzip.compress(plain[: at + 60] + b"XXXX" + plain[at + 64 :]),
        "cut": archive.read_bytes()[:-2000],
        "short": gzip.compress(plain[: len(plain) // 2]),
        "foreign": b"not an archive",
        "empty": b"",
    }
    for name, data in cases.items():
        wrong = tmp_path / f"{name}.tar.gz"
        wrong.write_bytes(data)
        with pytest.raises(BackupDamaged):
            restore(wrong, tmp_path / "target")
        assert not (tmp_path / "target").exists()
    with pytest.raises(CannotOpen):
        restore(tmp_path / "none", tmp_path / "target")


def test_an_archive_that_points_outside_is_refused(tmp_path) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("../evil")
        tar.addfile(entry)
    with pytest.raises(BackupDamaged, match="no backup of ours"):
        restore(path, tmp_path / "target")
    assert not (tmp_path / "evil").exists()


def test_backup_and_retention_never_run_beside_each_other(service: Service, tmp_path) -> None:
    with maintenance(service.database, service.folder), pytest.raises(Conflict, match="running"):
        service.retention.apply(1, actor=ANNA)
