"""PNG, JPEG, WebP and BMP files of their pixels alone: these are copied as they are compressed, the rest goes."""

import zlib
from collections.abc import Callable, Iterator

from isal import isal_zlib

from secondread.images.deidentify_streams import clean_jpeg
from secondread.images.deidentify_tiff import clean_tiff
from secondread.images.png import NOT_INFLATED

_PNG_STAYS = {  # what pixels, transparency and their look need (PNG 3rd edition, 11), and how long that can be
    b"IHDR": 13, b"PLTE": 768, b"IDAT": None, b"IEND": 0, b"tRNS": 256, b"gAMA": 4, b"sRGB": 1, b"acTL": 8,
    b"fcTL": 26, b"fdAT": None,
}  # fmt: skip
_PNG_AGAIN = (b"IDAT", b"fcTL", b"fdAT")  # chunks that may come several times
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by PNG's type of colour
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MOST_UNPACKED = 600_000_000  # bytes; a picture of more is refused later, by its pixels
_WEBP_FRAME = (b"ALPH", b"VP8 ", b"VP8L")
_EXIF_FLAG, _ICC_FLAG, _XMP_FLAG = 0x08, 0x20, 0x04  # of VP8X (RFC 9649, 2.7.1)
_HAS_ALPHA_OR_ANIMATION = 0x12
_MASKS = 3  # BI_BITFIELDS: colours whose masks follow a header of 40 bytes
_RLE = (1, 2)


def _png(data: bytes, orientation: int) -> bytes:
    """The file without its text, time, EXIF and colour profile, and without what follows its end or its pixels."""
    parts, seen, at = [data[:8]], set(), 8
    pixels = _Unpacked(data)
    while True:
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if len(kind) < 4 or end > len(data):
            raise ValueError("a chunk ends beyond the file")
        most = _PNG_STAYS.get(kind, -1)
        if (most is None or length <= most) and (kind not in seen or kind in _PNG_AGAIN):
            parts.append(pixels.cut(data[at:end]) if kind == b"IDAT" else data[at:end])
            seen.add(kind)
        if kind == b"IHDR" and orientation != 1:
            parts.append(_chunk(b"eXIf", exif_of(orientation)))
        if kind == b"IEND":
            return b"".join(parts)
        at = end


class _Unpacked:
    """Follows the compressed pixels to their end: what a file has in its pixels' chunks behind it is cut off."""

    def __init__(self, data: bytes):
        self._left = _unpacked_bytes(data)
        self._inflate = isal_zlib.decompressobj()

    def cut(self, chunk: bytes) -> bytes:
        """An IDAT chunk without what is not of the pixels. Damage is left to the decoder, which names it."""
        body = chunk[8:-4]
        if self._inflate.eof:
            return b""
        if self._left < 0:
            return chunk
        feed = body
        try:
            while feed and not self._inflate.eof and self._left >= 0:
                self._left -= len(self._inflate.decompress(feed, 1 << 20))
                feed = self._inflate.unconsumed_tail
        except NOT_INFLATED:
            self._left = -1
            return chunk
        unused = len(self._inflate.unused_data)
        return _chunk(b"IDAT", body[: len(body) - unused]) if self._inflate.eof and unused else chunk


