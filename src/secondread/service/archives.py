"""Zip archives, read by a hand that trusts nothing they say of themselves (APPNOTE.TXT 6.3.10, section 4.3).

The end record is looked at first: how many files, how long their list. Only what is within the bounds is read on. Every
file has its own room, from its header to the next one, so that none can be packed twice; what is unpacked is counted as
it comes, in small steps, whatever method packed it. A fault of one file refuses that file, and the others are read;
only what no file can be found in, or what is too much altogether, refuses the archive. One level alone: an archive in
an archive is refused. Nothing is written to disk.
"""

import bz2
import io
import lzma
import stat
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import IO, Any

from secondread.errors import UploadRefused

_STEP = 1 << 16  # bytes packed that are taken, and bytes unpacked that are made, at once
_SMALL = 1 << 20  # files below this may swell as much as they like: a blank image does
_MOST_DICTIONARY = 64 << 20  # bytes that LZMA may look back: what 7-Zip's strongest level uses
_LONGEST_NAME = 1000  # bytes
_ENTRIES_A_FILE, _MORE_ENTRIES = 3, 1000  # a Mac packs a second file of traces beside each, and folders count too
_ENTRY_BYTES = 1024  # of the list, for each entry that may be there
_HIDDEN = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_LOCATOR_64, _END_64 = b"PK\x06\x07", b"PK\x06\x06"
_NOT_HERE_16, _NOT_HERE_32 = 0xFFFF, 0xFFFFFFFF  # the number is in the 64-bit record instead
_ENCRYPTED, _UTF_8 = 0x1, 0x800  # of the flags
_UNIX = 3
_STORED, _DEFLATED, _BZIP2, _LZMA = 0, 8, 12, 14
_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "xz", 98: "PPMd", 99: "AES"}  # known by name, and not read


@dataclass(frozen=True)
class Bounds:
    """What an upload may hold."""

    max_files: int = 2000
    max_bytes: int = 4_000_000_000  # of all files, unpacked
    max_file_bytes: int = 200_000_000
    max_ratio: int = 100  # unpacked to packed, of a member


@dataclass(frozen=True, slots=True)  # there may be a million of them
class _Entry:
    """A file as the archive's list describes it."""

    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int  # bytes
    size: int  # bytes, unpacked
    at: int  # of its own header
    mode: int  # as Unix has it; 0 where another system packed it


def is_archive(data: bytes) -> bool:
    """By the signature it begins with; an empty one too."""
    return data[:4] in (_LOCAL, _END)


def members(file: IO[bytes], bounds: Bounds) -> Iterator[tuple[str, bytes | UploadRefused]]:
    """(name, bytes) of each file, or (name, why it was refused); folders and the traces of file managers are left out.

    file: the archive, open and seekable; no more of it than its list and a member at a time is in memory.
    Raises UploadRefused where the archive as a whole is outside the bounds, damaged or encrypted throughout.
    """
    entries, start = _entries(file, bounds)
    ends = _rooms(entries, start)
    files = [entry for entry in entries if not _is_folder(entry) and not _hidden(entry.name)]
    if len(files) > bounds.max_files:
        raise _too_many(len(files), bounds)
    if sum(entry.size for entry in files if entry.size <= bounds.max_file_bytes) > bounds.max_bytes:
        raise too_large(bounds)
    if files and all(entry.flags & _ENCRYPTED for entry in files):
        raise UploadRefused("the archive is encrypted; pack it without a password", code="archive_encrypted")
    seen: set[str] = set()
    for entry in files:
        try:
            _check(entry, bounds, seen)
            content: bytes | UploadRefused = _content(file, entry, ends[entry.at])
        except UploadRefused as error:
            content = error
        yield entry.name, content


def n_listed(file: IO[bytes]) -> int:
    """How many entries its list is said to have, folders among them. Raises UploadRefused where there is no list."""
    return _end_record(file)[0]


# --- the list --------------------------------------------------------------------------------------------------------


def _entries(file: IO[bytes], bounds: Bounds) -> tuple[list[_Entry], int]:
    """Everything in the archive's list, and where that begins. Raises UploadRefused."""
    n, size, start = _end_record(file)
    most = _ENTRIES_A_FILE * bounds.max_files + _MORE_ENTRIES
    if n > most:
        raise _too_many(n, bounds)
    if size > most * _ENTRY_BYTES:
        raise UploadRefused(
            f"the archive's list of files has {size / 1e6:.0f} MB, far more than one of files that are read; split it",
            code="too_many_files",
        )
    file.seek(start)
    table = file.read(size)
    found, at = list[_Entry](), 0
    while at < len(table):
        if len(found) == n or table[at : at + 4] != _CENTRAL or at + 46 > len(table):
            raise _damaged()
        entry, at = _entry(table, at)
        found.append(entry)
    if len(found) != n or at != size:
        raise _damaged()
    return found, start


