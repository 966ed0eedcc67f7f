"""Small files made to cost much: bombs, lying sizes and lengths, endless nesting, and things that are no image."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode, without_preamble

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def crafted_files() -> Iterator[tuple[str, bytes]]:
    """Every crafted file as (name, bytes)."""
    yield from _not_images()
    yield from _png()
    yield from _jpeg()
    yield from _other_rasters()
    yield from _dicom_sizes()
    yield from _dicom_structure()
    yield from _dicom_codestreams()


def png_chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk with its right checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """(name, body) of each chunk of a valid PNG file."""
    at, found = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def png_file(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, colour: int = 0) -> bytes:
    """A PNG of that claimed size with these chunks between header and end."""
    header = (b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0))
    return PNG_SIGNATURE + b"".join(png_chunk(*chunk) for chunk in (header, *chunks, (b"IEND", b"")))


@cache
def zeros_deflated(n_bytes: int, *, raw: bool = False) -> bytes:
    """n_bytes of zeros, about a thousand times smaller."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15 if raw else 15)
    block = bytes(1 << 20)
    parts = [deflate.compress(block) for _ in range(n_bytes >> 20)]
    return b"".join(parts) + deflate.flush()


def jpeg_of_scans(n_scans: int, *, size: int = 64, claimed: tuple[int, int] | None = None) -> bytes:
    """A progressive JPEG whose last scan is repeated; `claimed` (width, height) replaces the size in its header."""
    data = bytearray(encode(chest_phantom(size, random_state=0), "JPEG", progressive=True))
    if claimed is not None:
        at = data.index(b"\xff\xc2")
        data[at + 5 : at + 9] = struct.pack(">2H", claimed[1], claimed[0])
    last = data.rindex(b"\xff\xda")
    return bytes(data[:last] + data[last:-2] * n_scans + data[-2:])


def _not_images() -> Iterator[tuple[str, bytes]]:
    yield "empty.png", b""
    yield "one-byte.jpg", b"\x89"
    yield "text.png", b"This is a letter, not a film.\n" * 20
    yield "letter.bmp", b"BMI of the patient: 24.2, as measured on Monday."
    yield "page.dcm", b"<!doctype html><title>Sign in</title>"
    yield "zeros.tif", bytes(10_000)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr(zipfile.ZipInfo("film.png"), bytes(50_000_000), zipfile.ZIP_DEFLATED)
    yield "bomb.zip.png", archive.getvalue()
    yield "bomb.nii.gz", gzip.compress(bytes(50_000_000), mtime=0)
    for name, head in (("film.gif", b"GIF89a"), ("report.pdf", b"%PDF-1.7"), ("scan.jp2", b"\x00\x00\x00\x0cjP  ")):
        yield name, head + bytes(100)


def _png() -> Iterator[tuple[str, bytes]]:
    idat = (b"IDAT", zeros_deflated(1 << 20))
    yield "png-huge.png", png_file(100_000, 100_000, idat)
    yield "png-most.png", png_file(2**31 - 1, 2**31 - 1, idat)
    yield "png-empty.png", png_file(0, 0, idat)
    yield "png-no-pixels.png", png_file(8000, 8000)
    yield "png-idat-bomb.png", png_file(1, 1, (b"IDAT", zeros_deflated(200 << 20)))
    bomb = zeros_deflated(200 << 20)
    yield "png-ztxt-bomb.png", png_file(8, 8, (b"zTXt", b"Comment\x00\x00" + bomb), idat)
    yield "png-itxt-bomb.png", png_file(8, 8, (b"iTXt", b"Comment\x00\x01\x00\x00\x00" + bomb), idat)
    yield "png-iccp-bomb.png", png_file(8, 8, (b"iCCP", b"icc\x00\x00" + bomb), idat)
    text = (b"zTXt", b"Comment\x00\x00" + zeros_deflated(1 << 20))
    yield "png-many-texts.png", png_file(8, 8, *[text] * 200, idat)
    yield "png-many-chunks.png", png_file(8, 8, *[(b"tEXt", b"a\x00b")] * 50_000, idat)
    yield "png-many-idats.png", png_file(2000, 2000, *[(b"IDAT", b"")] * 50_000, idat)
    yield "png-frames.png", png_file(8, 8, (b"acTL", struct.pack(">2I", 2**31 - 1, 0)), idat)
    yield "png-lying-chunk.png", png_file(8, 8)[:33] + b"\xff\xff\xff\xffIDAT" + bytes(50)