def _unpacked_bytes(data: bytes) -> int:
    """How many bytes the pixels unpack to, with some to spare; -1 where that is beyond reason."""
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    bits, colour, interlaced = data[24], data[25], data[28]
    each = bits * _SAMPLES.get(colour, 4)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    n = 0
    for left, top, across, down in passes:
        columns, rows = -((left - width) // across), -((top - height) // down)
        n += max(rows, 0) * (1 + (max(columns, 0) * each + 7) // 8)
    return n + 64 if n <= _MOST_UNPACKED else -1


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _jpeg(data: bytes, orientation: int) -> bytes:
    """The file without comments and application segments, but for JFIF's, Adobe's and the orientation."""
    return clean_jpeg(data, b"Exif\0\0" + exif_of(orientation) if orientation != 1 else b"")


def _webp(data: bytes, orientation: int) -> bytes:
    """The file without EXIF, XMP, colour profile and chunks that are not known (RFC 9649, 2.3 to 2.7)."""
    parts = []
    for kind, body in _riff(data[12 : 8 + int.from_bytes(data[4:8], "little")]):
        if kind == b"VP8X":
            flags = body[0] & _HAS_ALPHA_OR_ANIMATION | (_EXIF_FLAG if orientation != 1 else 0)
            parts.append(_riff_chunk(kind, bytes([flags]) + b"\0\0\0" + body[4:10]))
        elif kind == b"ANIM":
            parts.append(_riff_chunk(kind, body[:6]))
        elif kind == b"ANMF":
            inside = b"".join(_riff_chunk(*one) for one in _riff(body[16:]) if one[0] in _WEBP_FRAME)
            parts.append(_riff_chunk(kind, body[:16] + inside))
        elif kind in _WEBP_FRAME:
            parts.append(_riff_chunk(kind, body))
    if orientation != 1:
        parts.append(_riff_chunk(b"EXIF", exif_of(orientation)))
    whole = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(whole).to_bytes(4, "little") + whole


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            raise ValueError("a chunk ends beyond the file")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def _bmp(data: bytes, orientation: int) -> bytes:
    """The file's header, masks, palette and pixels, without profile, gaps and what follows the end."""
    at, size = int.from_bytes(data[10:14], "little"), int.from_bytes(data[14:18], "little")
    header = bytearray(data[14 : 14 + size])
    if len(header) < size or at > len(data) or at < 14 + size:
        raise ValueError("the header ends beyond the file")
    old = size == 12
    width, height = (
        (_signed(header[4:6]), _signed(header[6:8])) if old else (_signed(header[4:8]), _signed(header[8:12]))
    )
    bits = int.from_bytes(header[10:12] if old else header[14:16], "little")
    compression = 0 if old else int.from_bytes(header[16:20], "little")
    if old:
        width, height = int.from_bytes(header[4:6], "little"), int.from_bytes(header[6:8], "little")
    if size >= 108:
        header[56:108] = b"\0" * 52  # colour space and its end points: what these hold is not used, and may be text
        header[108:] = b"\0" * (size - 108)  # intent and profile
        header[56:60] = b"BGRs"  # sRGB
    masks = 4 * _MASKS if size == 40 and compression == 3 else 16 if size == 40 and compression == 6 else 0
    known = 0 if old or size < 36 else int.from_bytes(header[32:36], "little")
    colours = (known or (1 << bits)) if bits <= 8 else 0
    palette = min(colours * (3 if old else 4), 1024, max(at - 14 - size - masks, 0))
    head = data[14 + size : 14 + size + masks] + data[14 + size + masks : 14 + size + masks + palette]
    if compression in _RLE:
        said = int.from_bytes(header[20:24], "little")
        pixels = data[at : at + said] if said else data[at:]
    else:
        pixels = data[at : at + (abs(width) * bits + 31) // 32 * 4 * abs(height)]
    start = 14 + size + len(head)
    whole = b"BM" + (start + len(pixels)).to_bytes(4, "little") + b"\0\0\0\0" + start.to_bytes(4, "little")
    return whole + bytes(header) + head + pixels


def _signed(four: bytes | bytearray) -> int:
    return int.from_bytes(four, "little", signed=True)


def exif_of(orientation: int) -> bytes:
    """An EXIF block (a TIFF of one entry) that holds the orientation alone."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\0\0"
    return b"MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\0\0\0\0"


CUTTERS: dict[str, Callable[[bytes, int], bytes]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WebP": _webp,
    "BMP": _bmp,
    "TIFF": lambda data, orientation: clean_tiff(data),
}
