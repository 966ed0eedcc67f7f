"""Wrong files for the fuzzer: small valid images and archives, and what damages them, the same for the same number.

Some damage is blind (bits, bytes, pieces cut, doubled or stitched together), some knows the format: it changes lengths,
counts and sizes where the format keeps them, and mends what would hide the change (a PNG chunk's checksum, a deflated
data set).
"""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from PIL import Image as PillowImage
from pydicom.data import get_testdata_file
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)
from tests.crafted import png_chunk, png_chunks

from secondread.testing.phantoms import brain_phantom, chest_phantom, dicom_bytes, encode, without_preamble

SIDE = 48  # pixels: small, so that many thousands can be tried
_TELLING = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000)
_MOST = 0xFFFFFFFFFFFFFFFF
_TELLING += (0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, _MOST)
_SHIPPED_WITH_PYDICOM = {  # for what nothing here can encode
    "dicom-jpegls": "JPEGLSNearLossless_08.dcm",
    "dicom-jpegls-16": "JPEGLSNearLossless_16.dcm",
    "dicom-jpegls-line": "SC_rgb_jls_lossy_line.dcm",
    "dicom-jpegls-sample": "SC_rgb_jls_lossy_sample.dcm",
    "dicom-jpeg-rgb": "SC_rgb_small_odd_jpeg.dcm",
    "dicom-rle-frames": "SC_rgb_rle_16bit_2frame.dcm",
    "dicom-ybr-422": "SC_rgb_dcmtk_+eb+cy+n2.dcm",
    "dicom-float-dose": "rtdose_1frame.dcm",
}
Field = tuple[int, int, str]  # offset, bytes, 'little' or 'big'


def mutant(family: str, number: int) -> tuple[str, bytes]:
    """Case `number` of a family, 'images' or 'archives': the seed it came from, and the bytes."""
    rng = random.Random(f"{family}-{number}")
    name, seeds = seed_name(family, number), seeds_of(family)
    data = seeds[name]
    if rng.random() < 0.5:
        data = _by_format(name, data, rng)
    if rng.random() < 0.6 or data == seeds[name]:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = rng.choice(_BLIND)(data, rng, family)
    return name, data


def seed_name(family: str, number: int) -> str:
    """Of the seed that a case comes from."""
    turns = _turns(family)
    return turns[number % len(turns)]


@cache
def seeds_of(family: str) -> dict[str, bytes]:
    """The valid files by name."""
    return _images() if family == "images" else _archives()


@cache
def _turns(family: str) -> tuple[str, ...]:
    """Seeds in the order they are taken: DICOM costs ten times as much to parse as the others and comes less often, and
    JPEG-LS another ten times, since a process of its own decodes it.
    """
    times = dict.fromkeys(seeds_of(family), 64 if family == "images" else 1)
    times |= {name: 1 if "jpegls" in name else 8 for name in times if name.startswith("dicom")}
    order = random.Random(0)
    turns = [name for name, n in times.items() for _ in range(n)]
    order.shuffle(turns)
    return tuple(turns)


# --- seeds -----------------------------------------------------------------------------------------------------------


def _images() -> dict[str, bytes]:
    grey = chest_phantom(SIDE, random_state=1)
    deep = brain_phantom(SIDE, random_state=2).astype(np.uint16) * 16
    rgb = np.dstack([grey, brain_phantom(SIDE, random_state=3), grey[::-1]])
    return {**_rasters(grey, deep, rgb), **_dicom(grey, deep, rgb)}