def _rooms(entries: list[_Entry], start: int) -> dict[int, int]:
    """Where each header begins → where the next one, or the list, does. Two of one place have no room, nor has one
    beyond the list.
    """
    times = Counter([*(entry.at for entry in entries), start])
    rooms = {at: end if times[at] == 1 else at for at, end in pairwise(sorted(times))}
    return dict.fromkeys(times, 0) | rooms


def _end_record(file: IO[bytes]) -> tuple[int, int, int]:
    """Entries, bytes of their list, and where it begins. Raises UploadRefused where this cannot be."""
    length = file.seek(0, io.SEEK_END)
    tail_at = max(0, length - 22 - _NOT_HERE_16)
    file.seek(tail_at)
    tail = file.read(22 + _NOT_HERE_16)
    at = tail.rfind(_END)
    while at >= 0 and int.from_bytes(tail[at + 20 : at + 22], "little") != len(tail) - at - 22:  # of its comment
        at = tail.rfind(_END, 0, at)
    if at < 0:
        raise _damaged()
    disk, first_disk, n_here, n, size, start = struct.unpack("<4H2I", tail[at + 4 : at + 20])
    end = tail_at + at
    if at >= 20 and tail[at - 20 : at - 16] == _LOCATOR_64:
        (where,) = struct.unpack("<Q", tail[at - 12 : at - 4])
        if where + 56 > end:
            raise _damaged()
        file.seek(where)
        record = file.read(56)
        if record[:4] != _END_64:
            raise _damaged()
        disk, first_disk, n_here, n, size, start = struct.unpack("<2I4Q", record[16:])
        end = where
    if (disk, first_disk) != (0, 0) or n_here != n:
        raise UploadRefused(
            "the archive is one part of several; pack the files into one archive", code="archive_damaged"
        )
    if start + size != end:
        raise _damaged()
    return n, size, start


def _entry(table: bytes, at: int) -> tuple[_Entry, int]:
    """The entry there, and where the next one begins. Raises UploadRefused where the list itself is damaged."""
    flags, method, crc, packed, size = struct.unpack("<2H4x3I", table[at + 8 : at + 28])
    n_name, n_extra, n_comment, attributes, place = struct.unpack("<3H4xII", table[at + 28 : at + 46])
    name_at = at + 46
    extra_at = name_at + n_name
    end = extra_at + n_extra + n_comment
    if end > len(table):
        raise _damaged()
    raw = table[name_at:extra_at]
    packed, size, place = _in_64_bits(table[extra_at : extra_at + n_extra], packed, size, place)
    name = raw[:_LONGEST_NAME].decode("utf-8" if flags & _UTF_8 else "cp437", "replace")
    mode = attributes >> 16 if table[at + 5] == _UNIX else 0
    return _Entry(raw, name, flags, method, crc, packed, size, place, mode), end


