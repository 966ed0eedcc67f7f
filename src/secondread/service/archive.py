"""Zip archives within bounds: how many members, how large, how much they swell, and nothing that points elsewhere.

One level alone: an archive in an archive is refused. Members are read one after the other, never written to disk, and
counted as they come: what the archive says of their size is checked first and not believed after.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import IO

from secondread.errors import UploadRefused

_CHUNK = 1 << 20  # bytes
_ENCRYPTED = 0x1
_HIDDEN = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_SMALL = 1 << 20  # members below this may swell as much as they like: a blank image does


@dataclass(frozen=True)
class Bounds:
    """What an upload may hold."""

    max_files: int = 2000
    max_bytes: int = 4_000_000_000  # of all files, unpacked
    max_file_bytes: int = 200_000_000
    max_ratio: int = 100  # unpacked to packed, of a member


def is_zip(data: bytes) -> bool:
    """Whether these bytes are an archive, by signature; an empty one too."""
    return data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def members(file: IO[bytes], bounds: Bounds) -> Iterator[tuple[str, bytes | UploadRefused]]:
    """(name, bytes) of each file, or (name, why it was refused); folders and the traces of file managers are left out.

    file: the archive, open and seekable; no more of it than a member at a time is in memory.
    Raises UploadRefused where the archive as a whole is outside the bounds, damaged or encrypted throughout.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
        raise UploadRefused(
            "the archive is damaged or cut short; pack and send it again", code="archive_damaged"
        ) from error
    with archive:
        files = [info for info in archive.infolist() if not info.is_dir() and not _hidden(info.filename)]
        _check_whole(files, bounds)
        left = bounds.max_bytes
        for info in files:
            try:
                content = _member(archive, info, bounds, left)
            except UploadRefused as error:
                if error.code == "upload_too_large":
                    raise
                yield info.filename, error
                continue
            left -= len(content)
            yield info.filename, content


def _check_whole(files: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    if len(files) > bounds.max_files:
        raise UploadRefused(
            f"the archive holds {len(files)} files, more than the {bounds.max_files} allowed; split it",
            code="too_many_files",
        )
    total = sum(info.file_size for info in files)
    if total > bounds.max_bytes:
        raise _too_large(bounds)
    if files and all(info.flag_bits & _ENCRYPTED for info in files):
        raise UploadRefused("the archive is encrypted; pack it without a password", code="archive_encrypted")
    spans = sorted((info.header_offset, info.header_offset + info.compress_size) for info in files)
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise UploadRefused("the archive's files overlap, as in no honest one; pack it again", code="archive_damaged")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, bounds: Bounds, left: int) -> bytes:
    _check_name(info.filename)
    if info.flag_bits & _ENCRYPTED:
        raise UploadRefused("this file is encrypted; pack it without a password", code="archive_encrypted")
    if info.file_size > bounds.max_file_bytes:
        raise _file_too_large(bounds)
    if info.file_size > max(_SMALL, bounds.max_ratio * max(info.compress_size, 1)):
        raise UploadRefused(
            f"this file swells more than {bounds.max_ratio} times when unpacked; send it as it is",
            code="swells_too_much",
        )
    most = min(bounds.max_file_bytes, left, max(_SMALL, bounds.max_ratio * max(info.compress_size, 1)))
    content = bytearray()
    try:
        with archive.open(info) as file:
            while chunk := file.read(_CHUNK):
                content += chunk
                if len(content) > most:
                    raise _too_large(bounds) if most == left else _file_too_large(bounds)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise UploadRefused("this file is damaged or packed in a way not read here", code="archive_damaged") from error
    if is_zip(bytes(content[:4])):
        raise UploadRefused("an archive in an archive is not unpacked; send it by itself", code="archive_nested")
    return bytes(content)


def _check_name(name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise UploadRefused("this file's name points outside the archive; pack it again", code="archive_path")


def _hidden(name: str) -> bool:
    return any(part in _HIDDEN or part.startswith("._") for part in PurePosixPath(name).parts)


def _too_large(bounds: Bounds) -> UploadRefused:
    return UploadRefused(
        f"the upload unpacks to more than the {bounds.max_bytes / 1e6:.0f} MB allowed; send it in parts",
        code="upload_too_large",
    )


def _file_too_large(bounds: Bounds) -> UploadRefused:
    return UploadRefused(
        f"this file has more than the {bounds.max_file_bytes / 1e6:.0f} MB allowed; export it smaller", code="too_large"
    )
