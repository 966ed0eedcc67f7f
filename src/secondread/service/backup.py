"""Backup and restore: database and folder as one archive, with a checksum of every file in it."""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from secondread import __version__
from secondread.errors import (
    BackupDamaged,
    CannotOpen,
    Conflict,
    NotThere,
    SecondReadError,
)
from secondread.files import PRIVATE_FILE, private_folder
from secondread.service.database import FILE_NAME, Database
from secondread.service.dumps import copy_database, end_of_trail, restore_postgresql
from secondread.service.erasure import Erasing, Erasure
from secondread.service.image_store import ERASURES, IMAGES, KEY_FILE, OF_BEFORE, ImageStore
from secondread.service.maintenance import maintenance
from secondread.service.sessions import end_everywhere
from secondread.service.storage import LocalStorage, Storage
from secondread.service.tables import iso, now
from secondread.service.trail import LOCAL, Actor, AuditTrail

FORMAT, VERSION = "secondread-backup", 1
_MANIFEST, _DUMP = "manifest.json", "database.dump"
_CHUNK = 1 << 20
BACKING_UP, RESTORING = ".secondread-backup-", ".secondread-restore-"  # begin the names of folders that are written to
ABANDONED = 3600.0  # seconds without a change after which such a folder, or a file that is written aside, is no one's


@dataclass(frozen=True)
class BackupFacts:
    """What an archive holds."""

    path: Path
    created: str
    database: str  # 'sqlite' or 'postgresql'
    n_files: int
    n_bytes: int  # unpacked
    trail: str  # where the audit trail ended
    erased: int = 0  # images that were erased again as it was restored


def back_up(database: Database, images: ImageStore, out: Path, *, actor: Actor) -> BackupFacts:
    """Write everything into one .tar.gz, aside and then renamed; the service may run meanwhile.

    Raises Conflict where `out` is there or retention is running, ServiceError where the database cannot be copied.
    """
    if out.exists():
        raise Conflict(f"'{out}' is there already; give another name")
    AuditTrail(database).record(actor, "backup.made", "backup")
    private_folder(out.parent)
    remove_abandoned(out.parent, BACKING_UP)
    with maintenance(database, images.folder), tempfile.TemporaryDirectory(dir=out.parent, prefix=BACKING_UP) as aside:
        copy = Path(aside) / (FILE_NAME if database.is_sqlite else _DUMP)
        copy_database(database, copy)
        archive = Path(aside) / "archive"
        facts = _write(archive, copy, database, images)
        archive.replace(out)
    return BackupFacts(out, facts["created"], facts["database"], *_sizes(facts), facts["trail"])


def restore(
    archive: Path,
    folder: Path,
    *,
    url: str = "",
    storage: Storage | None = None,
    erasings: Sequence[Erasing] = (),
    actor: Actor = LOCAL,
) -> BackupFacts:
    """Put a backup into an empty data folder (and an empty PostgreSQL database, where it was made of one).

    Every checksum and the audit trail are verified before anything is in place. storage: where the images go, if not
    into the folder; it has to be empty, too. erasings: of people who were erased since it was made, and are erased
    again before it is in place.
    Raises CannotOpen, BackupDamaged, or Conflict where the target holds something.
    """
    folder = folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"'{folder}' is not empty; restore into a new folder, so that nothing is lost")
    elsewhere = None if isinstance(storage, LocalStorage) else storage
    if elsewhere is not None:
        elsewhere.prepare()
        if next(elsewhere.list(""), None) is not None:
            raise Conflict(f"{elsewhere.name} is not empty; restore into a new place, so that nothing is lost")
    private_folder(folder.parent)
    remove_abandoned(folder.parent, RESTORING)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=RESTORING))
    n_erased = 0
    try:
        manifest = _unpack(archive, aside)
        if manifest["database"] == "postgresql":
            restore_postgresql(aside / _DUMP, folder, url)
            (aside / _DUMP).unlink()
        elif url:
            raise Conflict("this backup was made of SQLite; leave --database out, it comes back into the folder")
        database = Database.open(aside, url)
        try:
            found = AuditTrail(database).verify_lines()
            if str(found) != manifest["trail"]:
                raise BackupDamaged(f"the audit trail in '{archive}' is not the one that was backed up")
            if elsewhere is not None:
                _put_elsewhere(aside, elsewhere)
            if erasings:
                database.upgrade()
                n_erased = Erasure(database, ImageStore(aside, elsewhere)).repeat(erasings, actor=actor)
            end_everywhere(database)
        finally:
            database.close()
        if folder.exists():
            folder.rmdir()
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sizes = _sizes(manifest)
    return BackupFacts(archive, manifest["created"], manifest["database"], *sizes, manifest["trail"], n_erased)


def _put_elsewhere(aside: Path, storage: Storage) -> None:
    """Move the images of an unpacked backup into the storage, and its list of erasures; all of them, or none."""
    put: list[str] = []
    try:
        for one in chain(LocalStorage(aside).list(f"{IMAGES}/"), LocalStorage(aside).list(ERASURES)):
            put.append(one.key)
            storage.write(one.key, (aside / one.key).read_bytes())
    except SecondReadError:
        with suppress(SecondReadError):
            storage.delete(*put)
        raise
    shutil.rmtree(aside / IMAGES, ignore_errors=True)
    (aside / ERASURES).unlink(missing_ok=True)