def _rasters(grey: np.ndarray, deep: np.ndarray, rgb: np.ndarray) -> dict[str, bytes]:
    rgba = np.dstack([rgb, grey])
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    pages = [PillowImage.fromarray(page) for page in (grey[::-1], grey.T)]
    several = {"save_all": True, "append_images": pages}
    return {
        "png-grey": encode(grey, "PNG"),
        "png-16": encode(deep, "PNG"),
        "png-palette": _converted(rgb, "P", "PNG"),
        "png-alpha": encode(rgba, "PNG"),
        "png-bits": encode(grey > 100, "PNG"),
        "png-rgb-facts": encode(rgb, "PNG", icc_profile=bytes(200), exif=exif),
        "png-frames": encode(grey, "PNG", **several),
        "jpeg-grey": encode(grey, "JPEG", exif=exif),
        "jpeg-rgb": encode(rgb, "JPEG", quality=80, restart_marker_blocks=2),
        "jpeg-progressive": encode(rgb, "JPEG", progressive=True, quality=90),
        "jpeg-cmyk": _converted(rgb, "CMYK", "JPEG"),
        "tiff-raw": encode(deep, "TIFF"),
        "tiff-float": encode((deep / 4080).astype(np.float32), "TIFF"),
        "tiff-lzw": encode(rgb, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": encode(grey, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": encode(rgb, "TIFF", compression="jpeg"),
        "tiff-packbits": encode(grey, "TIFF", compression="packbits"),
        "tiff-fax": encode(grey > 100, "TIFF", compression="group4"),
        "tiff-pages": encode(grey, "TIFF", **several),
        "tiff-tiles": _tiled_tiff(grey),
        "webp-lossy": encode(rgb, "WebP"),
        "webp-lossless": encode(rgba, "WebP", lossless=True, exif=exif),
        "webp-frames": encode(rgb, "WebP", **several),
        "bmp-rgb": encode(rgb, "BMP"),
        "bmp-grey": encode(grey, "BMP"),
    }


def _dicom(grey: np.ndarray, deep: np.ndarray, rgb: np.ndarray) -> dict[str, bytes]:
    shown = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 1, "RescaleIntercept": 0}
    own = {
        "dicom": dicom_bytes(deep, bits_stored=12, **shown),
        "dicom-bare": without_preamble(dicom_bytes(deep)),
        "dicom-rgb": dicom_bytes(rgb),
        "dicom-frames": dicom_bytes(np.stack([grey, grey[::-1], grey.T]), multi_frame=True),
        "dicom-implicit": dicom_bytes(deep, syntax=ImplicitVRLittleEndian),
        "dicom-big": dicom_bytes(deep, syntax=ExplicitVRBigEndian),
        "dicom-deflated": dicom_bytes(deep, syntax=DeflatedExplicitVRLittleEndian),
        "dicom-rle": dicom_bytes(deep, syntax=RLELossless),
        "dicom-j2k": dicom_bytes(deep, syntax=JPEG2000Lossless),
        "dicom-j2k-lossy": dicom_bytes(rgb, syntax=JPEG2000, PhotometricInterpretation="YBR_ICT"),
        "dicom-jpeg": dicom_bytes(grey, syntax=JPEGBaseline8Bit, codestreams=[encode(grey, "JPEG")]),
    }
    return own | {name: _shipped(file) for name, file in _SHIPPED_WITH_PYDICOM.items()}


def _shipped(name: str) -> bytes:
    with open(str(get_testdata_file(name, download=False)), "rb") as file:  # noqa: PTH123 - pydicom hands out a string
        return file.read()


def _converted(rgb: np.ndarray, mode: str, kind: str) -> bytes:
    target = io.BytesIO()
    PillowImage.fromarray(rgb).convert(mode).save(target, format=kind)
    return target.getvalue()


def _tiled_tiff(grey: np.ndarray) -> bytes:
    """Nine tiles of 16 × 16, 8 bits, behind their directory."""
    tiles = [grey[y : y + 16, x : x + 16].tobytes() for y in range(0, 48, 16) for x in range(0, 48, 16)]
    entries = {256: (4, 1, 48), 257: (4, 1, 48), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    entries |= {322: (3, 1, 16), 323: (3, 1, 16)}
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries |= {324: (4, 9, start), 325: (4, 9, start + 36)}
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items())
    )
    offsets = struct.pack("<9I", *(start + 72 + 256 * index for index in range(9)))
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + offsets + struct.pack("<9I", *[256] * 9) + b"".join(tiles)


