"""Whole grey and RGB pictures of 8 bits in a plain PNG file, in less time than Pillow takes: most films that are sent.

They are inflated by ISA-L, which has to give as many bytes as the header says and the right checksum; then they are
wrapped as they are in a PNG that is not compressed, of which OpenCV undoes the filters. Whatever is not as usual, a
fault or transparency or several pictures, is left to Pillow, which names it.
"""

import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from isal import isal_zlib

NOT_INFLATED: type[Exception] = isal_zlib.IsalError  # type: ignore[assignment]  # its stub calls it an instance
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour, compression, filter, interlace (PNG 3rd ed., 11.2.1)
_SAMPLES = {0: 1, 2: 3}  # of the kinds of colour that are read here
_BESIDE = (b"gAMA", b"sRGB", b"pHYs")  # chunks that change no pixel
_LARGEST = 64_000_000  # bytes of pixels; of a larger picture Pillow's way takes less memory
_BLOCK = 65_535  # bytes of a block of deflate that is not compressed (RFC 1951, 3.2.4)
_HIGHEST_FILTER = 4
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


@dataclass(frozen=True)
class PlainPng:
    """What the header says, and where the compressed pixels are."""

    width: int
    height: int
    samples: int  # of a pixel: 1 grey, 3 RGB
    pixels: tuple[slice, ...]

    @property
    def stride(self) -> int:
        """Bytes of a row, the kind of its filter first."""
        return 1 + self.width * self.samples


def plain_png(data: bytes) -> PlainPng | None:
    """The file's layout, or None where it is not plain."""
    if data[:16] != SIGNATURE + b"\0\0\0\x0dIHDR" or len(data) < 33:
        return None
    width, height, bits, colour, *rest = _HEADER.unpack_from(data, 16)
    if bits != 8 or colour not in _SAMPLES or any(rest) or not width or not height:
        return None
    found: list[slice] = []
    at, before = 8, b""
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data) or (kind == b"IDAT" and found and before != b"IDAT"):
            return None
        if kind == b"IDAT":
            found.append(slice(at + 8, end - 4))
        elif zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return None
        elif kind == b"IEND":
            plain = PlainPng(width, height, _SAMPLES[colour], tuple(found))
            return plain if found and plain.stride * height <= _LARGEST else None
        elif kind not in _BESIDE and at != 8:
            return None
        at, before = end, kind
    return None


def memory_of_plain_png(png: PlainPng) -> int:
    """Bytes that decoding it takes at its peak: joined, as rows, once more wrapped, and twice the pixels."""
    return 5 * png.stride * png.height + 1_000_000


def decode_plain_png(data: bytes, png: PlainPng) -> np.ndarray | None:
    """uint8 (height, width) or (height, width, 3), as Pillow gives them; None where the file has a fault."""
    n = png.stride * png.height
    inflate = isal_zlib.decompressobj()
    try:
        rows = inflate.decompress(b"".join(data[part] for part in png.pixels), n + 1)
    except NOT_INFLATED:
        return None
    if len(rows) != n or not inflate.eof or max(rows[:: png.stride]) > _HIGHEST_FILTER:
        return None
    whole: list[bytes | memoryview] = [b"IDAT", b"\x78\x01"]
    view = memoryview(rows)
    for at in range(0, n, _BLOCK):
        size = min(_BLOCK, n - at)
        whole += [struct.pack("<BHH", at + size == n, size, size ^ 0xFFFF), view[at : at + size]]
    whole.append(isal_zlib.adler32(rows).to_bytes(4, "big"))
    length, checksum = sum(map(len, whole)) - 4, 0
    for part in whole:
        checksum = isal_zlib.crc32(part, checksum)
    file = b"".join((data[:33], length.to_bytes(4, "big"), *whole, checksum.to_bytes(4, "big"), _END))
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        return None
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if png.samples > 1 else pixels
