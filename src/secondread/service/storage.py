"""Where the bytes of images lie, by key: a folder of this machine, or storage that several hosts share.

What both promise: a file is whole or not there, and what was written is durable when the call returns. Keys are plain
text as `images/ab/abcd…`; who may name one, and what it means, is ImageStore's.
"""

import ctypes
import errno
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from secondread.errors import CannotWrite, DiskFull, NotThere, ServiceError
from secondread.files import PRIVATE_FILE, private_file, private_folder, sync, writing

LEAST_FREE = 16_000_000  # bytes; with less, images would soon be refused one after another
_KEY = re.compile(r"(?!\.)[^/\0]+(/(?!\.)[^/\0]+)*")
_REPORTS_ERRORS = (5, 8)  # the version of Linux from which syncfs says that something could not be written
_TRUSTED = (0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x2FC12FC1, 0x01021994)  # ext, XFS, Btrfs, F2FS, ZFS, tmpfs
GONE = "this picture is not kept any more, or was never made"


@dataclass(frozen=True)
class Stored:
    """One file that is kept. modified: seconds since 1970."""

    key: str
    n_bytes: int
    modified: float


class Storage(Protocol):
    """What ImageStore stands on: what was written is durable when the call returns.

    Safe with several threads, processes and, where it is shared, hosts.
    """

    name: str  # for sentences

    def prepare(self) -> None:
        """Make the place, or see that it is there. Raises ServiceError."""

    def check(self) -> None:
        """For readiness: raises DiskFull, CannotWrite or StorageAway unless files can be kept now."""

    def write(self, key: str, data: bytes) -> None:
        """Keep one file, in place of an older one. Raises CannotWrite, DiskFull, StorageAway."""

    def write_many(self, files: Mapping[str, bytes], *, once: bool = False) -> None:
        """Keep many, made durable together. once: what is there already stays, is durable too, and counts as new.

        After an error some are kept and the others are not; none is there in part. Raises as `write`.
        """

    def append(self, key: str, line: bytes) -> None:
        """Add to the end of a file, which is made where there is none. Those who call it exclude one another."""

    def read(self, key: str) -> bytes:
        """Raises NotThere, ServiceError."""

    def size(self, key: str) -> int:
        """Bytes of a file. Raises NotThere, ServiceError."""

    def exists(self, key: str) -> bool:
        """Whether the file is there."""

    def delete(self, *keys: str) -> int:
        """Delete these for good; how many of them were there."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every file whose key begins so, in no order that counts; none that is still being written."""

    def room(self) -> int | None:
        """Bytes that are free; None where nobody can say."""

    def agree(self, mark: str) -> bool:
        """Whether every host that asked before gave the same mark."""