def _jpeg() -> Iterator[tuple[str, bytes]]:
    yield "jpeg-scans.jpg", jpeg_of_scans(5000)
    yield "jpeg-scans-large.jpg", jpeg_of_scans(400, claimed=(8000, 8000))
    yield "jpeg-scans-some.jpg", jpeg_of_scans(20, claimed=(8000, 8000))
    yield "jpeg-huge.jpg", jpeg_of_scans(1, claimed=(65500, 65500))
    plain = encode(chest_phantom(64, random_state=0), "JPEG")
    yield "jpeg-markers.jpg", plain[:2] + b"\xff\xe1\x00\x02" * 100_000 + plain[2:]
    yield (
        "jpeg-exif-loop.jpg",
        plain[:2] + b"\xff\xe1\x00\x20Exif\x00\x00II*\x00\x08\x00\x00\x00" + b"\x01\x00" * 9 + plain[2:],
    )
    yield "jpeg-no-marker.jpg", plain[:2] + b"\xff\xe0" + bytes(20_000_000)
    yield "jpeg-head.jpg", b"\xff\xd8\xff"


def _other_rasters() -> Iterator[tuple[str, bytes]]:
    picture = chest_phantom(64, random_state=0)
    yield "tiff-huge.tif", tiff_claiming(100_000, 100_000)
    yield "tiff-tall.tif", tiff_claiming(1, 64_000_000)
    yield "tiff-most.tif", tiff_claiming(2**32 - 1, 2**32 - 1)
    yield "tiff-loop.tif", b"II*\x00\x08\x00\x00\x00\x01\x00" + bytes(12) + b"\x08\x00\x00\x00"
    yield (
        "tiff-many-tags.tif",
        b"II*\x00\x08\x00\x00\x00\xff\xff" + b"\x00\x01\x04\x00\xff\xff\xff\xff\x00\x00\x00\x00" * 65_535,
    )
    tile = [(322, 4, 2**31), (323, 4, 2**31), (324, 4, 8), (325, 4, 2**31)]
    yield "tiff-tile.tif", tiff_claiming(64, 64, extra=tile)
    yield "tiff-lzw-huge.tif", tiff_claiming(8000, 8000, extra=[(259, 3, 5)])
    bmp = bytearray(encode(picture, "BMP"))
    bmp[18:26] = struct.pack("<2i", 100_000, 100_000)
    yield "bmp-huge.bmp", bytes(bmp)
    bmp[18:26] = struct.pack("<2i", -64, -(2**31))
    yield "bmp-negative.bmp", bytes(bmp)
    runs = struct.pack("<2sI4xI IiiHHIIiiII", b"BM", 0, 1078, 40, 8000, 8000, 1, 8, 1, 0, 0, 0, 256, 0)
    yield "bmp-runs.bmp", runs + bytes(1024) + b"\x00\x02\xff\xff" * 50_000
    yield "bmp-rle.bmp", runs + bytes(1024) + b"\xff\x07" * 300_000
    webp = bytearray(encode(np.dstack([picture] * 4), "WebP", lossless=True))
    yield "webp-canvas.webp", webp_canvas(16_384, 16_384)
    yield "webp-most.webp", webp_canvas(2**24, 2**24)
    webp[21:25] = b"\xff\xff\xff\x0f"  # 14 bits each of width - 1 and height - 1
    yield "webp-vp8l.webp", bytes(webp)


def tiff_claiming(width: int, height: int, *, extra: list[tuple[int, int, int]] | None = None) -> bytes:
    """A TIFF header of that size with hardly any pixels; extra: (tag, type, value)."""
    tags = {256: (4, width), 257: (4, height), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, 8), 278: (4, height)}
    tags[279] = (4, min(width * height, 2**32 - 1))
    tags |= {tag: (kind, value) for tag, kind, value in extra or ()}
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in sorted(tags.items()))
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(tags)) + entries + bytes(64)


