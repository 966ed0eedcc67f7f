"""Compressed frames: checked before a decoder sees them, and decoded by GDCM in a process of its own."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import RLELossless

from secondread.errors import TruncatedImage, UnsupportedImage
from secondread.images.jpeg import check_scans, frame_sizes

_MAX_FRAGMENTS = 65_536
_ITEM = b"\xfe\xff\x00\xe0"


def one_frame(ds: Dataset, frame: int, n_frames: int) -> Dataset:
    """A data set with that compressed frame alone, checked: the decoder gets the very bytes that were looked at."""
    if ds.PixelData.count(_ITEM) > _MAX_FRAGMENTS:
        raise UnsupportedImage("the compressed DICOM frames are in far too many pieces; send the file uncompressed")
    offsets = None
    if "ExtendedOffsetTable" in ds and "ExtendedOffsetTableLengths" in ds:
        offsets = (ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths)
    stream = get_frame(ds.PixelData, frame, number_of_frames=n_frames, extended_offsets=offsets)
    _check(stream, ds)
    single = ds.group_dataset(0x0028)  # all that tells how pixels are stored
    single.file_meta = ds.file_meta
    single.add_new("NumberOfFrames", "IS", 1)  # not by assignment, which would change the element that both share
    single.PixelData = encapsulate([stream])
    return single


def _check(stream: bytes, ds: Dataset) -> None:
    rows, columns = int(ds.Rows), int(ds.Columns)
    if ds.file_meta.TransferSyntaxUID == RLELossless:
        plain = rows * columns * int(ds.get("SamplesPerPixel") or 1) * int(ds.get("BitsAllocated") or 8) // 8
        if len(stream) > 2 * plain + 1024:  # PackBits never doubles anything; longer means it unpacks to far more
            raise TruncatedImage("the DICOM file's run lengths unpack to more than its picture; export it again")
        return
    for width, height in _sizes(stream):
        if (width, height) != (columns, rows):
            raise TruncatedImage(
                f"the DICOM file says {columns} × {rows} pixels, its compressed frame {width} × {height}; "
                "export it again"
            )
    check_scans(stream, rows * columns)


def _sizes(stream: bytes) -> Iterator[tuple[int, int]]:
    """(width, height) told by JPEG or JPEG-LS frame headers or a JPEG 2000 SIZ marker (T.800 A.5.1)."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 256)
    if start >= 0:
        x1, y1, x0, y0 = struct.unpack(">4I", stream[start + 8 : start + 24])
        yield x1 - x0, y1 - y0
        return
    yield from frame_sizes(stream)


_SYNTAXES = (uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless)
DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("python-gdcm>=3.0.24",))  # asked for by pydicom
_WORKER = Path(__file__).with_name("gdcm_worker.py")
_PIXELS_IN_A_SECOND = 2_000_000  # of processor time, beside one second for the start; GDCM is ten times faster
_PATIENCE = 60  # seconds on the clock, since a busy machine may let a process wait


def is_available(syntax: str) -> bool:
    """Whether GDCM is installed and used for this transfer syntax."""
    return find_spec("gdcm") is not None and syntax in _SYNTAXES


def decode_frame(stream: bytes, runner: DecodeRunner) -> bytes:
    """The decoded bytes of one frame. Raises TruncatedImage where GDCM fails, dies or takes too long."""
    bits_stored = runner.bits_stored
    if runner.transfer_syntax in uid.JPEGLSTransferSyntaxes:
        bits_stored = runner.get_option("jls_precision", bits_stored)
        if bits_stored in (6, 7):
            raise UnsupportedImage("GDCM does not support JPEG-LS of 6 or 7 bits")
        runner.set_option("planar_configuration", 0)  # GDCM gives JPEG-LS by pixel
        runner.set_option("bits_allocated", 8 if bits_stored <= 8 else 16)
    facts: dict[str, Any] = {
        "syntax": str.__str__(runner.transfer_syntax),
        "photometric": str(runner.photometric_interpretation),
        "planar": runner.planar_configuration if runner.samples_per_pixel > 1 else None,
        "columns": runner.columns,
        "rows": runner.rows,
        "samples": runner.samples_per_pixel,
        "bits_allocated": runner.bits_allocated,
        "bits_stored": bits_stored,
        "signed": runner.pixel_representation,
        "seconds": 1 + runner.rows * runner.columns // _PIXELS_IN_A_SECOND,
    }
    return _ask(stream, facts)


def _ask(stream: bytes, facts: dict[str, Any]) -> bytes:
    try:
        answer = subprocess.run(
            [sys.executable, "-P", str(_WORKER), json.dumps(facts)],
            input=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise TruncatedImage("a compressed DICOM frame is damaged; send the file again") from error
    return answer.stdout