def _in_64_bits(extra: bytes, packed: int, size: int, place: int) -> tuple[int, int, int]:
    """The three numbers, those that 32 bits cannot hold from the extra field 0x0001 (4.5.3)."""
    wanted = [number == _NOT_HERE_32 for number in (size, packed, place)]
    at = 0
    while any(wanted) and at + 4 <= len(extra):
        kind, length = struct.unpack("<2H", extra[at : at + 4])
        if kind == 1 and at + 4 + length <= len(extra) and length >= 8 * sum(wanted):
            numbers = iter(struct.unpack(f"<{length // 8}Q", extra[at + 4 : at + 4 + length // 8 * 8]))
            size, packed, place = (
                next(numbers) if one else old for one, old in zip(wanted, (size, packed, place), strict=True)
            )
            break
        at += 4 + length
    return packed, size, place


# --- one file --------------------------------------------------------------------------------------------------------


def _check(entry: _Entry, bounds: Bounds, seen: set[str]) -> None:
    """Raise UploadRefused for a file that is not to be unpacked, by what the list says of it."""
    path = PurePosixPath(entry.name.replace("\\", "/"))
    if len(entry.raw_name) > _LONGEST_NAME or "\0" in entry.name or not path.parts:
        raise UploadRefused("this file's name is empty, too long or no name at all; rename it", code="archive_name")
    if path.is_absolute() or ".." in path.parts or path.parts[0].endswith(":"):
        raise UploadRefused("this file's name points outside the archive; pack it again", code="archive_path")
    if stat.S_IFMT(entry.mode) not in (0, stat.S_IFREG):
        raise UploadRefused("this is a link or a device, not a file; pack the file itself", code="archive_path")
    if entry.name in seen:
        raise UploadRefused(
            "another file of the archive has this name, so nobody could tell their answers apart; rename one",
            code="archive_name",
        )
    seen.add(entry.name)
    if entry.flags & _ENCRYPTED:
        raise UploadRefused("this file is encrypted; pack it without a password", code="archive_encrypted")
    if entry.method not in (_STORED, _DEFLATED, _BZIP2, _LZMA):
        named = _METHODS.get(entry.method, f"method {entry.method}")
        raise UploadRefused(
            f"this file is packed with {named}, which is not read here; pack it with Deflate, the usual method",
            code="archive_packing",
        )
    if entry.size > bounds.max_file_bytes:
        raise file_too_large(bounds)
    if entry.size > max(_SMALL, bounds.max_ratio * max(entry.packed, 1)):
        raise UploadRefused(
            f"this file swells more than {bounds.max_ratio} times when unpacked; send it as it is",
            code="swells_too_much",
        )


def _content(file: IO[bytes], entry: _Entry, end: int) -> bytes:
    """Its bytes, as many as the list says and with the checksum it says. end: of its room. Raises UploadRefused."""
    if entry.at + 30 > end:
        raise _broken()
    file.seek(entry.at)
    head = file.read(30)
    if head[:4] != _LOCAL:
        raise _broken()
    _, method, n_name, n_extra = struct.unpack("<2H16x2H", head[6:])
    begin = entry.at + 30 + n_name + n_extra
    if method != entry.method or file.read(n_name) != entry.raw_name or begin + entry.packed > end:
        raise _broken()
    file.seek(begin)
    try:
        content = _stored(file, entry) if method == _STORED else _unpacked(file, entry)
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, struct.error) as error:
        raise _broken() from error
    if is_archive(content):
        raise UploadRefused("an archive in an archive is not unpacked; send it by itself", code="archive_nested")
    return content


def _stored(file: IO[bytes], entry: _Entry) -> bytes:
    content = file.read(entry.size) if entry.packed == entry.size else b""
    if len(content) != entry.size or zlib.crc32(content) != entry.crc:
        raise _broken()
    return content


def _unpacked(file: IO[bytes], entry: _Entry) -> bytes:
    """In steps: whatever a few packed bytes stand for, no more than a step of it is made at once."""
    content, crc, left = io.BytesIO(), 0, entry.packed
    decoder: Any
    if entry.method == _LZMA:
        decoder, left = _lzma_decoder(file.read(9)), left - 9
    else:
        decoder = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == _DEFLATED else bz2.BZ2Decompressor()
    packed, made = b"", b""
    while not decoder.eof:
        if not packed and len(made) < _STEP and getattr(decoder, "needs_input", True):  # all that was in it is out
            packed = file.read(max(0, min(_STEP, left)))
            left -= len(packed)
            if not packed:
                break
        made = decoder.decompress(packed, _STEP)
        packed = getattr(decoder, "unconsumed_tail", b"")  # the others keep it themselves
        if content.tell() + len(made) > entry.size:
            raise _broken()
        crc = zlib.crc32(made, crc)
        content.write(made)
    if content.tell() != entry.size or crc != entry.crc:
        raise _broken()
    return content.getvalue()  # shares its memory


def _lzma_decoder(head: bytes) -> lzma.LZMADecompressor:
    """A decoder for the properties, nine bytes, that stand before the data (5.8.8)."""
    n, packed, dictionary = struct.unpack("<2xHBI", head)
    rest, lc = divmod(packed, 9)
    pb, lp = divmod(rest, 5)
    if n != 5 or pb > 4 or lc + lp > 4:
        raise _broken()
    if dictionary > _MOST_DICTIONARY:
        raise UploadRefused(
            "this file is packed with LZMA in a way that needs too much memory; pack it with Deflate",
            code="archive_packing",
        )
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)


def _is_folder(entry: _Entry) -> bool:
    return entry.name.endswith(("/", "\\"))  # Windows has written both


def _hidden(name: str) -> bool:
    return any(part in _HIDDEN or part.startswith("._") for part in PurePosixPath(name).parts)


# --- the sentences ---------------------------------------------------------------------------------------------------


def too_large(bounds: Bounds) -> UploadRefused:
    """More than an upload may hold, unpacked."""
    return UploadRefused(
        f"the upload unpacks to more than the {bounds.max_bytes / 1e6:.0f} MB allowed; send it in parts",
        code="upload_too_large",
    )


def file_too_large(bounds: Bounds) -> UploadRefused:
    """More than one file may hold."""
    return UploadRefused(
        f"this file has more than the {bounds.max_file_bytes / 1e6:.0f} MB allowed; export it smaller", code="too_large"
    )


def _too_many(n: int, bounds: Bounds) -> UploadRefused:
    return UploadRefused(
        f"the archive lists {n} files, more than the {bounds.max_files} allowed; split it",
        code="too_many_files",
    )


def _damaged() -> UploadRefused:
    return UploadRefused("the archive is damaged or cut short; pack and send it again", code="archive_damaged")


def _broken() -> UploadRefused:
    return UploadRefused("this file is damaged in the archive; pack it again", code="archive_damaged")
