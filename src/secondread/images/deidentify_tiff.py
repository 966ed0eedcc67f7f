"""A TIFF file of its pages' pixels alone (TIFF 6.0): the tags that decoding needs, and strips or tiles as they are."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from secondread.images.deidentify_streams import clean_jpeg

_SIZES = {1: 1, 3: 2, 4: 4, 5: 8, 6: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 7: 1}  # bytes of a value, by its type
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR, _TILES, _TILE_BYTES = 273, 277, 278, 279, 284, 324, 325
_COLOUR_MAP, _JPEG_TABLES = 320, 347
_STAYS = {  # tag → the most values of it that a page can have
    _SUBFILE: 1, 255: 1, _WIDTH: 1, _HEIGHT: 1, _BITS: 16, _COMPRESSION: 1, _PHOTOMETRIC: 1, 266: 1, 274: 1,
    _SAMPLES: 1, _ROWS: 1, 280: 16, 281: 16, 282: 1, 283: 1, _PLANAR: 1, 292: 1, 293: 1, 296: 1, 317: 1,
    _COLOUR_MAP: 3 * 65536, 322: 1, 323: 1, 332: 1, 338: 16, 339: 16, 529: 3, 530: 2, 531: 1, 532: 6,
}  # fmt: skip
_OLD_JPEG, _JPEG = 6, 7
_UNCOMPRESSED = 1
_MOST_PAGES, _MOST_ENTRIES = 20_000, 4_096
_WHOLE = (1, 3, 4)


class _Tag(NamedTuple):
    kind: int
    n: int
    value: bytes  # as the file has it, in its order of bytes


def clean_tiff(data: bytes) -> bytes:
    """The file with its pages in their order, without description, author, dates, profiles, EXIF, GPS, XMP and IPTC.

    What lies between the parts that are pointed to goes with them. Raises ValueError, IndexError or struct.error for a
    file that is damaged, or compressed in the way of 1992, which points into itself.
    """
    order = ">" if data[:2] == b"MM" else "<"
    out = bytearray(data[:4] + b"\0\0\0\0")
    link = 4  # where the offset of the next page belongs
    n = 0
    for tags in _pages(data, order):
        if tags is None:  # a reader must learn that a page is missing: it is pointed to where nothing is
            struct.pack_into(f"{order}I", out, link, len(out))
            break
        n += 1
        link = _add_page(out, link, data, tags, order)
    if not n:
        raise ValueError("there is no page")
    return bytes(out)


def _pages(data: bytes, order: str) -> Iterator[dict[int, _Tag] | None]:
    """Of each page its tags; None, and no more, for one that cannot be read after a good one."""
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        try:
            tags, at = _page(data, at, order)
        except (struct.error, ValueError):
            if len(seen) == 1:
                raise
            yield None
            return
        yield tags


def _page(data: bytes, at: int, order: str) -> tuple[dict[int, _Tag], int]:
    (n,) = struct.unpack_from(f"{order}H", data, at)
    if n > _MOST_ENTRIES:
        raise ValueError("a page has too many tags")
    tags: dict[int, _Tag] = {}
    for index in range(n):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, at + 2 + 12 * index)
        wanted = tag in _STAYS or tag in (_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _JPEG_TABLES)
        if not wanted or kind not in _SIZES or count > _STAYS.get(tag, count):
            continue
        size = _SIZES[kind] * count
        start = at + 10 + 12 * index
        if size > 4:
            (start,) = struct.unpack_from(f"{order}I", data, start)
        value = data[start : start + size]
        if len(value) < size:
            raise ValueError("a tag's value ends beyond the file")
        tags[tag] = _Tag(kind, count, value)
    end = at + 2 + 12 * n
    following = struct.unpack_from(f"{order}I", data, end)[0] if end + 4 <= len(data) else 0
    return tags, following


def _numbers(tag: _Tag | None, order: str) -> list[int]:
    if tag is None or tag.kind not in _WHOLE:
        return []
    return list(struct.unpack(f"{order}{tag.n}{' BHHI'[tag.kind]}", tag.value))


def _add_page(out: bytearray, link: int, data: bytes, tags: dict[int, _Tag], order: str) -> int:
    """Write pixels, values and the page's list behind one another; where the offset of the next page belongs."""
    compression = (_numbers(tags.get(_COMPRESSION), order) or [_UNCOMPRESSED])[0]
    if compression == _OLD_JPEG:
        raise ValueError("JPEG in the way of 1992 points into the file")
    kept = {tag: value for tag, value in tags.items() if tag in _STAYS}
    if _JPEG_TABLES in tags and compression == _JPEG:
        tables = clean_jpeg(tags[_JPEG_TABLES].value)
        kept[_JPEG_TABLES] = _Tag(7, len(tables), tables)
    for places, sizes in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        if places not in tags:
            continue
        offsets, lengths = _numbers(tags[places], order), _numbers(tags.get(sizes), order)
        if not lengths and len(offsets) == 1:
            lengths = [len(data) - offsets[0]]
        if compression == _UNCOMPRESSED and places == _STRIPS:
            lengths = _of_pixels(kept, lengths, order)
        moved, written = [], []
        for offset, length in zip(offsets, lengths, strict=True):
            strip = data[offset : offset + length]
            strip = clean_jpeg(strip) if compression == _JPEG else strip
            out += b"\0" * (len(out) % 2)
            moved.append(len(out))
            written.append(len(strip))
            out += strip
        kept[places] = _Tag(4, len(moved), struct.pack(f"{order}{len(moved)}I", *moved))
        kept[sizes] = _Tag(4, len(written), struct.pack(f"{order}{len(written)}I", *written))
    return _add_list(out, link, kept, order)


def _of_pixels(tags: dict[int, _Tag], lengths: list[int], order: str) -> list[int]:
    """Lengths of uncompressed strips without what is behind their rows; as they are where that is not plain."""

    def one(tag: int, otherwise: int) -> int:
        return (_numbers(tags.get(tag), order) or [otherwise])[0]

    width, height, samples = one(_WIDTH, 0), one(_HEIGHT, 0), one(_SAMPLES, 1)
    rows = min(one(_ROWS, height) or height, height)
    apart = one(_PLANAR, 1) == 2
    each = one(_BITS, 1) * (1 if apart else samples)
    if not rows or len(lengths) != -(-height // rows) * (samples if apart else 1):
        return lengths
    strips = -(-height // rows)
    full = [min(rows, height - rows * (at % strips)) * ((width * each + 7) // 8) for at in range(len(lengths))]
    return [min(length, most) for length, most in zip(lengths, full, strict=True)]


def _add_list(out: bytearray, link: int, tags: dict[int, _Tag], order: str) -> int:
    entries = bytearray()
    for tag in sorted(tags):
        kind, n, value = tags[tag]
        entries += struct.pack(f"{order}HHI", tag, kind, n)
        if len(value) <= 4:
            entries += value.ljust(4, b"\0")
        else:
            out += b"\0" * (len(out) % 2)
            entries += struct.pack(f"{order}I", len(out))
            out += value
    out += b"\0" * (len(out) % 2)
    struct.pack_into(f"{order}I", out, link, len(out))
    out += struct.pack(f"{order}H", len(tags)) + entries
    link = len(out)
    out += b"\0\0\0\0"
    return link