def remove_abandoned(place: Path, prefix: str) -> int:
    """Remove folders that a killed backup or restore left in a place: they hold patients' images. How many."""
    left = [path for path in place.glob(f"{prefix}*") if path.is_dir() and is_abandoned(path)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def is_abandoned(path: Path) -> bool:
    """Whether neither a file or folder nor anything in it changed for an hour."""
    try:
        last = max(one.stat().st_mtime for one in (path, *(path.rglob("*") if path.is_dir() else ())))
    except FileNotFoundError:  # it is at work
        return False
    return time.time() - last > ABANDONED


def _sizes(manifest: dict[str, Any]) -> tuple[int, int]:
    return len(manifest["files"]), sum(row["n_bytes"] for row in manifest["files"].values())


def _write(archive: Path, copy: Path, database: Database, images: ImageStore) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    with (
        os.fdopen(os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb") as raw,
        # Images are compressed already: the least effort costs little and wins on the database.
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for name, path in [(copy.name, copy), *_files(images.folder)]:
            files[name] = _add(tar, name, path)
        for name, data in _images(images.storage):
            files[name] = _add_bytes(tar, name, data)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "secondread": __version__,
            "created": iso(now()),
            "database": "sqlite" if database.is_sqlite else "postgresql",
            "trail": end_of_trail(copy, database),
            "files": files,
        }
        text = json.dumps(manifest, indent=1).encode()
        entry = tarfile.TarInfo(_MANIFEST)
        entry.size, entry.mode = len(text), PRIVATE_FILE
        tar.addfile(entry, io.BytesIO(text))
    with archive.open("rb") as written:
        os.fsync(written.fileno())
    return manifest


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """What lies beside the images; of earlier versions their pictures too, where they are yet to be taken over."""
    before = (path for kind in OF_BEFORE for path in sorted((folder / kind).glob("??/*")))
    for path in (folder / KEY_FILE, *before):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix(), path


def _images(storage: Storage) -> Iterator[tuple[str, bytes]]:
    """(key, bytes) of every image, one at a time, and of the list of erasures; what is erased meanwhile is left out."""
    for key in chain([ERASURES], (one.key for one in storage.list(f"{IMAGES}/"))):
        with suppress(NotThere):
            yield key, storage.read(key)


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> dict[str, Any]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), PRIVATE_FILE
    tar.addfile(entry, io.BytesIO(data))
    return {"sha256": hashlib.sha256(data).hexdigest(), "n_bytes": len(data)}


def _add(tar: tarfile.TarFile, name: str, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = os.fstat(file.fileno()).st_size, PRIVATE_FILE
        hashing = _Hashing(file)
        tar.addfile(entry, hashing)
    return {"sha256": hashing.digest.hexdigest(), "n_bytes": entry.size}


class _Hashing(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: Any):
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        data = bytes(self._file.read(size))
        self.digest.update(data)
        return data


def _unpack(archive: Path, aside: Path) -> dict[str, Any]:
    """Unpack into a folder of our own, and check all of it against the manifest."""
    found: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] | None = None
    with _opened(archive) as tar:
        for entry in tar:
            path = PurePosixPath(entry.name)
            if not entry.isfile() or path.is_absolute() or ".." in path.parts:
                raise BackupDamaged(f"'{archive}' holds '{entry.name}', which no backup of ours does")
            content = tar.extractfile(entry)
            assert content is not None
            if entry.name == _MANIFEST:
                manifest = json.loads(content.read())
                continue
            found[entry.name] = _extract(content, aside / path)
    if manifest is None or manifest.get("format") != FORMAT:
        raise BackupDamaged(f"'{archive}' is cut short, or no backup of secondread: it has no {_MANIFEST}")
    if manifest.get("version") != VERSION:
        raise BackupDamaged(f"'{archive}' has version {manifest.get('version')}; this secondread restores {VERSION}")
    if found != manifest["files"]:
        wrong = sorted(
            name for name in found.keys() | manifest["files"] if found.get(name) != manifest["files"].get(name)
        )
        raise BackupDamaged(f"'{archive}' is damaged: '{wrong[0]}' is not as it was written; take another backup")
    return manifest


def _extract(content: Any, path: Path) -> dict[str, Any]:
    private_folder(path.parent)
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb") as target:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    return {"sha256": digest.hexdigest(), "n_bytes": size}


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with archive.open("rb") as raw, gzip.GzipFile(fileobj=raw) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as tar:
                yield tar
            while packed.read(_CHUNK):  # what follows the last file belongs to the checksum of the whole
                pass
    except FileNotFoundError as error:
        raise CannotOpen(f"there is no backup at '{archive}'") from error
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise BackupDamaged(f"'{archive}' is damaged or cut short ({error}); take another backup") from error
