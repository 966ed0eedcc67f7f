"""One contract for every place where bytes of images lie: whole, durable, private, and honest about outages."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from secondread.errors import CannotWrite, DiskFull, ExtraMissing, NotThere, StorageAway, UsageError
from secondread.service import storage
from secondread.service.image_store import ImageStore
from secondread.service.object_storage import ObjectStorage, storage_of
from secondread.service.storage import LocalStorage, Storage, Stored

A, B, C = "images/aa/aa01", "images/ab/ab01", "images/ab/ab02"


@pytest.fixture(params=["local", "objects"])
def place(request: pytest.FixtureRequest) -> Storage:
    """Each kind of storage."""
    found: Storage = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def objects(tmp_path: Path) -> Storage:
    """Object storage, prepared and empty."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: the extra 's3' brings it")
    found = storage_of(tmp_path / "data", f"memory://test/{uuid4().hex}")
    found.prepare()
    return found


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    """A folder, prepared and empty."""
    found = LocalStorage(tmp_path / "data")
    found.prepare()
    return found


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced, in order: names of files and folders, and '*' for a whole file system."""
    order: list[str] = []
    fsync, whole = os.fsync, storage.sync_filesystem

    def one(handle: int) -> None:
        order.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def all_of_it(folder: Path) -> bool:
        order.append("*")
        return whole(folder)

    monkeypatch.setattr("os.fsync", one)
    monkeypatch.setattr(storage, "sync_filesystem", all_of_it)
    return order


def keys(found: Iterator[Stored]) -> list[str]:
    return sorted(one.key for one in found)


def test_what_was_written_is_read_back(place: Storage) -> None:
    place.write(A, b"one")
    place.write_many({B: b"second", C: b""})
    assert [place.read(key) for key in (A, B, C)] == [b"one", b"second", b""]
    assert [place.size(key) for key in (A, B, C)] == [3, 6, 0]
    assert place.exists(A)
    assert not place.exists("images/aa/aa02")
    place.write_many({})
    place.check()


def test_a_later_file_takes_the_place_of_an_earlier_one(place: Storage) -> None:
    place.write(A, b"one")
    place.write(A, b"other")
    assert place.read(A) == b"other"


def test_lines_are_added_at_the_end(place: Storage) -> None:
    place.append("erasures.jsonl", b"one\n")
    place.append("erasures.jsonl", b"two\n")
    assert place.read("erasures.jsonl") == b"one\ntwo\n"


@pytest.mark.parametrize("ask", ["read", "size"])
def test_what_is_not_there_is_said_not_to_be_there(place: Storage, ask: str) -> None:
    with pytest.raises(NotThere):
        getattr(place, ask)(A)


def test_deleting_counts_what_was_there(place: Storage) -> None:
    place.write_many({A: b"1", B: b"2", C: b"3"})
    assert place.delete(A, B, "images/zz/zz") == 2
    assert place.delete(A) == 0
    assert place.delete() == 0
    assert keys(place.list("images/")) == [C]


def test_lists_go_by_the_beginning_of_a_key(place: Storage) -> None:
    place.write_many({A: b"1", B: b"22", C: b"333", "heads/ab/x": b""})
    assert keys(place.list("images/")) == [A, B, C]
    assert keys(place.list("images/ab/")) == [B, C]
    assert keys(place.list("images/ab/ab02")) == [C]
    assert keys(place.list("")) == ["heads/ab/x", A, B, C]
    assert keys(place.list("images/ac/")) == keys(place.list("none/")) == []
    sizes = {one.key: one.n_bytes for one in place.list("images/ab/")}
    assert sizes == {B: 2, C: 3}
    assert all(one.modified > 1.7e9 for one in place.list("images/"))


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "images/../../x", "images/.hidden", "images//x", "a\0b"])
def test_no_key_leaves_its_place(place: Storage, key: str) -> None:
    for act in (place.read, place.exists, place.delete, lambda key: place.write(key, b"")):
        with pytest.raises(ValueError, match="no key"):
            act(key)


def test_files_and_folders_are_the_owners_alone(local: LocalStorage) -> None:
    was = os.umask(0)
    try:
        local.write_many({A: b"1", B: b"2"})
    finally:
        os.umask(was)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (local.folder, *local.folder.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_one_file_costs_one_sync_and_one_of_its_folder(local: LocalStorage, syncs: list[str]) -> None:
    local.write(B, b"1")
    syncs.clear()
    local.write(C, b"2")
    assert [name.rpartition("-")[0].split(".")[1] if name.endswith(".new") else name for name in syncs] == [
        "ab02",
        "ab",
    ]


def test_many_files_cost_two_syncs(local: LocalStorage, syncs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_syncfs", lambda handle: 0)
    monkeypatch.setattr(storage, "_kind_of", lambda handle: storage._TRUSTED[0])
    local.write_many({f"images/{n:02x}/{n:02x}01": b"x" * n for n in range(16)})
    assert syncs == ["*", "*"]


def test_a_file_system_that_may_hide_errors_is_synced_file_by_file(
    local: LocalStorage, syncs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fuse = 0x65735546
    monkeypatch.setattr(storage, "_syncfs", lambda handle: 0)
    monkeypatch.setattr(storage, "_kind_of", lambda handle: fuse)
    local.write_many({A: b"1", B: b"2"})
    assert sorted(syncs[-3:]) == ["aa", "ab", "images"]


@pytest.mark.skipif(storage._syncfs is None, reason="syncfs is not there, or says nothing of errors (Linux before 5.8)")
def test_the_system_is_asked_what_it_is(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        known = storage._kind_of(handle) in storage._TRUSTED
    finally:
        os.close(handle)
    assert storage.sync_filesystem(tmp_path) == known
    with pytest.raises(OSError, match="No such file"):
        storage.sync_filesystem(tmp_path / "none")


def test_without_syncfs_each_file_and_folder_is_synced(
    local: LocalStorage, syncs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "sync_filesystem", lambda folder: False)
    local.write_many({A: b"1", B: b"2", C: b"3"})
    files, folders = syncs[:3], syncs[3:]
    assert all(name.endswith(".new") for name in files)  # before they are renamed
    assert sorted(folders) == ["aa", "ab", "images"]  # and the folder that names the new folders


def test_the_bytes_are_on_the_disk_before_the_name_is(local: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def look(paths: object, place: Path) -> None:
        seen.append(keys(local.list("images/")))

    monkeypatch.setattr(storage, "durable", look)
    local.write_many({A: b"1", B: b"2"})
    assert seen == [[], [A, B]]


def test_what_is_there_is_not_written_anew_but_is_made_durable(local: LocalStorage, syncs: list[str]) -> None:
    local.write(B, b"1")
    inode = (local.folder / B).stat().st_ino
    os.utime(local.folder / B, (1e9, 1e9))
    syncs.clear()
    local.write_many({B: b"1"}, once=True)
    assert (local.folder / B).stat().st_ino == inode
    assert next(local.list(B)).modified > 1.7e9  # as young as the row that will name it: no repair removes it
    assert syncs == ["ab"]  # another process may have renamed it, and been killed before it did this


@pytest.mark.parametrize("at", [1, 2], ids=["bytes", "names"])
def test_a_failure_leaves_nothing_half_written(local: LocalStorage, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    local.write(C, b"old")
    calls = []

    def fail(paths: object, place: Path) -> None:
        calls.append(paths)
        if len(calls) == at:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(storage, "durable", fail)
    with pytest.raises(CannotWrite, match="Input/output error"):
        local.write_many({A: b"1", C: b"new"})
    assert not list(local.folder.rglob(".*"))
    assert local.read(C) == (b"old" if at == 1 else b"new")


def test_a_full_disk_has_an_error_of_its_own(local: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "_write_private", full)
    with pytest.raises(DiskFull, match="free some space"):
        local.write_many({A: b"1", B: b"2"})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10**6))
    assert local.room() == 10**6
    with pytest.raises(DiskFull, match="1 MB free"):
        local.check()


def test_a_folder_that_is_gone_cannot_be_written_to(local: LocalStorage) -> None:
    local.folder.rmdir()
    with pytest.raises(CannotWrite):
        local.check()


def test_a_bucket_that_is_gone_does_not_say_that_images_are(objects: ObjectStorage) -> None:
    """Erased images are 404, an upload of one that is gone is closed as erased: an outage must not look like that."""
    objects.write(A, b"1")
    objects._fs.rm(objects._root, recursive=True)
    for act in (objects.read, objects.size, objects.exists, objects.delete):
        with pytest.raises(StorageAway, match="the bucket is gone"):
            act(A)
    with pytest.raises(StorageAway):
        list(objects.list("images/"))


@pytest.mark.parametrize("url", ["s3:/bucket", "s3://", "ftp://x/y", "s3://b/../c", "/srv/images", "s3://user:pw@b/c"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed: the extra 's3' brings it")
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        storage_of(tmp_path, url)


def test_without_s3fs_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondread.service.object_storage.find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match="'s3'"):
        storage_of(tmp_path, "s3://bucket/prefix")


def test_hosts_with_another_secret_are_told_so(tmp_path: Path, objects: ObjectStorage) -> None:
    (tmp_path / "one").write_bytes(b"1" * 32)
    (tmp_path / "other").write_bytes(b"2" * 32)
    ImageStore(tmp_path / "a", objects, key_file=str(tmp_path / "one")).prepare()
    ImageStore(tmp_path / "b", objects, key_file=str(tmp_path / "one")).prepare()
    with pytest.raises(UsageError, match="give every host the same"):
        ImageStore(tmp_path / "c", objects, key_file=str(tmp_path / "other")).prepare()
    with pytest.raises(UsageError, match="openssl rand 32"):
        ImageStore(tmp_path / "d", objects).prepare()
    assert keys(objects.list("")) == []


def test_a_process_that_was_forked_asks_anew(objects: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsspec asks in a thread, which a fork does not take along."""
    before = objects._fs
    assert objects._fs is before
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert objects._fs
    assert list(objects._opened) == [-1]