def _archives() -> dict[str, bytes]:
    film = encode(chest_phantom(32, random_state=1), "PNG")
    text = b"ward 7, bed 3\n" * 40
    files = [("ward/1.png", film), ("notes.txt", text)]
    return {
        "stored": archive(files, zipfile.ZIP_STORED),
        "deflate": archive(files),
        "bzip2": archive(files, zipfile.ZIP_BZIP2),
        "lzma": archive(files, zipfile.ZIP_LZMA),
        "zip64": archive(files, zip64=True),
        "zip64-end": _with_zip64_end(archive(files)),
        "streamed": archive(files, streamed=True),
        "encrypted": _flagged(archive(files)),
        "encrypted-in-part": _flagged(archive(files), first=True),
        "deflate64": _method(archive(files), 9),
        "zstd": _method(archive(files, zipfile.ZIP_STORED), 93),
        "many": archive([(f"{n}.png", bytes([n]) * n) for n in range(24)]),
        "names": archive([("ä/ü.png", film), ("a\u202egnp.exe", text), ("d/", b""), ("__MACOSX/._1.png", b"x")]),
        "comments": archive(files, comment=b"sent by ward 7"),
        "nested": archive([("inner.zip", archive(files)), ("1.png", film)]),
        "behind-something": b"#!/bin/sh\nexit 0\n" + archive(files),
        "swells": archive([("zeros.png", bytes(300_000)), ("1.png", film)]),
        "empty": archive([]),
    }


class _Stream(io.RawIOBase):
    """Takes bytes and cannot seek, so that sizes come behind the data."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        self.taken += data
        return len(data)


def archive(
    files: list[tuple[str, bytes]],
    compression: int = zipfile.ZIP_DEFLATED,
    *,
    zip64: bool = False,
    streamed: bool = False,
    comment: bytes = b"",
) -> bytes:
    """A zip archive, the same at any time of day. zip64: with the extra fields for sizes beyond 4 GB."""
    target: io.BytesIO | _Stream = _Stream() if streamed else io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as made:  # type: ignore[arg-type]
        made.comment = comment
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.comment = compression, comment
            with made.open(info, "w", force_zip64=zip64) as member:
                member.write(data)
    return bytes(target.taken) if isinstance(target, _Stream) else target.getvalue()


def _with_zip64_end(data: bytes) -> bytes:
    """With the record and locator that an archive beyond 4 GB or 65,535 files has (APPNOTE 4.3.14, 4.3.15)."""
    at = data.rindex(b"PK\x05\x06")
    n, size, start = struct.unpack("<HII", data[at + 10 : at + 20])
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, n, n, size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    end = data[at : at + 8] + b"\xff" * 12 + data[at + 20 :]
    return data[:at] + record + locator + end


def _flagged(data: bytes, *, first: bool = False) -> bytes:
    """With the flag of encryption set in every member, or the first."""
    return _every(data, 6, 8, lambda old: old | 1, first=first)


def _method(data: bytes, number: int) -> bytes:
    """With another compression method named."""
    return _every(data, 8, 10, lambda _: number)


def _every(data: bytes, local: int, central: int, change: Callable[[int], int], *, first: bool = False) -> bytes:
    changed = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = data.find(signature)
        while at >= 0:
            place = slice(at + offset, at + offset + 2)
            changed[place] = change(int.from_bytes(changed[place], "little")).to_bytes(2, "little")
            at = -1 if first else data.find(signature, at + 4)
    return bytes(changed)


# --- damage that knows the format ------------------------------------------------------------------------------------


def _by_format(name: str, data: bytes, rng: random.Random) -> bytes:
    if name.startswith("png"):
        return _png(data, rng)
    if name == "dicom-deflated" and rng.random() < 0.7:
        return _inflated(data, rng)
    return _numbers_at(data, rng, fields_of(name))


def _numbers_at(data: bytes, rng: random.Random, fields: tuple[Field, ...]) -> bytes:
    """Telling numbers, or others near by, in one to three of these fields."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3)) if fields else 0):
        at, wide, order = fields[rng.randrange(len(fields))]
        old = int.from_bytes(changed[at : at + wide], order)  # type: ignore[arg-type]
        new = rng.choice(
            (rng.choice(_TELLING), old + rng.randint(-4, 4), old * 2, old ^ (1 << rng.randrange(8 * wide)))
        )
        changed[at : at + wide] = (new % 256**wide).to_bytes(wide, order)  # type: ignore[arg-type]
    return bytes(changed)


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


