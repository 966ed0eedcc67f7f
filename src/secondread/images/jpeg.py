"""A JPEG file piece by piece (ITU-T T.81 annex B): what its segments say, before or beside a decoder."""

import contextlib
import hashlib
import re
import struct
import sys
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from secondread.errors import UnsupportedImage

APP0, APP1, APP14 = 0xE0, 0xE1, 0xEE
CODED = 0x00  # no marker of T.81: what a scan's header is followed by
_SOF, _NO_SOF, _SOF_OF_JPEG_LS = range(0xC0, 0xD0), (0xC4, 0xC8, 0xCC), 0xF7
EOI, _SOS, _DQT = 0xD9, 0xDA, 0xDB
# A marker is 0xFF and a byte; more 0xFF may stand before it. Those without a length are passed over (B.1.1.2, 3).
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_MARKER_HERE = re.compile(rb"(?:\xff++[\x01\xd0-\xd8])*+\xff++([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # neither stuffed nor a restart (B.1.1.5)
# A progressive JPEG may hold thousands of scans that each cost a pass over all pixels; this is about two seconds.
_MAX_SCAN_PIXELS = 1_200_000_000


class Segment(NamedTuple):
    """One piece: a marker with what belongs to it, or the coded data of a scan."""

    marker: int
    start: int  # of the marker, or of the coded data
    end: int  # as its length says


def segments(data: bytes, *, strict: bool = True) -> Iterator[Segment]:
    """Every piece in order, up to the end of the image; fill bytes and markers that stand alone are passed over.

    Coded data are looked through only when what follows a scan's header is asked for.
    strict: False goes on at the next marker where a piece is damaged, as decoders do.
    Raises ValueError where no marker follows, and if strict for what is no marker or a length that cannot be.
    """
    at, found = 2, (_MARKER_HERE.match if strict else _MARKER.search)(data, 2)
    while found is not None:
        marker, start = found[1][0], found.end() - 2
        if marker == EOI:
            yield Segment(marker, start, start + 2)
            return
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if strict and not start + 4 <= end <= len(data):
            raise ValueError("a segment ends beyond the file")
        yield Segment(marker, start, end)
        at = max(end, start + 4)
        if marker == _SOS:
            after = _MARKER_AFTER_SCAN.search(data, at)
            if after is None:
                raise ValueError("the file ends within a scan")
            yield Segment(CODED, at, at := after.start())
        found = (_MARKER_HERE.match if strict else _MARKER.search)(data, at)
    raise ValueError("no marker where one must be")


def _before_the_scans(data: bytes) -> Iterator[Segment]:
    """The segments before the first scan, as many as a damaged file shows."""
    with contextlib.suppress(ValueError):
        for segment in segments(data, strict=False) if data[:2] == b"\xff\xd8" else ():
            if segment.marker == _SOS:
                return
            yield segment


def frame_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """(width, height) as each frame header says, of JPEG or JPEG-LS (B.2.2)."""
    for marker, start, _ in _before_the_scans(data):
        frame = (marker in _SOF and marker not in _NO_SOF) or marker == _SOF_OF_JPEG_LS
        if frame and start + 9 <= len(data):
            height, width = struct.unpack_from(">2H", data, start + 5)
            yield width, height


def frame_facts(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, bits of a value, components) as each frame header says, of JPEG or JPEG-LS (B.2.2)."""
    for marker, start, _ in _before_the_scans(data):
        frame = (marker in _SOF and marker not in _NO_SOF) or marker == _SOF_OF_JPEG_LS
        if frame and start + 10 <= len(data):
            yield marker, data[start + 4], data[start + 9]


class Plain(NamedTuple):
    """A JPEG that says nothing beside its pixels."""

    width: int
    height: int
    samples: int  # 1 grey, 3 colour
    progressive: bool


_BESIDE = (APP0, APP14, 0xFE, _DQT, 0xC4, 0xDD)  # JFIF, Adobe, a comment; tables; how often a scan restarts
_PLAIN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_MOST_PLAIN = 64  # segments before the first scan


def plain(data: bytes) -> Plain | None:
    """What a JPEG of 8 bits says before its first scan, where that is all of it; None for any other.

    Another may be turned by its EXIF block, hold several pictures or be damaged: those are opened by Pillow.
    """
    found = None
    try:
        for segment in islice(segments(data), _MOST_PLAIN):
            marker, start, end = segment
            if marker == _SOS:
                return found
            if marker in _PLAIN_FRAMES and found is None and end - start >= 10:
                bits, height, width, samples = struct.unpack_from(">BHHB", data, start + 4)
                if bits != 8 or samples not in (1, 3) or not width or not height or end - start != 10 + 3 * samples:
                    return None
                found = Plain(width, height, samples, marker == 0xC2)
            elif marker not in _BESIDE:
                return None
    except ValueError:
        pass
    return None


def quantisation(data: bytes) -> str:
    """A short hash of a JPEG's quantisation tables, which tell one encoder or quality from another; '' without any.

    Reads the segments before the first scan (B.2.4.1); damaged ones are passed over.
    """
    tables = [data[start + 4 : end] for marker, start, end in _before_the_scans(data) if marker == _DQT]
    return hashlib.blake2b(b"".join(tables), digest_size=4).hexdigest() if tables else ""


_LEAST_SCAN = 10  # bytes: the header of a scan of one component, its marker among them (B.2.3)
_SOS_AS_READ = int.from_bytes(bytes((0xFF, _SOS)), sys.byteorder)


def check_scans(data: bytes, n_pixels: int) -> None:
    """Raise UnsupportedImage if the JPEG's scans (B.2.3) times its pixels are beyond reason.

    Counted without following the segments, so that no damage hides a scan.
    """
    if data[:2] != b"\xff\xd8" or len(data) // _LEAST_SCAN * n_pixels <= _MAX_SCAN_PIXELS:
        return
    # Pairs of bytes as numbers, from the even and from the odd places: ten times as fast as bytes.count.
    pairs = (np.frombuffer(data, np.uint16, (len(data) - odd) // 2, odd) for odd in (0, 1))
    if sum(np.count_nonzero(some == _SOS_AS_READ) for some in pairs) * n_pixels > _MAX_SCAN_PIXELS:
        raise UnsupportedImage(
            "this JPEG holds far more scans than an image needs; save it again as a plain JPEG or PNG"
        )
