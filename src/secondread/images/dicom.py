"""DICOM through pydicom: opened within bounds, and its frames as a person would see them (PS3.3, PS3.5)."""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import pydicom.uid as uids
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, get_decoder, pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from secondread.errors import Busy, ImageError, ImageTooLarge, NoSuchFrame, TruncatedImage, UnsupportedImage
from secondread.images.bits import aligned
from secondread.images.budget import budget
from secondread.images.codecs import Streams, one_frame
from secondread.images.dicom_file import PIXELS, file_meta, open_dicom
from secondread.images.frames import Frames
from secondread.images.grey import WHITE, grey_as_shown, grey_in_depth, text
from secondread.images.header import NATIVE, settle
from secondread.images.image import Depth, Image, Limits
from secondread.images.layout import is_stretched
from secondread.images.remembering import remembering
from secondread.images.subject import age_of, intent_of, of_whom, parts_of, views_of
from secondread.tasks import N_

# GDCM ends the process on some damaged frames, so it is asked last and from a process of its own (gdcm_process.py).
_PLUGINS = {
    uids.JPEGBaseline8Bit: "pillow",
    uids.JPEGExtended12Bit: "pillow",
    uids.JPEGLossless: "gdcm-apart",
    uids.JPEGLosslessSV1: "gdcm-apart",
    uids.JPEGLSLossless: "gdcm-apart",
    uids.JPEGLSNearLossless: "gdcm-apart",
    uids.JPEG2000Lossless: "pylibjpeg",
    uids.JPEG2000: "pylibjpeg",
    uids.HTJ2KLossless: "pylibjpeg",
    uids.HTJ2KLosslessRPCL: "pylibjpeg",
    uids.HTJ2K: "pylibjpeg",
    uids.RLELossless: "within-bounds",
}
_TECHNICAL = (
    "ViewPosition",
    "ImageLaterality",
    "PatientOrientation",
    "KVP",
    "Exposure",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SliceThickness",
    "MagneticFieldStrength",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "WindowCenter",
    "WindowWidth",
    "Manufacturer",
    "ManufacturerModelName",
)
_LONGEST = 64  # characters of a value
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds, .1 to .4
_BURNED_IN = N_("the file says that text is burned into the picture, perhaps a name: look before it is passed on")
_PERHAPS_BURNED_IN = N_("a captured picture that does not say whether text is burned in: look before it is passed on")
_OFTEN_WITH_TEXT = ("US", "OT", "ES", "XC", "SC", "DOC")
_STRETCHED = N_("the pixels of this file are not square, and it is read as if they were: export it with square pixels")
_ADDING, _ADDED = Lock(), set[uids.UID]()


def decode_dicom(data: bytes, *, frame: int, limits: Limits) -> Image:
    """One frame of a DICOM file. Raises ImageTooLarge, TruncatedImage or UnsupportedImage."""
    return open_dicom_frames(data, limits=limits).frame(frame)


def open_dicom_frames(data: bytes, *, limits: Limits) -> Frames:
    """The frames of a DICOM file, which is parsed once. Raises as `decode_dicom` does."""
    ds, said, streams = _parsed(data, limits)

    def one(index: int) -> Image:
        with budget().reserve(translating(lambda: _memory_of(ds))) as memory:
            image: Image = translating(lambda: _frame(ds, said, index, streams))
            memory.keep(image.pixels, image.pixels.nbytes)
        return image

    return Frames(_n_frames(ds), one)


def _parsed(data: bytes, limits: Limits) -> tuple[Dataset, tuple[str, ...], Streams]:
    """The data set, notes on what its header said wrongly, and its compressed frames, which hold a copy of the file."""
    n_bytes = 2 * len(data)  # to read a long value takes it twice for a moment
    if file_meta(data)[0] == DeflatedExplicitVRLittleEndian.encode():
        n_bytes = 3 * min(_MOST_DEFLATED * len(data), limits.max_bytes)
    # Decoding needs more than the other half less often.
    with budget().reserve(n_bytes, share=0.5, inside=True) as memory:
        ds, said = translating(lambda: _opened(data, limits))
        streams = Streams(ds, translating(lambda: _n_frames(ds)))
        memory.keep(streams, sum(len(ds.get(name, b"")) for name in PIXELS))
    return ds, said, streams


