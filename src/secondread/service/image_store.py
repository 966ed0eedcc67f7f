"""Files by the hash of their bytes: images, thumbnails and heat maps in one folder, written aside and renamed."""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secondread.errors import CannotWrite, Conflict, DiskFull, NotThere, ServiceError
from secondread.files import private_file, private_folder, sync, write_bytes, writing

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9a-f]{64}(-[0-9a-z]{1,32})?")
IMAGES, THUMBNAILS, HEAT_MAPS = "images", "thumbnails", "heatmaps"
KINDS = (IMAGES, THUMBNAILS, HEAT_MAPS)
PICTURES = "pictures"  # drawn for the viewer, kept for a while and in no backup (picture_cache.py)
KEY_FILE, ERASURES = "site.key", "erasures.jsonl"
_LEAST_FREE = 16_000_000  # bytes; with less, images would soon be refused one after another


@contextmanager
def maintenance(folder: Path) -> Iterator[None]:
    """Hold the folder's maintenance lock; it ends with the process, however that ends. Raises Conflict."""
    lock = folder / ".maintenance.lock"
    private_file(lock)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("a backup or a deletion is running on this data folder; wait until it has ended") from error
        yield


class ImageStore:
    """The folder's files. Safe with several processes: a file is whole or not there, and never changes.

    images/ab/abcd…: the bytes as they are kept, named by their SHA-256. thumbnails/ab/abcd….png, heatmaps/ab/….png:
    pictures made of them. The constructor touches nothing; `prepare` makes the folders.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def prepare(self) -> None:
        """Make the folders, for the owner alone. Raises ServiceError."""
        try:
            for kind in KINDS:
                private_folder(self.folder / kind)
        except OSError as error:
            raise ServiceError(
                f"the data folder '{self.folder}' cannot be used ({error.strerror}); name another with --data-folder"
            ) from error

    def check(self) -> None:
        """Raise DiskFull or CannotWrite unless there is room to keep images: for readiness."""
        try:
            free = shutil.disk_usage(self.folder).free
            if free < _LEAST_FREE:
                raise DiskFull(
                    f"the disk of the data folder '{self.folder}' has {free / 1e6:.0f} MB free and "
                    f"{_LEAST_FREE / 1e6:.0f} MB are needed; free some space"
                )
            with writing(self.folder), tempfile.TemporaryFile(dir=self.folder, prefix=".ready-") as file:
                file.write(b"\0" * 65536)
        except OSError as error:
            raise CannotWrite(f"nothing can be written to the data folder '{self.folder}': {error.strerror}") from error

    def add(self, data: bytes) -> str:
        """Keep these bytes and give their SHA-256; the same bytes are kept once. Raises ServiceError."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(IMAGES, sha256)
        if not path.is_file():
            self._write(path, data)
        else:
            sync(path.parent)  # another process may have renamed it this moment, and be killed before it does so
        return sha256

    def image(self, sha256: str) -> bytes:
        """The kept bytes, checked. Raises NotThere, or ServiceError if the file is damaged."""
        data = self._read(IMAGES, sha256)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ServiceError(f"the stored image {sha256[:12]}… is damaged; restore it from a backup")
        return data

    def size(self, sha256: str) -> int:
        """Bytes of a kept image. Raises NotThere."""
        try:
            return self._path(IMAGES, sha256).stat().st_size
        except FileNotFoundError as error:
            raise NotThere("this picture is not kept any more, or was never made") from error

    def add_picture(self, kind: str, name: str, png: bytes) -> None:
        """Keep a thumbnail (see `thumbnail_name`) or a heat map (see `heat_map_name`)."""
        self._write(self._path(kind, name), png)

    def picture(self, kind: str, name: str) -> bytes:
        """The PNG of a thumbnail or heat map. Raises NotThere."""
        return self._read(kind, name)

    def erase(self, kind: str, name: str) -> bool:
        """Delete a file for good; False where it was gone already."""
        path = self._path(kind, name)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        sync(path.parent)
        return True

    def forget(self, sha256: str) -> int:
        """Delete an image and every picture that was ever made of it, whatever frame or bundle; how many files."""
        self._path(IMAGES, sha256)  # no pattern of ours, then nothing is looked for
        n = 0
        for kind in (*KINDS, PICTURES):
            folder = self.folder / kind / sha256[:2]
            found = sorted(folder.glob(f"{sha256}*"))
            for path in found:
                path.unlink(missing_ok=True)
            if found:
                sync(folder)
            n += len(found)
        return n

    def exists(self, kind: str, name: str) -> bool:
        """Whether the file is there."""
        return self._path(kind, name).is_file()

    def path(self, kind: str, name: str) -> Path:
        """Where the file is, for copying. Raises NotThere for a name that is none."""
        return self._path(kind, name)

    def secret(self, purpose: str) -> bytes:
        """32 bytes that only this site has, another for each purpose; made at the first call, kept in the folder."""
        path = self.folder / KEY_FILE
        if not path.is_file():
            self._make_key(path)
        return hashlib.blake2b(path.read_bytes(), digest_size=32, person=purpose.encode()[:16]).digest()

    def _make_key(self, path: Path) -> None:
        handle, aside = tempfile.mkstemp(dir=self.folder, prefix=".key-")  # mode 0600
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)  # fails where another process was first: its key holds
        except FileExistsError:
            pass
        finally:
            Path(aside).unlink()
        sync(self.folder)

    def _path(self, kind: str, name: str) -> Path:
        pattern = _SHA256 if kind == IMAGES else _NAME
        if kind not in KINDS or not pattern.fullmatch(name):  # never a path from outside
            raise NotThere("there is no such picture")
        return self.folder / kind / name[:2] / (name if kind == IMAGES else f"{name}.png")

    def _read(self, kind: str, name: str) -> bytes:
        try:
            return self._path(kind, name).read_bytes()
        except FileNotFoundError as error:
            raise NotThere("this picture is not kept any more, or was never made") from error

    def _write(self, path: Path, data: bytes) -> None:
        try:
            new = not path.parent.is_dir()
            write_bytes(path, data, durable=True, private=True)
            if new:
                sync(path.parent.parent)
        except OSError as error:  # but for a full disk, which has an error of its own
            raise CannotWrite(f"cannot write to the data folder '{self.folder}': {error.strerror}") from error


def heat_map_name(image_sha256: str, bundle_sha256: str, frame: int = 0) -> str:
    """One map for each image, frame and bundle; the operating point does not change it."""
    return f"{image_sha256}-{bundle_sha256[:16]}" + (f"f{frame}" if frame else "")


def thumbnail_name(image_sha256: str, frame: int = 0) -> str:
    """One for each image and frame."""
    return image_sha256 + (f"-f{frame}" if frame else "")
