"""Checks on compressed frames before a decoder sees them: one frame, of the size it should have, of bearable cost."""

import struct
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import RLELossless

from secondread.errors import TruncatedImage, UnsupportedImage
from secondread.images._scans import check_scans

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
    """(width, height) told by JPEG or JPEG-LS frame headers (T.81 B.2.2) or a JPEG 2000 SIZ marker (T.800 A.5.1)."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 256)
    if start >= 0:
        x1, y1, x0, y0 = struct.unpack(">4I", stream[start + 8 : start + 24])
        yield x1 - x0, y1 - y0
        return
    at = 2
    while at + 9 <= len(stream) and stream[:2] == b"\xff\xd8" and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == 0xDA:  # start of scan: no frame header follows
            return
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            height, width = struct.unpack(">2H", stream[at + 5 : at + 9])
            yield width, height
        at += 2 + length