def _png(data: bytes, rng: random.Random) -> bytes:
    """One chunk changed, repeated, moved or left out; or its pixels, deflated anew; all checksums right."""
    chunks = png_chunks(data)
    at = rng.randrange(len(chunks))
    kind, body = chunks[at]
    way = rng.randrange(6)
    if way == 0 and kind == b"IDAT":
        chunks[at] = (kind, zlib.compress(_flip(zlib.decompress(body), rng, "images"), 1))
    elif way == 1:
        chunks.insert(rng.randrange(len(chunks)), chunks[at])
    elif way == 2:
        del chunks[at]
    elif way == 3:
        chunks[at], other = chunks[rng.randrange(len(chunks))], chunks[at]
        chunks.append(other)
    elif way == 4:
        header = chunks[0][1]
        place = tuple(zip((0, 4, 8, 9, 10, 11, 12), (4, 4, 1, 1, 1, 1, 1), ["big"] * 7, strict=True))
        chunks[0] = (b"IHDR", _numbers_at(header, rng, place))
    elif body:
        chunks[at] = (kind, rng.choice((_flip, _number, _cut))(body, rng, "images"))
    return data[:8] + b"".join(png_chunk(*chunk) for chunk in chunks)


def _inflated(data: bytes, rng: random.Random) -> bytes:
    """The data set of a deflated DICOM file changed, and deflated again."""
    at = 144 + int.from_bytes(data[140:144], "little")
    inside = zlib.decompress(data[at:], -15)
    changed = rng.choice((_flip, _number, _cut, _remove))(inside, rng, "images")
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    return data[:at] + deflate.compress(changed) + deflate.flush()


# --- blind damage ----------------------------------------------------------------------------------------------------


def _place(data: bytes, rng: random.Random) -> int:
    """A position; half of them in the first kilobyte, where the headers are."""
    most = min(len(data), 1024) if rng.random() < 0.5 else len(data)
    return rng.randrange(max(1, most))


def _cut(data: bytes, rng: random.Random, _: str) -> bytes:
    return data[: rng.randrange(max(1, len(data)))]


def _flip(data: bytes, rng: random.Random, _: str) -> bytes:
    changed = bytearray(data)
    for _n in range(rng.choice((1, 1, 2, 4, 16)) if data else 0):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random, _: str) -> bytes:
    at, length = _place(data, rng), rng.choice((1, 2, 8, 64))
    new = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return (data[:at] + new + data[at + length :])[: len(data)]


def _number(data: bytes, rng: random.Random, _: str) -> bytes:
    wide = rng.choice((1, 2, 4, 8))
    at = _place(data, rng)
    new = (rng.choice(_TELLING) % 256**wide).to_bytes(wide, rng.choice(("little", "big")))
    return (data[:at] + new + data[at + wide :])[: len(data)]


def _double(data: bytes, rng: random.Random, _: str) -> bytes:
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return data[:last] + data[first:last] * rng.randint(1, 3) + data[last:]


def _remove(data: bytes, rng: random.Random, _: str) -> bytes:
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return data[:first] + data[last:]


def _append(data: bytes, rng: random.Random, _: str) -> bytes:
    return data + rng.randbytes(rng.choice((1, 4, 64, 1024)))


def _stitch(data: bytes, rng: random.Random, family: str) -> bytes:
    """The head of one file, the tail of another."""
    others = seeds_of(family)
    other = others[rng.choice(list(others))]
    return data[: _place(data, rng)] + other[_place(other, rng) :]


_BLIND = (_cut, _flip, _flip, _flip, _overwrite, _overwrite, _number, _number, _double, _remove, _append, _stitch)