def webp_canvas(width: int, height: int, *, animated: bool = False) -> bytes:
    """An extended WebP file of that canvas with no picture in it."""
    body = (
        b"WEBPVP8X\x0a\x00\x00\x00"
        + bytes([2 * animated, 0, 0, 0])
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _dicom_sizes() -> Iterator[tuple[str, bytes]]:
    picture = chest_phantom(64, random_state=0)
    yield "dicom-huge.dcm", dicom_bytes(picture, Rows=65_535, Columns=65_535)
    yield "dicom-short.dcm", dicom_bytes(picture, Rows=7000, Columns=7000)
    yield "dicom-no-rows.dcm", dicom_bytes(picture, Rows=0, Columns=0)
    yield "dicom-frames.dcm", dicom_bytes(picture, NumberOfFrames=2**31 - 1)
    yield "dicom-no-frames.dcm", dicom_bytes(picture, NumberOfFrames=-5)
    yield "dicom-samples.dcm", dicom_bytes(picture, SamplesPerPixel=65_535)
    yield "dicom-bits.dcm", dicom_bytes(picture, BitsAllocated=64, BitsStored=64, HighBit=63)
    yield "dicom-no-bits.dcm", dicom_bytes(picture, BitsStored=0, BitsAllocated=0)
    yield "dicom-wide-range.dcm", dicom_bytes((picture.astype(np.uint32) << 24) + 1)
    yield "dicom-slope.dcm", dicom_bytes(picture, RescaleSlope="1e300", RescaleIntercept="-1e300")
    yield "dicom-window.dcm", dicom_bytes(picture, WindowCenter="1e30", WindowWidth="-5")
    yield "dicom-no-pixels.dcm", dicom_bytes(picture, PixelData=b"")


def _dicom_structure() -> Iterator[tuple[str, bytes]]:
    whole = dicom_bytes(chest_phantom(64, random_state=0))
    head, pixels = whole[: whole.index(b"\xe0\x7f\x10\x00")], whole[whole.index(b"\xe0\x7f\x10\x00") :]
    lying = bytearray(whole)
    lying[len(head) + 8 : len(head) + 12] = b"\xfe\xff\xff\xff"
    yield "dicom-lying-length.dcm", bytes(lying)
    lying[len(head) + 8 : len(head) + 12] = b"\xff\xff\xff\xff"
    yield "dicom-undefined-length.dcm", bytes(lying)
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    nested = (b"\x40\x00\x00\xa7SQ\x00\x00\xff\xff\xff\xff" + item) * 20_000
    yield "dicom-nested.dcm", head + nested + pixels
    yield "dicom-nested-lut.dcm", head + b"\x28\x00\x10\x30SQ\x00\x00\xff\xff\xff\xff" + item * 20_000 + pixels
    sequence = b"\x28\x00\x00\x01\x00\x00\x00\x00" * 500_000  # half a million elements in one explicit sequence
    items = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(sequence)) + sequence
    lut = b"\x28\x00\x10\x30SQ\x00\x00" + struct.pack("<I", len(items)) + items
    yield "dicom-long-lut.dcm", head + lut + pixels
    tiny = b"".join(struct.pack("<2H2sH", 0x7001 + 2 * (n >> 16), n & 0xFFFF, b"CS", 0) for n in range(1_000_000))
    yield "dicom-many-elements.dcm", head + tiny + pixels
    yield "dicom-deflated-bomb.dcm", deflated_dicom(zeros_deflated(300 << 20, raw=True))
    yield "dicom-deflated-elements.dcm", deflated_dicom(zeros_deflated(150 << 20, raw=True))
    yield "dicom-preamble-only.dcm", bytes(128) + b"DICM"


def deflated_dicom(stream: bytes) -> bytes:
    """A DICOM file of the deflated transfer syntax around that stream."""
    whole = dicom_bytes(chest_phantom(16, random_state=0), syntax=DeflatedExplicitVRLittleEndian)
    return whole.removesuffix(without_preamble(whole)) + stream


def _dicom_codestreams() -> Iterator[tuple[str, bytes]]:
    picture = chest_phantom(64, random_state=0)
    j2k = bytearray(dicom_bytes(picture, syntax=JPEG2000Lossless))
    at = j2k.index(b"\xff\x4f\xff\x51")
    j2k[at + 8 : at + 16] = struct.pack(">2I", 100_000, 100_000)
    yield "dicom-j2k-lies.dcm", bytes(j2k)
    j2k[at + 8 : at + 16] = struct.pack(">2I", 64, 64)
    j2k[at + 24 : at + 32] = struct.pack(">2I", 1, 1)  # tiles of one pixel
    yield "dicom-j2k-tiles.dcm", bytes(j2k)
    scans = jpeg_of_scans(3000, claimed=(4000, 4000))
    yield (
        "dicom-jpeg-scans.dcm",
        dicom_bytes(picture, syntax=JPEGBaseline8Bit, codestreams=[scans], Rows=4000, Columns=4000),
    )
    yield (
        "dicom-jpeg-lies.dcm",
        dicom_bytes(picture, syntax=JPEGBaseline8Bit, codestreams=[jpeg_of_scans(1, claimed=(65_500, 65_500))]),
    )
    segment = b"\x81\x00" * 2_000_000  # PackBits: each pair is 128 bytes
    rle = struct.pack("<16I", 1, 64, *[0] * 14) + segment
    yield "dicom-rle-bomb.dcm", dicom_bytes(picture, syntax=RLELossless, codestreams=[rle])
    fragments = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 1_000_000 + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    whole = dicom_bytes(picture, syntax=JPEG2000Lossless)
    start = whole.index(b"\xe0\x7f\x10\x00") + 12
    yield "dicom-many-fragments.dcm", whole[:start] + fragments
    wrong = dicom_bytes(picture, syntax=ExplicitVRLittleEndian)
    yield "dicom-wrong-syntax.dcm", wrong.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.5\x00")
    yield "dicom-no-syntax.dcm", wrong.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.99999.1.2.9\x00")
