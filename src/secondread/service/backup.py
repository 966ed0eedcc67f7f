"""Backup and restore: database and folder as one archive, with a checksum of every file in it."""

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import inspect

from secondread import __version__
from secondread.errors import BackupDamaged, CannotOpen, Conflict, DatabaseUnusable, ServiceError
from secondread.files import PRIVATE_FILE, private_folder
from secondread.service.database import FILE_NAME, Database
from secondread.service.erasure import Erasing, Erasure
from secondread.service.image_store import ERASURES, KEY_FILE, KINDS, ImageStore, maintenance
from secondread.service.sessions import end_everywhere
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
    with maintenance(images.folder), tempfile.TemporaryDirectory(dir=out.parent, prefix=BACKING_UP) as aside:
        copy = Path(aside) / (FILE_NAME if database.is_sqlite else _DUMP)
        (_copy_sqlite if database.is_sqlite else _dump_postgresql)(database, copy)
        archive = Path(aside) / "archive"
        facts = _write(archive, copy, database, images)
        archive.replace(out)
    return BackupFacts(out, facts["created"], facts["database"], *_sizes(facts), facts["trail"])


def restore(
    archive: Path, folder: Path, *, url: str = "", erasings: Sequence[Erasing] = (), actor: Actor = LOCAL
) -> BackupFacts:
    """Put a backup into an empty data folder (and an empty PostgreSQL database, where it was made of one).

    Every checksum and the audit trail are verified before anything is in place. erasings: of people who were erased
    since it was made, and are erased again before it is in place.
    Raises CannotOpen, BackupDamaged, or Conflict where the target holds something.
    """
    folder = folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"'{folder}' is not empty; restore into a new folder, so that nothing is lost")
    private_folder(folder.parent)
    remove_abandoned(folder.parent, RESTORING)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=RESTORING))
    n_erased = 0
    try:
        manifest = _unpack(archive, aside)
        if manifest["database"] == "postgresql":
            _restore_postgresql(aside / _DUMP, folder, url)
            (aside / _DUMP).unlink()
        elif url:
            raise Conflict("this backup was made of SQLite; leave --database out, it comes back into the folder")
        database = Database.open(aside, url)
        try:
            found = AuditTrail(database).verify_lines()
            if str(found) != manifest["trail"]:
                raise BackupDamaged(f"the audit trail in '{archive}' is not the one that was backed up")
            if erasings:
                database.upgrade()
                n_erased = Erasure(database, ImageStore(aside)).repeat(erasings, actor=actor)
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
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "secondread": __version__,
            "created": iso(now()),
            "database": "sqlite" if database.is_sqlite else "postgresql",
            "trail": _trail_of(copy, database),
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
    for path in [
        folder / KEY_FILE,
        folder / ERASURES,
        *(path for kind in KINDS for path in sorted((folder / kind).glob("??/*"))),
    ]:
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix(), path


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


def _copy_sqlite(database: Database, copy: Path) -> None:
    """SQLite's own backup: one consistent moment, while others write."""
    with closing(sqlite3.connect(str(database.url.database))) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE").close()  # one file, without a log beside it


def _trail_of(copy: Path, database: Database) -> str:
    """Where the trail ends in the copy; of a dump, where it ended in the database just before (see _dump)."""
    if not database.is_sqlite:
        return (copy.parent / "trail").read_text(encoding="utf-8")
    with closing(sqlite3.connect(copy)) as connection:
        row = connection.execute("SELECT seq, hash FROM trail ORDER BY seq DESC LIMIT 1").fetchone()
    return f"{row[0]}:{row[1]}"


def _dump_postgresql(database: Database, copy: Path) -> None:
    """pg_dump of one snapshot, which is also asked where the trail ends."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        seq, digest = connection.exec_driver_sql("SELECT seq, hash FROM trail ORDER BY seq DESC LIMIT 1").one()
        (copy.parent / "trail").write_text(f"{seq}:{digest}", encoding="utf-8")
        _run("pg_dump", database, "--format=custom", f"--snapshot={snapshot}", "--no-owner", f"--file={copy}")


def _restore_postgresql(dump: Path, folder: Path, url: str) -> None:
    if not url:
        raise Conflict("this backup was made of PostgreSQL; name an empty database with --database")
    database = Database.open(folder, url)
    try:
        if inspect(database.engine).get_table_names():
            raise Conflict(f"the database {database.name} is not empty; restore into a new one")
        _run(
            "pg_restore",
            database,
            "--no-owner",
            "--no-privileges",
            "--exit-on-error",
            "--single-transaction",
            str(dump),
        )
    finally:
        database.close()


def _run(program: str, database: Database, *arguments: str) -> None:
    """A program of PostgreSQL on this database; the password goes by its environment, where nobody sees it."""
    if shutil.which(program) is None:
        raise ServiceError(f"{program} is not installed; it comes with PostgreSQL's client package")
    url = database.url
    where = [f"--dbname={url.database}", "--no-password"]
    where += [f"--host={url.host}"] if url.host else []
    where += [f"--port={url.port}"] if url.port else []
    where += [f"--username={url.username}"] if url.username else []
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    done = subprocess.run([program, *where, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DatabaseUnusable(f"{program} failed on {database.name}: {' '.join(done.stderr.split())[:400]}")


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
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|gz") as tar:
            yield tar
    except FileNotFoundError as error:
        raise CannotOpen(f"there is no backup at '{archive}'") from error
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise BackupDamaged(f"'{archive}' is damaged or cut short ({error}); take another backup") from error