class LocalStorage:
    """Files in a folder, for the owner alone. The constructor touches nothing."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.name = f"the data folder '{folder}'"

    def prepare(self) -> None:
        """Make the folder."""
        try:
            private_folder(self.folder)
        except OSError as error:
            raise ServiceError(f"{self.name} cannot be used ({error.strerror}); name another") from error

    def check(self) -> None:
        """There is room, and it can be written to."""
        with self._writing():
            free = shutil.disk_usage(self.folder).free
            if free < LEAST_FREE:
                raise DiskFull(
                    f"the disk of {self.name} has {free / 1e6:.0f} MB free and {LEAST_FREE / 1e6:.0f} MB are needed; "
                    "free some space"
                )
            with writing(self.folder), tempfile.TemporaryFile(dir=self.folder, prefix=".ready-") as file:
                file.write(b"\0" * 65536)

    def write(self, key: str, data: bytes) -> None:
        """One file: one fsync for it and one for the folder that names it."""
        self.write_many({key: data})

    def write_many(self, files: Mapping[str, bytes], *, once: bool = False) -> None:
        """All aside, their bytes to the disk, then renamed, and their names to the disk: in this order a power cut
        leaves no name that leads to half a file.
        """
        paths = {self._path(key): data for key, data in files.items()}
        asides: dict[Path, Path] = {}  # where it is written → what it becomes
        with self._writing():
            made = self._make_folders(paths)
            try:
                for path, data in paths.items():
                    if not (once and _touched(path)):  # else another may have renamed it and not yet synced its folder
                        aside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.new")
                        asides[aside] = path
                        _write_private(aside, data)
                durable(asides, self.folder)
                for aside, path in asides.items():
                    aside.replace(path)
                durable({path.parent for path in paths} | {folder.parent for folder in made}, self.folder)
            finally:
                for aside in asides:
                    aside.unlink(missing_ok=True)

    def append(self, key: str, line: bytes) -> None:
        """Without rewriting what is there."""
        path = self._path(key)
        with self._writing():
            private_file(path)
            with path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            sync(path.parent)

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise NotThere(GONE) from error

    def size(self, key: str) -> int:
        """Without reading it."""
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError as error:
            raise NotThere(GONE) from error

    def exists(self, key: str) -> bool:
        """A file, not a folder."""
        return self._path(key).is_file()

    def delete(self, *keys: str) -> int:
        """Each folder is synced once."""
        gone = []
        for path in map(self._path, keys):
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            gone.append(path)
        durable({path.parent for path in gone}, self.folder)
        return len(gone)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Folder by folder: memory does not grow with what is there."""
        place, _, begin = prefix.rpartition("/")
        yield from self._below(self.folder / place, f"{place}/" if place else "", begin)

    def room(self) -> int | None:
        """Of the disk that the folder is on."""
        with self._writing():
            return shutil.disk_usage(self.folder).free

    def agree(self, mark: str) -> bool:
        """Who shares the folder shares all in it."""
        return True

    def _below(self, folder: Path, place: str, begin: str) -> Iterator[Stored]:
        try:
            found = sorted(os.scandir(folder), key=lambda one: one.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for one in found:
            if one.name.startswith(".") or not one.name.startswith(begin):
                continue
            if one.is_dir(follow_symlinks=False):
                yield from self._below(folder / one.name, f"{place}{one.name}/", "")
                continue
            try:
                status = one.stat()
            except FileNotFoundError:  # deleted meanwhile
                continue
            yield Stored(f"{place}{one.name}", status.st_size, status.st_mtime)

    def _path(self, key: str) -> Path:
        return self.folder / checked(key)

    def _make_folders(self, paths: Iterable[Path]) -> Sequence[Path]:
        missing = sorted({path.parent for path in paths if not path.parent.is_dir()})
        for folder in missing:
            private_folder(folder)
        return missing

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the system says, with the name of the place. Raises CannotWrite, DiskFull."""
        try:
            with writing(self.folder):
                yield
        except OSError as error:  # but for a full disk, which has an error of its own
            raise CannotWrite(f"cannot write to {self.name}: {error.strerror}") from error


def checked(key: str) -> str:
    """The key, or ValueError: a key that leaves its place, or is hidden, is a mistake of ours."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a file")
    return key


def durable(paths: Iterable[Path], place: Path) -> None:
    """Wait until these files, or the names in these folders, are on the disk of `place`, with the fewest calls."""
    found = list(paths)
    if len(found) > 1 and sync_filesystem(place):
        return
    for path in found:
        sync(path)


def sync_filesystem(place: Path) -> bool:
    """Bring all that waits for the disk of `place` to it, in one call; False where that cannot be had, or trusted.

    Before Linux 5.8 syncfs said nothing of an error; file systems in user space are not told of it, and those that lie
    over another may not pass its errors on: there each file is synced for itself.
    """
    if _syncfs is None:
        return False
    handle = os.open(place, os.O_RDONLY)
    try:
        if _kind_of(handle) not in _TRUSTED:
            return False
        if _syncfs(handle) == 0:
            return True
        number = ctypes.get_errno()
    finally:
        os.close(handle)
    if number in (errno.ENOSYS, errno.EPERM):  # a sandbox that does not know it
        return False
    raise OSError(number, os.strerror(number), str(place))


def _kind_of(handle: int) -> int:
    """The file system that an open folder is on, as statfs(2) numbers them."""
    found = ctypes.create_string_buffer(512)  # longer than the structure, which begins with the kind
    if ctypes.CDLL(None).fstatfs(handle, found) != 0:
        return 0
    return ctypes.c_long.from_buffer(found).value


def _found_syncfs() -> Callable[[int], int] | None:
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    if platform.system() != "Linux" or version is None or tuple(map(int, version.groups())) < _REPORTS_ERRORS:
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is not None:
        call.argtypes, call.restype = [ctypes.c_int], ctypes.c_int
    return call


_syncfs = _found_syncfs()


def _touched(path: Path) -> bool:
    """Whether the file is there; it is as young then as one just written, and no repair takes it for left over."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _write_private(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
