"""Where a valid file keeps its lengths, counts, sizes and offsets, format by format."""

from collections.abc import Iterator
from functools import cache

from benchmarks._mutant_seeds import seeds_of

Field = tuple[int, int, str]  # offset, bytes, 'little' or 'big'


@cache
def fields_of(name: str) -> tuple[Field, ...]:
    """Where a seed keeps lengths, counts, sizes and offsets."""
    seeds = seeds_of("images")
    data = seeds[name] if name in seeds else seeds_of("archives")[name]
    walkers = {"jpeg": _jpeg_fields, "tiff": _tiff_fields, "webp": _webp_fields, "bmp": _bmp_fields}
    walkers |= {"dicom": _dicom_fields}
    walk = _zip_fields if name not in seeds else walkers[name.partition("-")[0]]
    return tuple(walk(data))


def _jpeg_fields(data: bytes, at: int = 2) -> Iterator[Field]:
    """Segments up to the first scan: length, and what a frame or scan header says (ITU T.81, B.2)."""
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xD9:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        yield at + 2, 2, "big"
        if marker in (0xC0, 0xC1, 0xC2):
            yield from ((at + 4, 1, "big"), (at + 5, 2, "big"), (at + 7, 2, "big"))
        if marker in (0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xDA):
            yield from ((at + offset, 1, "big") for offset in range(9, min(length + 2, 40)))
        if marker == 0xDA:
            return
        at += 2 + length


def _tiff_fields(data: bytes) -> Iterator[Field]:
    """Every number of every directory (TIFF 6.0, section 2)."""
    order = "little" if data[:2] == b"II" else "big"
    at = int.from_bytes(data[4:8], order)  # type: ignore[arg-type]
    yield 4, 4, order
    for _ in range(4):
        n = int.from_bytes(data[at : at + 2], order)  # type: ignore[arg-type]
        yield at, 2, order
        for entry in range(at + 2, at + 2 + 12 * n, 12):
            yield from ((entry, 2, order), (entry + 2, 2, order), (entry + 4, 4, order), (entry + 8, 4, order))
        yield at + 2 + 12 * n, 4, order
        at = int.from_bytes(data[at + 2 + 12 * n : at + 6 + 12 * n], order)  # type: ignore[arg-type]
        if not at:
            return


def _webp_fields(data: bytes) -> Iterator[Field]:
    """Sizes of chunks, and the first sixteen bytes of each, where sizes of pictures are."""
    yield 4, 4, "little"
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield at + 4, 4, "little"
        yield from ((at + 8 + offset, 1, "little") for offset in range(min(length, 16)))
        at += 8 + length + length % 2


def _bmp_fields(_: bytes) -> Iterator[Field]:
    yield from ((at, 4, "little") for at in (2, 10, 14, 18, 22, 30, 34, 38, 42, 46, 50))
    yield from ((at, 2, "little") for at in (26, 28))


def _dicom_fields(data: bytes) -> Iterator[Field]:
    """The length of every element, and its value where that is short (PS3.5 section 7.1)."""
    at, meta = (132, True) if data[128:132] == b"DICM" else (0, False)
    big = b"1.2.840.10008.1.2.2\0" in data[:600]
    implicit = b"1.2.840.10008.1.2\0" in data[:600]
    end = at + 12 + int.from_bytes(data[at + 8 : at + 12], "little") if meta else 0
    while at + 8 <= len(data):
        order = "big" if big and at >= end else "little"
        if implicit and at >= end:
            place, wide, start = at + 4, 4, at + 8
        elif data[at + 4 : at + 6] in (b"OB", b"OW", b"OF", b"SQ", b"UN", b"UT"):
            place, wide, start = at + 8, 4, at + 12
        else:
            place, wide, start = at + 6, 2, at + 8
        length = int.from_bytes(data[place : place + wide], order)  # type: ignore[arg-type]
        yield place, wide, order
        if not implicit or at < end:
            yield at + 4, 1, order
        if length == 0xFFFFFFFF:  # fragments: their lengths, and what the first of a frame begins with
            for item in range(start, min(start + 40, len(data) - 4), 4):
                yield item, 4, order
            if (stream := data.find(b"\xff\xd8\xff", start)) >= 0:
                yield from _jpeg_fields(data, stream + 2)
            if (stream := data.find(b"\xff\x4f\xff\x51", start)) >= 0:
                yield from ((stream + offset, 4, "big") for offset in range(6, 46, 4))
            return
        if length <= 16:
            yield from ((start + offset, 1, order) for offset in range(length))
            yield from [(start, length, order)] if length in (2, 4) else []
        at = start + length


def _zip_fields(data: bytes) -> Iterator[Field]:
    """Every number of every record (APPNOTE 4.3)."""
    layouts = {
        b"PK\x03\x04": "22222444" + "22",
        b"PK\x01\x02": "22222" + "2444" + "22222" + "44",
        b"PK\x05\x06": "2222442",
        b"PK\x06\x06": "822448888",
        b"PK\x06\x07": "484",
    }
    for signature, layout in layouts.items():
        at = data.find(signature)
        while at >= 0:
            place = at + 4
            for wide in map(int, layout[1:] if signature == b"PK\x03\x04" else layout):
                yield place, wide, "little"
                place += wide
            at = data.find(signature, at + 4)
