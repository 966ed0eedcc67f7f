"""The whole service with its images in object storage: what is erased, repaired, backed up and brought back there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from secondread.errors import Conflict, NotThere, StorageAway
from secondread.service import Service, back_up, restore, storage_of
from secondread.service.image_store import ERASURES
from secondread.service.object_storage import ObjectStorage
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

pytest.importorskip("s3fs", reason="s3fs is not installed: the extra 's3' brings it")
Host = Callable[[str], Service]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Opens a service with a folder of its own; all share a database and images."""
    url = f"memory://hosts/{uuid4().hex}"
    (tmp_path / "site.key").write_bytes(b"k" * 32)
    opened: list[Service] = []

    def open_host(name: str) -> Service:
        settings = {"DATA_FOLDER": str(tmp_path / name), "DATABASE": f"sqlite:///{tmp_path}/shared.sqlite"}
        opened.append(Service.open({**settings, "IMAGES": url, "SITE_KEY": str(tmp_path / "site.key")}))
        return opened[-1]

    yield open_host
    for one in opened:
        one.close()


def kept(service: Service) -> list[str]:
    return sorted(one.key.rpartition("/")[2] for one in service.images.storage.list("images/"))


def read(service: Service, number: int) -> int:
    """The number of a reading of an image that is kept."""
    sha256 = stage(service, image_bytes(number))
    return service.readings.add(draft(0.9), image_sha256=sha256, name="n.png", actor=ANNA)[0].id


def test_what_one_host_keeps_another_shows(host: Host) -> None:
    one, other = host("one"), host("other")
    reading = read(one, 1)
    assert other.readings.image(reading, actor=ANNA) == image_bytes(1)
    assert other.images.secret("names") == one.images.secret("names")
    assert not (one.folder / "images").exists()
    assert not (one.folder / "site.key").exists()


def test_a_person_is_erased_there_and_the_list_of_it_too(host: Host) -> None:
    one, other = host("one"), host("other")
    reading, stays = read(one, 1), read(one, 2)
    other.erasure.erase(reading=reading, actor=ANNA)
    assert kept(one) == [one.readings.get(stays, actor=ANNA).image_sha256]
    assert one.images.storage.read(ERASURES).count(b"\n") == 1
    assert "memory://" in other.erasure.list_name
    with pytest.raises(NotThere):
        one.images.image(one.readings.get(reading, actor=ANNA, deleted=True).image_sha256)


def test_orphans_and_losses_are_found_there(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    service = host("one")
    reading = read(service, 1)
    orphan = "0a" + "1" * 62
    service.images.storage.write(f"images/0a/{orphan}", b"x")
    monkeypatch.setattr("secondread.service.repair._YOUNG", -60.0)
    found = {one.what: (one.n, one.mended) for one in service.repair.check(repair=True, actor=ANNA) if one.n}
    assert found == {"image files that no row names": (1, 1)}
    sha256 = service.readings.get(reading, actor=ANNA).image_sha256
    assert kept(service) == [sha256]
    service.images.storage.delete(f"images/{sha256[:2]}/{sha256}")
    found = {one.what: one.n for one in service.repair.check(actor=ANNA) if one.n}
    assert found == {"images whose file is missing": 1}


@pytest.fixture
def archive(host: Host, tmp_path: Path) -> Path:
    """A backup of two images and an erasure."""
    service = host("one")
    read(service, 1)
    read(service, 2)
    service.erasure.erase(reading=read(service, 3), actor=ANNA)
    path = tmp_path / "backup.tar.gz"
    assert back_up(service.database, service.images, path, actor=ANNA).n_files == 4  # database, list, two images
    return path


def test_a_backup_comes_back_into_other_storage(archive: Path, host: Host, tmp_path: Path) -> None:
    service, again = host("one"), storage_of(tmp_path, f"memory://hosts/{uuid4().hex}")
    restore(archive, tmp_path / "again", storage=again)
    expected = sorted(one.key for one in service.images.storage.list(""))
    assert sorted(one.key for one in again.list("")) == expected
    assert len(expected) == 3
    assert again.read(ERASURES) == service.images.storage.read(ERASURES)
    assert not (tmp_path / "again" / "images").exists()
    with pytest.raises(Conflict, match="not empty"):
        restore(archive, tmp_path / "once more", storage=again)


def test_and_into_a_folder(archive: Path, host: Host, tmp_path: Path) -> None:
    restore(archive, tmp_path / "again")
    assert sorted(path.name for path in (tmp_path / "again" / "images").rglob("*") if path.is_file()) == kept(host("x"))


def test_a_restore_that_fails_leaves_nothing_in_the_storage(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = storage_of(tmp_path, f"memory://hosts/{uuid4().hex}")
    write, written = ObjectStorage.write, []

    def fails(place: ObjectStorage, key: str, data: bytes) -> None:
        if written:
            raise StorageAway("it went away", retry_after=5)
        written.append(key)
        write(place, key, data)

    monkeypatch.setattr(ObjectStorage, "write", fails)
    with pytest.raises(StorageAway):
        restore(archive, tmp_path / "again", storage=again)
    assert (written, list(again.list(""))) == ([written[0]], [])
    assert not (tmp_path / "again").exists()