_MOST_DEFLATED = 1032  # times as long: no deflated data swell more (RFC 1951)
_STRIPS = 24_000_000  # bytes that working strip by strip takes, whatever the image's size
_OF_CODEC = {  # bytes a sample that a decoder takes for itself: measured, benchmarks/decode_memory.py
    "pillow": 5,
    "pylibjpeg": 5,
    "gdcm-apart": 11,  # of both processes
    "within-bounds": 0,  # one segment at a time, before the frame is copied
}


def _memory_of(ds: Dataset) -> int:
    """Bytes that decoding one frame takes at its peak, by the header: while it is unpacked, or while it is shown."""
    n_pixels, samples = int(ds.Rows) * int(ds.Columns), int(ds.get("SamplesPerPixel") or 1)
    bits = int(ds.get("BitsAllocated") or 8)
    size, syntax = max(bits // 8, 1), ds.file_meta.TransferSyntaxUID
    stored = 0 if syntax in NATIVE and bits >= 8 else samples * size
    unpacked = 2 * stored + samples * _OF_CODEC.get(_PLUGINS.get(syntax, ""), 0)
    if _is_colour(ds):
        shown = samples * size * (2 if text(ds, "PhotometricInterpretation") == "RGB" and size == 1 else 4)
        return n_pixels * max(unpacked, stored + shown) + _STRIPS
    fewer = int(ds.get("BitsStored") or bits) < bits
    shown = 2 if size == 2 else size * fewer + 2  # what takes the same room takes the place of what was there
    return n_pixels * max(unpacked, stored + shown) + _STRIPS


def _n_frames(ds: Dataset) -> int:
    return max(int(ds.get("NumberOfFrames") or 1), 1)


def whole_range_of_dicom(data: bytes, *, frame: int, limits: Limits) -> Depth | None:
    """See `whole_range`."""
    ds, _, streams = _parsed(data, limits)
    with budget().reserve(translating(lambda: _memory_of(ds))) as memory:
        found: Depth | None = translating(lambda: _depth(ds, frame, streams))
        if found is not None:
            memory.keep(found.pixels, found.pixels.nbytes)
    return found


def _opened(data: bytes, limits: Limits) -> tuple[Dataset, tuple[str, ...]]:
    """The data set with a header that is true of its pixels, and notes on what it said wrongly."""
    ds = remembering(open_dicom(data, limits, views=True))
    return ds, settle(ds)


def translating(work: Callable[[], Any]) -> Any:
    """The outcome of `work`, whatever it raises turned into an ImageError."""
    try:
        return work()
    except (ImageError, Busy):
        raise
    except MemoryError as error:
        raise ImageTooLarge("this DICOM file needs more memory than there is; export it smaller") from error
    except Exception as error:  # damaged files make pydicom and its decoders raise nearly anything
        reason = str(error).lower()  # for whoever mends this, as the cause; people get no decoder's words
        if "12-bit" in reason or "not support" in reason or "no available" in reason:
            raise UnsupportedImage(
                "this DICOM compression cannot be decoded here; send it uncompressed or as JPEG 2000"
            ) from error
        raise TruncatedImage("the DICOM file is damaged or cut short; send it again") from error


def _frame(ds: Dataset, said: tuple[str, ...], frame: int, streams: Streams) -> Image:
    n_frames = _n_frames(ds)
    if not 0 <= frame < n_frames:
        raise NoSuchFrame(f"there is no frame {frame + 1}; the file has {n_frames}")
    stored, found = _stored(ds, frame, streams)
    pixels, notes = _colour(ds, stored) if _is_colour(ds) else grey_as_shown(ds, stored, frame, reuse=True)
    return Image(
        pixels,
        full_scale=255 if pixels.dtype == np.uint8 else WHITE,
        format="DICOM",
        bit_depth=int(ds.get("BitsStored") or 8 * stored.itemsize),
        photometric=text(ds, "PhotometricInterpretation"),
        modality=text(ds, "Modality"),
        body_part=text(ds, "BodyPartExamined"),
        parts=parts_of(ds),
        views=views_of(ds),
        age=age_of(ds),
        intent=intent_of(ds),
        frame=frame,
        n_frames=n_frames,
        notes=(*said, *found, *notes, *((_STRETCHED,) if is_stretched(ds) else ()), *about_text(ds)),
        header=header_of(ds),
    )


def _depth(ds: Dataset, frame: int, streams: Streams) -> Depth | None:
    n_frames = _n_frames(ds)
    if not 0 <= frame < n_frames:
        raise NoSuchFrame(f"there is no frame {frame + 1}; the file has {n_frames}")
    if _is_colour(ds) or int(ds.get("BitsStored") or 8) <= 8:
        return None
    return grey_in_depth(ds, _stored(ds, frame, streams)[0], frame, reuse=True)


def header_of(ds: Dataset) -> tuple[tuple[str, str], ...]:
    """The attributes of _TECHNICAL that the file has: name and short text; then sex and band of age (see `of_whom`).

    PS3.15's basic profile keeps them all, with its options for patient characteristics.
    """
    found = ((_description(keyword), _short_text(ds, keyword)) for keyword in _TECHNICAL)
    return (*((name, shown) for name, shown in found if shown), *of_whom(ds))


_description = cache(dictionary_description)  # of an attribute, by its keyword


def about_text(ds: Dataset) -> tuple[str, ...]:
    """What the file says of text in its picture (0028,0301), for whoever looks at it or passes it on."""
    said = _short_text(ds, "BurnedInAnnotation").upper()
    if said == "YES":
        return (_BURNED_IN,)
    kind = _short_text(ds, "SOPClassUID") or str(ds.file_meta.get("MediaStorageSOPClassUID") or SECONDARY_CAPTURE)
    captured = kind.startswith(SECONDARY_CAPTURE) or bool(_short_text(ds, "ConversionType"))
    if said != "NO" and (captured or _short_text(ds, "Modality") in _OFTEN_WITH_TEXT):
        return (_PERHAPS_BURNED_IN,)
    return ()


def _short_text(ds: Dataset, keyword: str) -> str:
    try:
        value = ds.get(keyword)
    except Exception:  # a damaged attribute that is only shown is no reason to refuse the image
        return ""
    parts = value if isinstance(value, MultiValue | list) else [value]
    shown = " × ".join(str(part).strip() for part in parts if part not in (None, ""))
    return shown[:_LONGEST] if shown.isprintable() else ""


def _stored(ds: Dataset, frame: int, streams: Streams) -> tuple[np.ndarray, tuple[str, ...]]:
    """The frame's stored values, decompressed; YBR as RGB. (rows, columns) or (rows, columns, samples). And notes."""
    syntax = ds.file_meta.TransferSyntaxUID
    bits = int(ds.get("BitsAllocated") or 8)
    unused = "PixelData" in ds and not _is_colour(ds) and int(ds.BitsStored) < bits and bits in (8, 16, 32)
    if (plain := _as_they_lie(ds, frame, signed=not unused)) is not None:
        return aligned(plain, ds) if unused else (plain, ())
    as_stored = syntax in NATIVE or syntax == uids.RLELossless
    if unused and (as_stored or int(ds.get("HighBit") or 0) >= int(ds.BitsStored)):
        return aligned(_decoded(_all_bits(ds), frame, streams), ds)
    return _decoded(ds, frame, streams), ()


def _as_they_lie(ds: Dataset, frame: int, *, signed: bool) -> np.ndarray | None:
    """The values of an uncompressed grey frame, a view; None where the file needs more of pydicom than its header.

    signed: whether the header is asked for it, or every bit is a value's own.
    """
    bits, samples = int(ds.get("BitsAllocated") or 8), int(ds.get("SamplesPerPixel") or 1)
    little = ds.file_meta.TransferSyntaxUID in _LITTLE_ENDIAN and "PixelData" in ds
    if not little or samples != 1 or bits not in (8, 16, 32) or _is_colour(ds):
        return None
    rows, columns = int(ds.Rows), int(ds.Columns)
    kind, n = "i" if signed and int(ds.PixelRepresentation) == 1 else "u", rows * columns
    start = frame * n * bits // 8
    if len(ds.PixelData) < start + n * bits // 8:  # cut short: pydicom says so
        return None
    return np.frombuffer(ds.PixelData, f"<{kind}{bits // 8}", n, start).reshape(rows, columns)


_LITTLE_ENDIAN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def _all_bits(ds: Dataset) -> Dataset:
    """The same pixels with every bit that is allocated for a value."""
    whole = ds.group_dataset(0x0028)
    whole.file_meta, whole["PixelData"] = ds.file_meta, ds["PixelData"]
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in ds:
            whole[keyword] = ds[keyword]
    bits = int(ds.BitsAllocated)
    for keyword, value in (("BitsStored", bits), ("HighBit", bits - 1), ("PixelRepresentation", 0)):
        whole.add_new(keyword, "US", value)  # not by assignment, which would change the element that both share
    return whole


def _decoded(ds: Dataset, frame: int, streams: Streams) -> np.ndarray:
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax in NATIVE:
        for name in PIXELS:
            if isinstance(value := ds.get(name), memoryview):
                setattr(ds, name, bytes(value))
        bits = int(ds.get("BitsAllocated") or 8)
        as_they_are = bits >= 8 and int(ds.get("BitsStored") or bits) == bits and not _is_colour(ds)
        return pixel_array(ds, index=frame, view_only=as_they_are)  # a copy only of what has to be changed
    if syntax not in _PLUGINS:
        raise UnsupportedImage(f"the DICOM transfer syntax {syntax.name} is not read here; send it uncompressed")
    plugin = _PLUGINS[syntax]
    if syntax == uids.JPEGExtended12Bit and int(ds.BitsAllocated) > 8:
        plugin = "gdcm-apart"
    if plugin in _OURS:
        _add_ours(plugin, syntax)
    single = one_frame(ds, streams.stream(frame))
    return pixel_array(single, index=0, decoding_plugin=plugin)


_OURS = {"gdcm-apart": "secondread.images.codecs", "within-bounds": "secondread.images.rle"}


def _add_ours(plugin: str, syntax: uids.UID) -> None:
    """Make a decoder known to pydicom under a name of ours, once; the name leaves other users of pydicom alone."""
    with _ADDING:
        if syntax not in _ADDED:
            get_decoder(syntax).add_plugin(plugin, (_OURS[plugin], "decode_frame"))
            _ADDED.add(syntax)


def _is_colour(ds: Dataset) -> bool:
    return int(ds.get("SamplesPerPixel") or 1) > 1 or text(ds, "PhotometricInterpretation") == "PALETTE COLOR"


def _colour(ds: Dataset, stored: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """uint8 RGB; of deeper colour the upper 8 bits."""
    if text(ds, "PhotometricInterpretation") == "PALETTE COLOR":
        stored = apply_color_lut(stored, ds)
        bits = 8 * stored.itemsize
    else:
        bits = int(ds.get("BitsStored") or 8)
    if stored.ndim != 3 or stored.shape[2] not in (3, 4) or stored.dtype.kind != "u":
        raise UnsupportedImage(f"pixel data of shape {stored.shape} are not a colour image; export the image as PNG")
    rgb = stored[:, :, :3]
    return np.ascontiguousarray(rgb if bits <= 8 else rgb >> (bits - 8)).astype(np.uint8, copy=False), ()
