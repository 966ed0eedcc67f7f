"""Where the pictures of an archive come from: a folder, a zip or tar file, or a table of paths. Always in one order."""

import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from secondread.data.table import read_table
from secondread.errors import CannotOpen, DataInvalid, UploadRefused
from secondread.files import shown
from secondread.images import Limits
from secondread.service import Bounds, members

_MOST_MEMBERS = 10_000_000
_ALL_BYTES = 2**63  # of an archive's files together: each alone is bounded, and one is held at a time


@dataclass(frozen=True)
class Picture:
    """A file to be read. name: as it stands in the table. content: its path or bytes, or why it is not read."""

    name: str
    content: Path | bytes | UploadRefused


def pictures(source: Path, *, limits: Limits, but: Iterable[Path] = ()) -> Iterator[Picture]:
    """What is to be read, in the same order each time; hidden files are left out.

    but: files in the folder that are none of it: the table that is being made.

    Raises CannotOpen, DataInvalid for a table that is none, UploadRefused for an archive that cannot be read at all.
    """
    if source.is_dir():
        return _of_folder(source, but)
    if not source.is_file():
        raise CannotOpen(f"'{shown(source)}' is neither a folder nor a file; name a folder, an archive or a table")
    with source.open("rb") as file:
        start = file.read(4)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _of_zip(source, limits)
    if tarfile.is_tarfile(source):
        return _of_tar(source, limits)
    if source.suffix.lower() in (".csv", ".tsv"):
        return _of_table(source)
    return iter([Picture(shown(source), source)])


def count(source: Path, *, but: Iterable[Path] = ()) -> int | None:
    """How many there are, for the time left; None where only reading all of it would tell."""
    if source.is_dir():
        return sum(1 for _ in _of_folder(source, but))
    if source.suffix.lower() in (".csv", ".tsv"):
        return sum(1 for _ in _of_table(source))
    return None


def _of_folder(source: Path, but: Iterable[Path]) -> Iterator[Picture]:
    left_out = {path.absolute() for path in but}
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if name.startswith(".") or path.absolute() in left_out:
                continue
            if not path.is_fifo():  # which would be waited for
                yield Picture(shown(path.relative_to(source)), path)


def _of_table(source: Path) -> Iterator[Picture]:
    header, lines = read_table(source.read_bytes(), where=source, known=("path",))
    if "path" not in header:
        raise DataInvalid(f"'{shown(source)}' has no column 'path'; its first line names the columns")
    for _, cells in lines:
        yield Picture(cells["path"], source.parent / cells["path"])


def _of_zip(source: Path, limits: Limits) -> Iterator[Picture]:
    bounds = Bounds(max_files=_MOST_MEMBERS, max_bytes=_ALL_BYTES, max_file_bytes=limits.max_bytes)
    with source.open("rb") as file:
        for name, content in members(file, bounds):
            yield Picture(name, content)


def _of_tar(source: Path, limits: Limits) -> Iterator[Picture]:
    """Member by member as it comes, without a list; links, devices and folders are left out.

    What is behind a place that is damaged cannot be found: one row says so, in place of all that would follow.
    """
    try:
        with tarfile.open(source, "r|*") as archive:
            for member in archive:
                if not member.isreg() or Path(member.name).name.startswith("."):
                    continue
                if member.size > limits.max_bytes:
                    too_large = f"this file has more than the {limits.max_bytes / 1e6:.0f} MB allowed"
                    yield Picture(member.name, UploadRefused(too_large, code="too_large"))
                    continue
                file = archive.extractfile(member)
                yield Picture(member.name, b"" if file is None else file.read())
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError):
        damaged = "the archive is damaged or cut short here, and what follows is not read; get it again"
        yield Picture(shown(source.name), UploadRefused(damaged, code="archive_damaged"))
