"""Bytes of a DICOM file → its data set, bounded: what is parsed, inflated and believed of a header before any pixel."""

import zlib

import pydicom
import pydicom.uid as uids
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from secondread.errors import ImageTooLarge, TruncatedImage, UnsupportedImage
from secondread.images.image import BoundedReads, BoundedViews, Limits

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# Each element costs two or three reads in pydicom and some microseconds: this is most of a second.
_MAX_READS = 150_000
_MAX_SEQUENCE_BYTES = 4_000_000
_PARSED_WHEN_ASKED = (  # sequences of known length stay bytes until asked for, and are then read without bounds
    "ModalityLUTSequence",
    "VOILUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "AnatomicRegionSequence",
    "ViewCodeSequence",
)
_LONG_FORM = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")


def open_dicom(data: bytes, limits: Limits, *, views: bool = False) -> Dataset:
    """The data set of a DICOM file that holds an image, its transfer syntax set and its size checked.

    views: whether long values may be views of `data`, which saves a copy of uncompressed pixels.
    Raises ImageTooLarge, UnsupportedImage, TruncatedImage, or whatever pydicom raises for damaged files.
    """
    source = (BoundedViews if views else BoundedReads)(_inflated(data, limits), max_reads=_MAX_READS)
    ds = pydicom.dcmread(source, force=data[128:132] != b"DICM")
    if views:
        _keep_views_of_pixels(ds)
    _set_transfer_syntax(ds)
    _check_sequences(ds)
    _check_pixels(ds, limits)
    return ds


def _keep_views_of_pixels(ds: Dataset) -> None:
    """Everything else that is long as bytes, which alone pydicom and the checks of sequences know."""
    for tag in list(ds.keys()):
        element = ds.get_item(tag)
        if (
            isinstance(element, RawDataElement)
            and isinstance(element.value, memoryview)
            and keyword_for_tag(tag) not in PIXELS
        ):
            ds[tag] = element._replace(value=bytes(element.value))


def _inflated(data: bytes, limits: Limits) -> bytes:
    """The file as if it had never been deflated (PS3.5 annex A.5); pydicom would inflate it without bounds."""
    deflated = DeflatedExplicitVRLittleEndian.encode()
    syntax, end = file_meta(data)
    if syntax is None and deflated in data:
        raise TruncatedImage("the DICOM file's header is damaged; send it again")
    if syntax != deflated:
        return data
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflate.decompress(data[end:], limits.max_bytes + 1)
    limits.check_bytes(end + len(body))
    if not inflate.eof:
        raise TruncatedImage("the DICOM file is cut short; send it again")
    # Padded to the same length, so that no length field before it becomes wrong.
    return data[:end].replace(deflated, ExplicitVRLittleEndian.encode().ljust(len(deflated), b"\0")) + body


def file_meta(data: bytes) -> tuple[bytes | None, int]:
    """The transfer syntax told by the file meta information (PS3.10 section 7.1), and where that ends."""
    at = 132 if data[128:132] == b"DICM" else 0
    syntax = None
    while data[at : at + 2] == b"\x02\x00" and len(data) >= at + 12:
        element, vr = data[at + 2 : at + 4], data[at + 4 : at + 6]
        long_form = vr in _LONG_FORM
        length = int.from_bytes(data[at + 8 : at + 12] if long_form else data[at + 6 : at + 8], "little")
        start = at + (12 if long_form else 8)
        if element == b"\x10\x00":
            syntax = data[start : start + length].rstrip(b"\0 ")
        at = start + length
    return syntax, at


def _set_transfer_syntax(ds: Dataset) -> None:
    """A file without meta information is decoded as pydicom found it to be encoded."""
    ds.ensure_file_meta()
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax and not syntax.is_transfer_syntax:
        raise UnsupportedImage("the DICOM file's transfer syntax is not known; send it uncompressed")
    if not syntax:
        implicit, little = ds.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        ds.file_meta.TransferSyntaxUID = plain if little in (True, None) else ExplicitVRBigEndian


def _check_sequences(ds: Dataset) -> None:
    for keyword in _PARSED_WHEN_ASKED:
        if keyword not in ds:
            continue
        element = ds.get_item(keyword)
        value = getattr(element, "value", None)
        if isinstance(value, bytes) and len(value) > _MAX_SEQUENCE_BYTES:
            raise ImageTooLarge(f"the DICOM file's {keyword} is far too long; send the image with a plain window")


def _check_pixels(ds: Dataset, limits: Limits) -> None:
    if _is_directory(ds):
        raise UnsupportedImage(
            "this is a DICOMDIR, the list of what lies on a disc, and holds no image; send the folder that it lies in"
        )
    names = [key for key in PIXELS if key in ds]
    if not names and ("Rows" in ds or "SOPClassUID" not in ds or _is_of_images(ds)):
        raise TruncatedImage("the DICOM file ends before its pixel data; send it again")
    if not names:
        raise UnsupportedImage("this DICOM file holds no image (a report or a plan, perhaps); send the image object")
    if not ds[names[0]].value:
        raise TruncatedImage("the DICOM file's pixel data are empty; send it again")
    columns, rows = int(ds.get("Columns") or 0), int(ds.get("Rows") or 0)
    if columns < 1 or rows < 1:
        raise TruncatedImage("the DICOM file does not say how many rows and columns it has; export it again")
    limits.check_size(columns, rows)


def _is_of_images(ds: Dataset) -> bool:
    """By the name of its SOP class, "CT Image Storage": what has no rows then was cut short before them."""
    return "Image Storage" in UID(str(ds.SOPClassUID)).name


def _is_directory(ds: Dataset) -> bool:
    kind = ds.get("SOPClassUID") or ds.file_meta.get("MediaStorageSOPClassUID")
    return kind == uids.MediaStorageDirectoryStorage or ("DirectoryRecordSequence" in ds and "PixelData" not in ds)
