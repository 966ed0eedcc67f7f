"""The pictures in a zip or tar file, and those that a table of paths names, from an open file."""

import csv
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from secondread.data.cells import plain
from secondread.errors import DataInvalid, UploadRefused
from secondread.files import shown
from secondread.images import Limits
from secondread.screening.objects import is_remote, remote_picture
from secondread.screening.picture import Picture, stamp_of
from secondread.service import Bounds, members

ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
# The list of a zip file is held while it is read, some 550 bytes a file: half a gigabyte for the most.
_MOST_MEMBERS = 1_000_000
_ALL_BYTES = 2**63  # of an archive's files together: each alone is bounded, and one is held at a time
_DAMAGED = "the archive is damaged or cut short here, and what follows is not read; get it again"


def is_table(name: str) -> bool:
    """By its ending."""
    return name.lower().endswith((".csv", ".tsv"))


def of_zip(file: IO[bytes], limits: Limits) -> Iterator[Picture]:
    """Member by member, within the bounds of uploads. Raises UploadRefused for what cannot be read at all."""
    bounds = Bounds(max_files=_MOST_MEMBERS, max_bytes=_ALL_BYTES, max_file_bytes=limits.max_bytes)
    for name, content in members(file, bounds):
        yield Picture(name, content)


def of_tar(file: IO[bytes], name: str, limits: Limits) -> Iterator[Picture]:
    """Member by member as it comes, without a list; links, devices and folders are left out.

    What is behind a place that is damaged cannot be found: one row says so, in place of all that would follow.
    """
    try:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                if not member.isreg() or Path(member.name).name.startswith("."):
                    continue
                where = shown(member.name)
                if member.size > limits.max_bytes:
                    too_large = f"this file has more than the {limits.max_bytes / 1e6:.0f} MB allowed"
                    yield Picture(where, UploadRefused(too_large, code="too_large"))
                    continue
                content = archive.extractfile(member)
                yield Picture(where, b"" if content is None else content.read())
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError):
        yield Picture(shown(name), UploadRefused(_DAMAGED, code="archive_damaged"))


def of_table(file: IO[bytes], source: str) -> Iterator[Picture]:
    """Line by line. Paths start from the table's own place, or are s3://bucket/key. Raises DataInvalid with the row."""
    folder = source.rpartition("/")[0] if is_remote(source) else Path(source).parent
    for path in _paths(file, source):
        if is_remote(path) or isinstance(folder, str):
            yield remote_picture(path, path if is_remote(path) else f"{folder}/{path}")
            continue
        where = folder / path
        try:
            stamp = stamp_of(where.stat())
        except (OSError, ValueError):  # whoever reads it will say so
            stamp = ""
        yield Picture(path, where, stamp)


def count_lines(file: IO[bytes]) -> int:
    """How many pictures a table names, or about as many; lines that are blank do not count."""
    return max(0, sum(1 for line in file if line.strip()) - 1)


def _paths(file: IO[bytes], source: str) -> Iterator[str]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = None
    try:
        first = text.readline()
        while first and not first.strip():
            first = text.readline()
        delimiter = max(",;\t", key=first.count)
        header = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=delimiter), [])]
        if "path" not in header:
            raise DataInvalid(f"'{source}' has no column 'path'; its first line names the columns")
        reader = csv.reader(text, delimiter=delimiter)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise DataInvalid(
                    f"'{source}', row {reader.line_num} below the header, has {len(cells)} cells where the header has "
                    f"{len(header)}; put a cell that holds a comma in quotes"
                )
            yield plain(cells[header.index("path")].strip())
    except UnicodeDecodeError as error:
        raise DataInvalid(f"'{source}' is not UTF-8; save the table as 'CSV UTF-8'") from error
    except csv.Error as error:
        line = reader.line_num if reader else 0
        raise DataInvalid(f"'{source}', row {line} below the header, is not CSV: {error}") from error
    finally:
        text.detach()  # the file is its owner's to close
