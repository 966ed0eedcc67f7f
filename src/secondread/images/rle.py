"""Run lengths of DICOM (PS3.5 annex G), unpacked a segment at a time and never beyond what the picture holds."""

import struct
from itertools import pairwise

from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import RLELossless

DECODER_DEPENDENCIES: dict[str, tuple[str, ...]] = {RLELossless: ()}  # asked for by pydicom
_HEADER = 64  # bytes: how many segments, and where each begins
_MOST_SEGMENTS = 15


def is_available(syntax: str) -> bool:
    """Whether this decoder is for the transfer syntax."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(stream: bytes, runner: DecodeRunner) -> bytearray:
    """The bytes of one frame, little endian and plane by plane. Raises ValueError for what is damaged."""
    n_pixels, size = runner.rows * runner.columns, runner.bits_allocated // 8
    n_segments, *offsets = struct.unpack_from("<16L", stream)
    if n_segments > _MOST_SEGMENTS or n_segments != runner.samples_per_pixel * size:
        raise ValueError(f"{n_segments} segments of run lengths do not make up the picture")
    offsets[n_segments:] = [len(stream)]
    frame = bytearray(n_pixels * n_segments)
    for index, (start, end) in enumerate(pairwise(offsets)):
        sample, byte = divmod(index, size)  # the most significant byte of a sample comes first
        first = sample * n_pixels * size + size - 1 - byte
        frame[first : first + n_pixels * size : size] = _segment(stream[start:end], n_pixels)
    runner.set_option("planar_configuration", 1)
    return frame


def _segment(packed: bytes, n_bytes: int) -> bytearray:
    """So many bytes of PackBits (G.3.1); what follows them is left alone. Raises ValueError where there are fewer."""
    found = bytearray()
    at, end = 0, len(packed)
    while len(found) < n_bytes and at < end:
        n = packed[at] + 1
        if n > 129:  # one byte, so many times
            found += packed[at + 1 : at + 2] * (258 - n)
            at += 2
        elif n < 129:  # so many bytes as they are
            found += packed[at + 1 : at + 1 + n]
            at += n + 1
        else:
            at += 1
    if len(found) < n_bytes:
        raise ValueError("a segment of run lengths ends before the picture is full")
    del found[n_bytes:]
    return found
