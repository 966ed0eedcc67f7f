"""The data folder is its owner's alone: what earlier versions or other programs left open is closed at the start."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from secondread.errors import ServiceError
from secondread.files import PRIVATE_FILE, PRIVATE_FOLDER

_LOG = logging.getLogger("secondread.service")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_DEPTH = 3  # folders lie no deeper: images/ab


def close_to_others(folder: Path) -> int:
    """Take every right of others away in a data folder; how many files and folders had some. Said once in the log.

    Files in a folder that is closed already are not looked at, so that a start takes no longer with a million images;
    a folder is closed after what lies in it, so that a start that was killed is made good by the next. The data folder
    itself comes first: behind it nothing can be reached. Raises ServiceError where the folder is another user's and
    everyone may write to it: who can replace the database can be anyone.
    """
    if not folder.is_dir() or not _own(folder):
        return 0
    was = stat.S_IMODE(folder.stat().st_mode)
    n = int(_close(folder, PRIVATE_FOLDER))
    n += sum(_close(path, PRIVATE_FILE) for path in _files(folder))
    for inside in _folders(folder, _DEPTH - 1):
        if stat.S_IMODE(inside.stat().st_mode) & _OTHERS:
            n += sum(_close(path, PRIVATE_FILE) for path in _files(inside))
            n += _close(inside, PRIVATE_FOLDER)
    if n:
        _LOG.warning(
            "the data folder '%s' (mode %03o) and what lies in it could be reached by others: %d files and folders are "
            "its owner's alone now",
            folder,
            was,
            n,
        )
    return n


def open_to_others(folder: Path) -> list[Path]:
    """Every file and folder of a data folder that others have a right to, however many there are."""
    return [path for path in (folder, *folder.rglob("*")) if _is_open(path)]


def shut(paths: list[Path]) -> int:
    """Take every right of others away from these; how many there were."""
    return sum(_close(path, PRIVATE_FOLDER if path.is_dir() else PRIVATE_FILE) for path in paths)


def _own(folder: Path) -> bool:
    """Whether the folder is ours to close; said, or refused, where it is not."""
    found = folder.stat()
    if found.st_uid == os.geteuid():
        return True
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise ServiceError(
            f"the data folder '{folder}' belongs to user {found.st_uid} and everyone may write to it, so what it holds "
            f"may be anyone's; give it to the user of the service: chown {os.geteuid()} '{folder}' && "
            f"chmod 700 '{folder}'"
        )
    _LOG.warning(
        "the data folder '%s' belongs to user %d, not to user %d who runs this: who may reach it is not in our hands; "
        "run the command as that user, or give the folder to this one",
        folder,
        found.st_uid,
        os.geteuid(),
    )
    return False


def _is_open(path: Path) -> bool:
    """False too for a link, which has no rights of its own, and for what has vanished meanwhile."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & _OTHERS)


def _close(path: Path, mode: int) -> bool:
    """Whether it was open and is closed now; what is another's cannot be."""
    if not _is_open(path):
        return False
    try:
        path.chmod(mode)
    except (FileNotFoundError, PermissionError):
        return False
    return True


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    for path in folder.iterdir() if depth else ():
        if path.is_dir() and not path.is_symlink():
            yield from _folders(path, depth - 1)
            yield path
