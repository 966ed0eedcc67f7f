"""The one atomic write: aside, then renamed, so that nobody finds half of a file and a kill leaves the old one."""

import errno
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from secondread.errors import BundleError, CannotWrite, DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_NAME = 255  # bytes, of nearly every file system
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700  # for the owner alone, whatever the umask is


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A full disk or a name that is too long, met while `path` is written, as an error that names the place.

    Raises DiskFull or CannotWrite; any other error as it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(
                f"there is no room left to write '{shown(path)}' ({error.strerror}); free some space or name a folder "
                "on another disk; nothing half-written was kept"
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise CannotWrite(f"the name '{shown(path)}' is too long for this disk; choose a shorter one") from error
        raise


def shown(path: str | Path) -> str:
    """A path as text that can be printed and written: bytes that are not UTF-8 as \\x… ."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def on_a_line(text: str) -> str:
    """A name for a terminal: line ends, control characters and marks of direction could pass for what they are not."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def shortened(stem: str, ending: str) -> str:
    """A file's name of that stem and ending, cut within the stem so that a disk takes it."""
    while len(os.fsencode(stem + ending)) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem + ending


@contextmanager
def written_aside(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to: renamed to it when the block ends well, removed when it does not.

    Missing folders are made. durable: on the disk, and not only in the system's memory, before the block is left.
    Raises DiskFull, or CannotWrite where the name is too long or is that of a device, which a rename would replace.
    """
    with writing(path):
        if path.exists() and not path.is_file():
            raise CannotWrite(f"'{shown(path)}' is no file (a folder, a device or a pipe); name a file to write")
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(shortened(f".{path.name}", f".{os.getpid()}-{secrets.token_hex(4)}.new"))
        try:
            yield aside
            if durable:
                sync(aside)
            aside.replace(path)
            if durable:
                sync(path.parent)
        finally:
            aside.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, *, durable: bool = False, private: bool = False) -> None:
    """Write a file aside, then rename it. private: it, and folders that are made for it, are for the owner alone."""

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags, PRIVATE_FILE if private else 0o666)

    if private:
        private_folder(path.parent)
    with written_aside(path, durable=durable) as aside, open(aside, "xb", opener=opened) as file:
        file.write(data)


def private_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each for the owner alone; what is there stays as it is.

    Path.mkdir gives its mode to the last one only.
    """
    for one in (*reversed(folder.parents), folder):
        if not one.is_dir():
            one.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def private_file(path: Path) -> None:
    """Make an empty file for the owner alone, where there is none: programs keep to the mode that they find."""
    private_folder(path.parent)
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, PRIVATE_FILE))


def write_text(path: Path, text: str) -> None:
    """The same for text, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, table: Any) -> None:
    """The same for a table, to be read by people too."""
    write_text(path, json.dumps(table, indent=1, ensure_ascii=False) + "\n")


def write_folder(folder: Path, files: Mapping[str, bytes], *, marker: str) -> None:
    """Write these files aside and rename their folder into place; an older one is replaced whole.

    marker: the file that shows that a folder is ours to replace. Raises BundleError if something else is there, and
    DiskFull.
    """
    if folder.name in ("", ".."):  # it is replaced by another of its name, and whoever stands in it would be nowhere
        raise BundleError(f"'{folder}' is a folder that somebody may stand in; give one by its name")
    if folder.exists() and any(folder.iterdir()) and not (folder / marker).is_file():
        raise BundleError(f"'{folder}' holds other files; give an empty or a new folder")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}-", dir=folder.parent))
        try:
            aside.chmod(0o755)
            for name, data in files.items():
                (aside / name).write_bytes(data)
            _swap(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _swap(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`; what stood there goes only once the new one is complete."""
    if not folder.exists():
        aside.rename(folder)
        return
    old = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: a renamed file survives a power cut only then."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
