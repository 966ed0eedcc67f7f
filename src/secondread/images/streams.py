"""What the compressed pixel data of a DICOM file are, by their own signatures (T.81, T.87, T.800, PS3.5 annex A.4)."""

import struct
from typing import NamedTuple

import pydicom.uid as uids
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame, parse_basic_offsets, parse_fragments

from secondread.images.jpeg import frame_facts

ITEM = b"\xfe\xff\x00\xe0"
_J2K = b"\xff\x4f\xff\x51"
_JPEG_LS = (uids.JPEGLSLossless, uids.JPEGLSNearLossless)
_JPEG_2000 = (uids.JPEG2000Lossless, uids.JPEG2000, uids.HTJ2KLossless, uids.HTJ2KLosslessRPCL, uids.HTJ2K)
_JPEG_LOSSLESS = (uids.JPEGLosslessSV1, uids.JPEGLossless)
OTHER_STREAMS = (  # what a frame begins with, and what it then is
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"\x00\x00\x01\xb3", "MPEG video"),
    (b"\x00\x00\x01\x00", "MPEG video"),
    (b"\x00\x00\x00\x01", "H.264 or H.265 video"),
)
MAX_FRAGMENTS = 65_536


class Stream(NamedTuple):
    """What a compressed frame says of itself."""

    syntaxes: tuple[uids.UID, ...]  # those it fits; the first is taken where the header names none of them
    precision: int  # bits of a value; 0 where it does not say
    samples: int  # 0 where it does not say
    signed: bool | None = None  # None where it does not say


def recognised(stream: bytes) -> Stream | None:
    """What the beginning of a frame's stream says it is; None where it is none that is known here."""
    start = stream.find(_J2K, 0, 256)
    if start >= 0 and len(stream) >= start + 43:
        (samples,) = struct.unpack_from(">H", stream, start + 40)
        high_throughput = b"\xff\x50" in stream[start : start + 200]  # a CAP marker (T.814)
        syntaxes = _JPEG_2000[2:] if high_throughput else _JPEG_2000[:2]
        depth = stream[start + 42]  # its highest bit is the sign
        return Stream(syntaxes, (depth & 0x7F) + 1, samples, bool(depth & 0x80))
    for marker, precision, samples in frame_facts(stream):
        if marker == 0xF7:
            return Stream(_JPEG_LS, precision, samples)
        if marker in (0xC3, 0xC7):
            return Stream(_JPEG_LOSSLESS, precision, samples)
        if precision > 8:
            return Stream((uids.JPEGExtended12Bit,), precision, samples)
        return Stream((uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit), precision, samples)
    if len(stream) > 64:
        offsets = struct.unpack_from("<16I", stream)  # of run lengths (PS3.5 annex G.5)
        n, rest = offsets[0], offsets[1:]
        if 1 <= n <= 15 and rest[0] == 64 and not any(rest[n:]) and list(rest[:n]) == sorted(rest[:n]):
            return Stream((uids.RLELossless,), 0, 0)
    return None


def first_stream(ds: Dataset, n_frames: int) -> bytes:
    """The stream of the first frame; empty where its fragments are damaged. n_frames: as the header says."""
    offsets = None
    if "ExtendedOffsetTable" in ds and "ExtendedOffsetTableLengths" in ds:
        offsets = (ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths)
    try:
        return get_frame(ds.PixelData, 0, number_of_frames=n_frames, extended_offsets=offsets)
    except (ValueError, IndexError, struct.error):
        return b""  # damage is named where the frame is decoded


def mend_table(ds: Dataset) -> None:
    """Take out a basic offset table (PS3.5 annex A.4) that does not point to fragments: frames would be mixed up."""
    data = ds.PixelData
    if data.count(ITEM) > MAX_FRAGMENTS:
        return
    try:
        table = parse_basic_offsets(data)
        length = 8 + int.from_bytes(data[4:8], "little")  # of the table with its item
        places = set(parse_fragments(data[length:])[1])
    except (ValueError, IndexError, struct.error):
        return  # damage is named where the frame is decoded
    if table and (table[0] or len(set(table)) < len(table) or not set(table) <= places):
        ds.PixelData = data[:4] + bytes(4) + data[length:]
        ds["PixelData"].VR = "OB"


def streams_in(data: bytes, stream: Stream) -> int:
    """How many frames the fragments hold, by the offset table or by how each of them begins."""
    if table := parse_basic_offsets(data):
        return len(table)
    n, places = parse_fragments(data[8:])
    if stream.syntaxes[0] == uids.RLELossless:
        return n  # each frame is one fragment (PS3.5 annex G.2)
    start = _J2K if stream.syntaxes[0] in _JPEG_2000 else b"\xff\xd8\xff"
    return sum(data.startswith(start, 16 + place) for place in places)
