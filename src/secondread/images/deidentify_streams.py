"""Compressed pixels without what is written beside them: comments and metadata of JPEG, JPEG-LS and JPEG 2000 streams.

The coded data are copied as they are. Of a DICOM file's fragments (PS3.5 annex A.4) the offset tables follow.
"""

import struct

from secondread.images.jpeg import APP0, APP1, APP14, CODED, EOI, Segment, segments

_ITEM = b"\xfe\xff\x00\xe0"
_J2K = b"\xff\x4f\xff\x51"
_J2K_COM, _J2K_SOT = 0x64, 0x90
_SOS, _SOF_OF_JPEG_LS = 0xDA, 0xF7
_APP8 = 0xE8
_TABLES_AND_FRAMES = frozenset(
    (*range(0xC0, 0xD0), _SOF_OF_JPEG_LS, 0xF8, _SOS, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, CODED, EOI)
)
Extended = tuple[bytes, bytes]


def clean_jpeg(data: bytes, exif: bytes = b"") -> bytes:
    """A JPEG file or stream of tables, frames and scans alone. exif: a block to put in after JFIF's.

    JFIF's and Adobe's segments stay, cut to what tells how colours lie (T.871, T.872). Bytes where a marker must be are
    passed over, as decoders do. Raises ValueError for a file without an end: what its last scan holds cannot be told.
    """
    parts = [data[:2]]
    pending = bytes([0xFF, APP1]) + (len(exif) + 2).to_bytes(2, "big") + exif if exif else b""
    for marker, start, end in _pieces(data):
        piece = _kept(marker, data[start:end])
        if pending and piece and marker != APP0:
            parts.append(pending)
            pending = b""
        parts.append(piece)
    return b"".join(parts)


def _pieces(data: bytes) -> list[Segment]:
    """The segments; where there is something odd between them, those that a decoder finds that passes over it."""
    try:
        return list(segments(data))
    except ValueError:
        return list(segments(data, strict=False))


def _kept(marker: int, piece: bytes) -> bytes:
    if marker == EOI:
        return b"\xff\xd9"
    if marker in _TABLES_AND_FRAMES:
        return piece
    body = piece[4:]
    if marker == APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        return _segment(marker, body[:12] + b"\0\0")  # without its small picture
    if marker == APP14 and body.startswith(b"Adobe") and len(body) >= 12:
        return _segment(marker, body[:12])
    if marker == _APP8 and body.startswith(b"mrfx") and len(body) == 5:  # how colours of JPEG-LS lie
        return piece
    return b""


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def clean_fragments(data: bytes, extended: list[bytes] | None) -> tuple[bytes, Extended | None]:
    """The encapsulated pixel data with every stream cleaned, and the extended offset table (None: none is kept).

    extended: that of before, offsets and lengths. The same object comes back where nothing was to be cleaned. A table
    that points to no fragment is emptied: it may hold anything.
    """
    table, fragments, end = _fragments(data)
    cleaned = [clean_stream(fragment) for fragment in fragments]
    old, new = _starts(fragments), _starts(cleaned)
    moved = dict(zip(old, new, strict=True))
    offsets = [number for (number,) in struct.iter_unpack("<I", table)] if len(table) % 4 == 0 else [1]
    good = not offsets or (offsets[0] == 0 and len(set(offsets)) == len(offsets) and set(offsets) <= set(old))
    kept = b"".join(struct.pack("<I", moved[one]) for one in offsets) if good else b""
    long_table = _moved_extended(extended, moved, cleaned, new) if extended else None
    if kept == table and cleaned == fragments and end == len(data):
        return data, long_table
    return b"".join(_ITEM + len(one).to_bytes(4, "little") + one for one in (kept, *cleaned)), long_table


def _fragments(data: bytes) -> tuple[bytes, list[bytes], int]:
    """The basic offset table, the fragments, and where they end; one that is cut short ends with the data."""
    found, at = [], 0
    while data[at : at + 4] == _ITEM:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return found[0], found[1:], min(at, len(data))


def _starts(fragments: list[bytes]) -> list[int]:
    starts, at = [], 0
    for one in fragments:
        starts.append(at)
        at += 8 + len(one)
    return starts


def _moved_extended(
    extended: list[bytes], moved: dict[int, int], cleaned: list[bytes], new: list[int]
) -> Extended | None:
    """Of frames that are a fragment each, as this table demands (PS3.3 C.7.6.3.1.8)."""
    if len(extended[0]) % 8:
        return None
    offsets = [number for (number,) in struct.iter_unpack("<Q", extended[0])]
    if len(extended[1]) != len(extended[0]) or not set(offsets) <= set(moved):
        return None
    lengths = dict(zip(new, map(len, cleaned), strict=True))
    places = [moved[one] for one in offsets]
    return (
        b"".join(struct.pack("<Q", one) for one in places),
        b"".join(struct.pack("<Q", lengths[one]) for one in places),
    )


def clean_stream(fragment: bytes) -> bytes:
    """A fragment without comments; the same object where it begins no stream, or has none."""
    try:
        if fragment.startswith(_J2K):
            clean = _clean_j2k(fragment)
        elif fragment.startswith(b"\xff\xd8"):
            clean = _clean_jpeg_ls(fragment) if _is_jpeg_ls(fragment) else _clean_frame(fragment)
        else:
            return fragment
    except (ValueError, IndexError):
        return fragment
    if clean == fragment.rstrip(b"\0") or clean == fragment:
        return fragment
    return clean + b"\0" * (len(clean) % 2)


def _clean_frame(fragment: bytes) -> bytes:
    """A whole stream, or the beginning of one of several fragments, whose coded data go on in the next."""
    try:
        return b"".join(
            [fragment[:2], *(_kept(one.marker, fragment[one.start : one.end]) for one in segments(fragment))]
        )
    except ValueError:
        return _clean_head(fragment)[0]


def _clean_head(fragment: bytes) -> tuple[bytes, int]:
    """Cleaned before the first scan, and as it is from there; and where that is, in what was cleaned."""
    parts = [fragment[:2]]
    for one in segments(fragment, strict=False):
        if one.marker == _SOS:
            start = sum(map(len, parts))
            return b"".join(parts) + fragment[one.start :], start
        parts.append(_kept(one.marker, fragment[one.start : one.end]))
    raise ValueError("there is no scan")


def _is_jpeg_ls(fragment: bytes) -> bool:
    for one in segments(fragment, strict=False):
        if one.marker in (_SOF_OF_JPEG_LS, _SOS):
            return one.marker == _SOF_OF_JPEG_LS
    return False


def _clean_jpeg_ls(fragment: bytes) -> bytes:
    """Its coded data may hold what looks like a marker (T.87 9.1), so they are not looked through."""
    clean, _ = _clean_head(fragment)
    end = clean.rfind(b"\xff\xd9")
    return clean if end < 0 else clean[: end + 2]


def _clean_j2k(fragment: bytes) -> bytes:
    """Without comments in the main header (T.800 A.9.2) and without what follows the end."""
    parts, at = [fragment[:2]], 2
    while fragment[at] == 0xFF and fragment[at + 1] != _J2K_SOT:
        end = at + 2 + int.from_bytes(fragment[at + 2 : at + 4], "big")
        if fragment[at + 1] != _J2K_COM:
            parts.append(fragment[at:end])
        at = end
    last = fragment.rfind(b"\xff\xd9")
    return b"".join(parts) + fragment[at : last + 2 if last > at else len(fragment)]
