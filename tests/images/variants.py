"""Small files as they are found in the world, right and wrong, each with what must come of it.

Built, not collected: a picture of 12 bits is stored in every way that a header, a scanner or an export may go wrong,
and the table says which grey values a person must then see, or which refusal they must get.
"""

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from PIL import Image as PillowImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, get_frame
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from secondread.testing.phantoms import brain_phantom, chest_phantom, encode

GREY = chest_phantom((48, 64), random_state=0)
SHARE = (GREY - float(GREY.min())) / float(GREY.max() - GREY.min())
P12 = np.round(SHARE * 4095).astype(np.uint16)  # 0 to 4095
G8 = np.round(SHARE * 255).astype(np.uint8)
RGB = np.dstack([G8, brain_phantom((48, 64), random_state=1), G8[::-1]])
HEIGHT, WIDTH = GREY.shape
MR1 = {"Modality": "MR"}


@dataclass(frozen=True)
class Shown:
    """A file that must be read: as shares of white, (height, width) or with three colours."""

    data: Callable[[], bytes]
    share: np.ndarray
    note: str = ""  # a word of the notes that must be there; '' where none but the usual ones may be
    tolerance: float = 0.001  # of the mean difference


@dataclass(frozen=True)
class Refused:
    """A file that must be refused, with a word of the true reason."""

    data: Callable[[], bytes]
    word: str


VARIANTS: dict[str, Shown | Refused] = {}


def dicom(values: np.ndarray, *, bits: int | None = None, syntax: str = ExplicitVRLittleEndian, **header: Any) -> bytes:
    """A file of these stored values; an attribute of None is left out, `PixelData` may be any bytes."""
    with pydicom.config.disable_value_validation():
        return _written(_dataset(values, bits, UID(syntax), header))


def _dataset(values: np.ndarray, bits: int | None, syntax: UID, header: dict[str, Any]) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    ds.Modality, ds.BodyPartExamined, ds.PatientID = "DX", "CHEST", "0"
    bits = bits or 8 * values.itemsize
    colour = values.ndim == 3
    ds.Rows, ds.Columns = values.shape[:2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * values.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    order = "<" if syntax != ExplicitVRBigEndian else ">"
    raw = header.pop("PixelData", None) or values.astype(values.dtype.newbyteorder(order)).tobytes()
    ds.add_new("PixelData", "OB" if raw[:4] == b"\xfe\xff\x00\xe0" or values.itemsize == 1 else "OW", raw)
    for keyword, value in header.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return ds


def _written(ds: Dataset) -> bytes:
    target = io.BytesIO()
    pydicom.dcmwrite(target, ds, enforce_file_format=True)
    return target.getvalue()


def relabelled(data: bytes, syntax: str) -> bytes:
    """The same file with another transfer syntax in its meta information, and nothing else changed."""
    at = data.index(b"\x02\x00\x10\x00UI")
    (length,) = struct.unpack_from("<H", data, at + 6)
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    grown = len(value) - length
    meta = struct.pack("<I", struct.unpack_from("<I", data, 140)[0] + grown)
    whole = data[: at + 6] + struct.pack("<H", len(value)) + value + data[at + 8 + length :]
    return whole[:140] + meta + whole[144:]


def shown(name: str, data: Callable[[], bytes], share: np.ndarray, note: str = "", tolerance: float = 0.001) -> None:
    assert name not in VARIANTS, name
    VARIANTS[name] = Shown(data, np.clip(share, 0, 1), note, tolerance)


def refused(name: str, data: Callable[[], bytes], word: str) -> None:
    assert name not in VARIANTS, name
    VARIANTS[name] = Refused(data, word)


def ramp(values: np.ndarray) -> np.ndarray:
    return (values - float(values.min())) / (float(values.max()) - float(values.min()))


# --- depth, sign and place of the bits -------------------------------------------------------------------------------

for _bits in (9, 10, 12, 14, 15, 16):
    _whole = np.round(SHARE * (2**_bits - 1)).astype(np.uint16)
    _half = (_whole.astype(np.int32) - 2 ** (_bits - 1)).astype(np.int16)
    _unsigned, _left = _half.view(np.uint16) & np.uint16(2**_bits - 1), 16 - _bits
    shown(f"{_bits} bits", lambda v=_whole, b=_bits: dicom(v, bits=b), ramp(_whole))
    shown(f"{_bits} bits, big endian", lambda v=_whole, b=_bits: dicom(v, bits=b, syntax=ExplicitVRBigEndian), SHARE)
    shown(f"{_bits} bits, signed", lambda v=_half, b=_bits: dicom(v, bits=b), ramp(_half))
    shown(
        f"{_bits} bits, signed, upper bits empty",
        lambda v=_unsigned, b=_bits: dicom(v, bits=b, PixelRepresentation=1),
        ramp(_half),
    )
    if _left:
        _high, _half_high = (_whole << _left).astype(np.uint16), (_half << _left).astype(np.int16)
        shown(f"{_bits} bits, high bit 15", lambda v=_high, b=_bits: dicom(v, bits=b, HighBit=15), ramp(_whole))
        shown(
            f"{_bits} bits, signed, high bit 15",
            lambda v=_half_high, b=_bits: dicom(v, bits=b, HighBit=15),
            ramp(_half),
        )
        shown(
            f"{_bits} bits, run lengths, high bit 15",
            lambda v=_high, b=_bits: compressed(v, RLELossless, bits=b, HighBit=15),
            ramp(_whole),
        )
shown(
    "12 bits, JPEG 2000, high bit 15",
    lambda: compressed(P12 << 4, JPEG2000Lossless, stored=12, HighBit=15),
    SHARE,
)
shown(
    "JPEG 2000, high bit 15 said, 11 meant",
    lambda: compressed(P12, JPEG2000Lossless, bits=12, HighBit=15),
    SHARE,
    "lower ones",
)
shown("12 bits, high bit 13", lambda: dicom(P12 << 2, bits=12, HighBit=13), SHARE)
shown(
    "12 bits, high bit 15 with an overlay below", lambda: dicom((P12 << 4) | (P12 > 2000), bits=12, HighBit=15), SHARE
)
shown("high bit 15 said, 11 meant", lambda: dicom(P12, bits=12, HighBit=15), SHARE, "lower ones")
shown("high bit 4", lambda: dicom(P12, bits=12, HighBit=4), SHARE, "impossible")
shown("an overlay in the upper bits", lambda: dicom(P12 | _cross(12), bits=12), SHARE)
shown("two overlays in the upper bits", lambda: dicom(P12 | _cross(12) | _cross(14)[::-1], bits=12), SHARE)
shown("values beyond their bits", lambda: dicom(P12 * 8, bits=12), SHARE, "need more")
shown("values beyond their bits, run lengths", lambda: compressed(P12 * 8, RLELossless, bits=12), SHARE, "need more")
shown("8 bits in 16", lambda: dicom(G8.astype(np.uint16), bits=8), SHARE, tolerance=0.003)
shown("8 bits in 16, high bit 15", lambda: dicom(G8.astype(np.uint16) << 8, bits=8, HighBit=15), SHARE, tolerance=0.003)
shown("32 bits", lambda: dicom(P12.astype(np.uint32) << 20), SHARE)
shown("20 bits in 32, high bit 31", lambda: dicom(P12.astype(np.uint32) << 20, bits=20, HighBit=31), SHARE)


def _cross(bit: int) -> np.ndarray:
    """A drawing in one bit."""
    lines = np.zeros(GREY.shape, np.uint16)
    lines[HEIGHT // 2 :: 5], lines[:, 10:14] = 1 << bit, 1 << bit
    return lines


def compressed(
    values: np.ndarray, syntax: str, *, bits: int | None = None, stored: int | None = None, **header: Any
) -> bytes:
    """The values as one frame of that compression, made by pydicom."""
    ds = pydicom.dcmread(io.BytesIO(dicom(values, bits=bits if syntax != RLELossless else None)))
    ds.compress(
        syntax, generate_instance_uid=False, encoding_plugin="pylibjpeg" if syntax != RLELossless else "pydicom"
    )
    return dicom(values, bits=stored or bits, syntax=syntax, PixelData=ds.PixelData, **header)


# --- what is white ---------------------------------------------------------------------------------------------------


def with_dead(values: np.ndarray, **places: Any) -> np.ndarray:
    """The values with single pixels, or a row, that stand far apart."""
    out = values.copy()
    for kind, value in places.items():
        where = {"one": (5, 5), "few": (slice(0, 3), 7), "row": (20, slice(0, 24)), "last": (-1, -1)}[kind]
        out[where] = value
    return out


_APART: dict[str, dict[str, Any]] = {
    "one": {"one": 65535},
    "three": {"few": [65535, 40000, 52000]},
    "part of a row": {"row": 65535},
    "a marker at the top and a dead pixel": {"row": 20000, "one": 65535},
}
for _name, _places in _APART.items():
    _dead = with_dead(P12, **_places)
    _share = np.minimum(_dead / 4095, 1)
    shown(f"dead pixels: {_name}", lambda v=_dead: dicom(v), _share, "far from all")
    shown(
        f"dead pixels: {_name}, MONOCHROME1",
        lambda v=_dead: dicom(v, PhotometricInterpretation="MONOCHROME1"),
        1 - _share,
        "far from all",
    )
    shown(f"dead pixels: {_name}, PNG", lambda v=_dead: encode(v, "PNG"), _share, "far from all")
    shown(f"dead pixels: {_name}, TIFF", lambda v=_dead: encode(v, "TIFF"), _share, "far from all")
_LOW = with_dead(P12.astype(np.int16), one=-32768)
shown("a dead pixel below", lambda: dicom(_LOW), np.clip(_LOW / 4095, 0, 1), "far from all")
shown(
    "dead pixels at both ends",
    lambda: dicom(with_dead(_LOW, last=32767)),
    np.clip(with_dead(_LOW, last=32767) / 4095, 0, 1),
    "far from all",
)
shown(
    "a dead pixel under a window",
    lambda: dicom(with_dead(P12, one=65535), **_window(2048, 4096)),
    with_dead(P12, one=65535) / 4095,
)
_PADDED = np.where(np.arange(WIDTH) < 12, 63536, P12).astype(np.uint16)
shown(
    "padding", lambda: dicom(_PADDED, PixelPaddingValue=63536), np.where(_PADDED > 5000, 0, P12 / 4095), tolerance=0.01
)
_PADDED_TOO = with_dead(_PADDED, last=60000)
shown(
    "padding and a dead pixel",
    lambda: dicom(_PADDED_TOO, PixelPaddingValue=63536),
    np.where(_PADDED_TOO == 63536, 0, np.minimum(_PADDED_TOO, 4095) / 4095),
    "far from all",
    tolerance=0.01,
)
_WHITE = {"of 12 bits": (P12, 4095), "that ends at 16,500": (np.round(SHARE * 16500), 16500)}
_WHITE |= {
    "that ends at 1,100": (np.round(SHARE * 1100), 1100),
    "that ends at 20,000": (np.round(SHARE * 20000), 20000),
}
_WHITE |= {"of 14 bits": (np.round(SHARE * 16383), 16383), "of 10 bits": (np.round(SHARE * 1023), 1023)}
for _name, (_values, _top) in _WHITE.items():
    _words = _values.astype(np.uint16)
    for _kind in ("PNG", "TIFF"):
        shown(
            f"{_kind} {_name}",
            lambda v=_words, k=_kind: encode(v, k),
            _words / _top,
            "shown as white",
        )
shown("PNG of 12 bits in the upper ones", lambda: encode((P12 // 3) << 4, "PNG"), (P12 // 3) / 4095)
shown("PNG of 8 bits twice", lambda: encode((G8 // 3).astype(np.uint16) * 257, "PNG"), (G8 // 3) / 255)
shown(
    "TIFF of real numbers with one far off",
    lambda: encode(with_dead(SHARE.astype(np.float32) * 1000, one=1e9), "TIFF"),
    with_dead(SHARE, one=1),
    "far from all",
)
shown(
    "TIFF of real numbers with none in places",
    lambda: encode(with_dead((SHARE * 1000 + 5000).astype(np.float32), one=np.nan), "TIFF"),
    with_dead(SHARE, one=0),
    "range found",
)


# --- windows and tables ----------------------------------------------------------------------------------------------


def _window(centre: Any, width: Any, **more: Any) -> dict[str, Any]:
    return {"WindowCenter": centre, "WindowWidth": width, **more}


def _linear(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


shown("a window", lambda: dicom(P12, **_window(1800, 2500)), _linear(P12, 1800, 2500))
shown("a window in two parts", lambda: dicom(P12, **_window([1800, 40], [2500, 80])), _linear(P12, 1800, 2500))
shown(
    "a function in small letters",
    lambda: dicom(P12, **_window(1800, 2500, VOILUTFunction="linear")),
    _linear(P12, 1800, 2500),
)
_MISSES = {
    "below": _window(-5000, 2426),
    "above": _window(30000, 400),
    "far too wide": _window(2048, 65536),
    "far too wide, exact": _window(2048, 100000, VOILUTFunction="LINEAR_EXACT"),
    "below, sigmoid": _window(-9000, 400, VOILUTFunction="SIGMOID"),
    "of Hounsfield units": _window(-40000, 400, RescaleSlope=1, RescaleIntercept=-1024),
}
for _name, _header in _MISSES.items():
    shown(f"a window that misses: {_name}", lambda h=_header: dicom(P12, bits=12, **h), SHARE, "lies far")
    shown(
        f"a window that misses: {_name}, MONOCHROME1",
        lambda h=_header: dicom(P12, bits=12, PhotometricInterpretation="MONOCHROME1", **h),
        1 - SHARE,
        "lies far",
    )
shown("a window far above", lambda: dicom(P12 + 12000, **_window(3174, 2426)), SHARE, "lies far")
for _name, _header in {
    "of no width": _window(100, 0),
    "of less": _window(100, -5),
    "without a width": _window(100, ""),
    "of no numbers": _window("", ""),
}.items():
    shown(f"a window {_name}", lambda h=_header: dicom(P12, **h), SHARE)


shown("a slope of 0", lambda: dicom(P12, RescaleSlope=0, RescaleIntercept=-1024), SHARE)


def _lut(first: int, table: np.ndarray, bits: int, *, data: bytes | None = None) -> dict[str, Any]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(table) % 65536, first, bits])
    item.add_new("LUTData", "OW", table.astype("<u2").tobytes() if data is None else data)
    return {"VOILUTSequence": Sequence([item])}


_STEPS = np.arange(4096)
_CURVE = np.round((_STEPS / 4095) ** 2 * 4095)
shown("a table of 12 bits", lambda: dicom(P12, **_lut(0, _CURVE, 12)), _CURVE[P12] / 4095)
shown("a table of 12 bits said to have 16", lambda: dicom(P12, **_lut(0, _CURVE, 16)), _CURVE[P12] / 4095, "table ends")
shown("a table of 10 bits said to have 16", lambda: dicom(P12, **_lut(0, _STEPS // 4, 16)), SHARE, "table ends")
shown("a table of 16 bits said to have 12", lambda: dicom(P12, **_lut(0, _STEPS * 16, 12)), SHARE)
shown(
    "a table of bytes",
    lambda: dicom(P12, **_lut(0, _STEPS, 8, data=(_STEPS // 16).astype(np.uint8).tobytes())),
    SHARE,
    tolerance=0.004,
)
shown("a table that starts later", lambda: dicom(P12 + 9000, **_lut(9000, _CURVE * 16, 16)), _CURVE[P12] * 16 / 65535)
shown("a table for other values", lambda: dicom(P12, **_lut(9000, _CURVE * 16, 16)), SHARE, "lies far")
shown("a table of one value", lambda: dicom(P12, **_lut(0, np.full(4096, 7), 12)), SHARE, "lies far")
shown(
    "a table, big endian",
    lambda: dicom(P12, syntax=ExplicitVRBigEndian, **_lut(0, _CURVE, 12, data=_CURVE.astype(">u2").tobytes())),
    _CURVE[P12] / 4095,
)

# --- photometric interpretation --------------------------------------------------------------------------------------

for _word in ("Monochrome1", "MONOCHROME 1", "monochrome1", "MONOCHROME_1"):
    shown(f"'{_word}'", lambda w=_word: dicom(4095 - P12, PhotometricInterpretation=w), SHARE, "is read as")
for _word in ("Monochrome2", "MONOCHROME 2", "monochrome2"):
    shown(f"'{_word}'", lambda w=_word: dicom(P12, PhotometricInterpretation=w), SHARE, "is read as")
shown("'rgb'", lambda: dicom(RGB, PhotometricInterpretation="rgb"), RGB / 255, "is read as")
shown(
    "no photometric interpretation, MR",
    lambda: dicom(P12, PhotometricInterpretation=None, **MR1),
    SHARE,
    "no photometric",
)
shown("an empty one, CT", lambda: dicom(P12, PhotometricInterpretation="", Modality="CT"), SHARE, "no photometric")
shown(
    "none, and it is inverse",
    lambda: dicom(4095 - P12, PhotometricInterpretation=None, PresentationLUTShape="INVERSE"),
    SHARE,
    "no photometric",
)
shown(
    "none, and it is as stored",
    lambda: dicom(P12, PhotometricInterpretation=None, PresentationLUTShape="IDENTITY"),
    SHARE,
    "no photometric",
)
shown("none, in colour", lambda: dicom(RGB, PhotometricInterpretation=None), RGB / 255, "no photometric")
shown("grey said to be RGB", lambda: dicom(P12, PhotometricInterpretation="RGB"), SHARE, "does not fit")
shown("RGB said to be grey", lambda: dicom(RGB, PhotometricInterpretation="MONOCHROME2"), RGB / 255, "does not fit")
refused("none, X-ray", lambda: dicom(P12, PhotometricInterpretation=None), "dark or bright")
refused("an unknown word", lambda: dicom(P12, PhotometricInterpretation="POLYCHROME"), "no word of the standard")
refused("HSV", lambda: dicom(RGB, PhotometricInterpretation="HSV"), "HSV")
refused("CMYK", lambda: dicom(np.dstack([RGB, G8]), SamplesPerPixel=4, PhotometricInterpretation="CMYK"), "CMYK")

# --- the number of samples, bits, sign and planes --------------------------------------------------------------------

shown("no sample count", lambda: dicom(P12, SamplesPerPixel=None), SHARE, "samples")
shown("no sample count, in colour", lambda: dicom(RGB, SamplesPerPixel=None), RGB / 255, "samples")
shown("three samples said, one there", lambda: dicom(P12, SamplesPerPixel=3, PlanarConfiguration=0), SHARE, "samples")
shown("one sample said, three there", lambda: dicom(RGB, SamplesPerPixel=1), RGB / 255, "samples")
shown(
    "no sample count nor word, MR",
    lambda: dicom(P12, SamplesPerPixel=None, PhotometricInterpretation=None, **MR1),
    SHARE,
    "photometric",
)
shown("no bits allocated", lambda: dicom(P12, bits=12, BitsAllocated=None), SHARE, "bits")
shown("no bits allocated, 8", lambda: dicom(G8, BitsAllocated=None), SHARE, "bits", tolerance=0.003)
shown("no bits stored", lambda: dicom(P12, bits=12, BitsStored=None), SHARE, "bits")
shown("no bits stored nor high bit", lambda: dicom(P12, BitsStored=None, HighBit=None), SHARE, "bits")
shown("no high bit", lambda: dicom(P12, bits=12, HighBit=None), SHARE)
shown("no bits at all", lambda: dicom(P12, BitsAllocated=None, BitsStored=None, HighBit=None), SHARE, "bits")
shown("8 bits said, 16 there", lambda: dicom(P12, bits=12, BitsAllocated=8), SHARE, "bits")
shown("16 bits said, 8 there", lambda: dicom(G8, BitsAllocated=16), SHARE, "bits", tolerance=0.003)
shown("12 bits allocated said, 16 there", lambda: dicom(P12, bits=12, BitsAllocated=12), SHARE, "bits")
shown("more bits stored than allocated", lambda: dicom(P12, BitsStored=24), SHARE, "bits")
shown("no bits stored: 0", lambda: dicom(P12, BitsStored=0), SHARE, "bits")
shown("no sign", lambda: dicom(P12, bits=12, PixelRepresentation=None), SHARE, "unsigned")
shown("no sign, 16 bits used", lambda: dicom(P12 * 16, PixelRepresentation=None), P12 / 4095, "unsigned")
shown(
    "no sign, signed",
    lambda: dicom(P12.astype(np.int16) - 2048, PixelRepresentation=None, Modality="CT"),
    SHARE,
    "read as signed",
)
for _name, _values in {"unsigned": P12, "signed": P12.astype(np.int16) - 2048}.items():
    shown(
        f"no sign, JPEG 2000, {_name}",
        lambda v=_values: compressed(v, JPEG2000Lossless, PixelRepresentation=None),
        SHARE,
        f"read as {_name}",
    )
refused("no sign, run lengths", lambda: compressed(P12, RLELossless, PixelRepresentation=None), "signed")
refused(
    "a JPEG of four inks",
    lambda: dicom(RGB, syntax=JPEGBaseline8Bit, PixelData=_in_pieces(_inks())),
    "4 samples",
)
shown("an impossible sign", lambda: dicom(P12, bits=12, PixelRepresentation=7), SHARE, "unsigned")
shown("no planes, by pixel", lambda: dicom(RGB, PlanarConfiguration=None), RGB / 255, "pixel by pixel")
shown(
    "no planes, by plane",
    lambda: dicom(RGB, PlanarConfiguration=None, PixelData=np.moveaxis(RGB, 2, 0).tobytes()),
    RGB / 255,
    "plane by plane",
)
shown(
    "no planes, grey in three",
    lambda: dicom(np.dstack([G8] * 3), PlanarConfiguration=None),
    np.dstack([G8] * 3) / 255,
    "pixel by pixel",
)
shown("by plane", lambda: dicom(RGB, PlanarConfiguration=1, PixelData=np.moveaxis(RGB, 2, 0).tobytes()), RGB / 255)
refused(
    "12 bits packed",
    lambda: dicom(P12, bits=12, BitsAllocated=12, PixelData=P12.tobytes()[: HEIGHT * WIDTH * 3 // 2]),
    "packed",
)
refused("half of the pixels", lambda: dicom(P12, PixelData=P12.tobytes()[:3000]), "promises 6144")
refused(
    "two samples",
    lambda: dicom(P12, SamplesPerPixel=2, PhotometricInterpretation=None, PixelData=P12.tobytes() * 2),
    "2 samples",
)

# --- compressions, and headers that name another ---------------------------------------------------------------------


def _jpeg(values: np.ndarray) -> bytes:
    return encode(values, "JPEG", quality=100, **({} if values.ndim == 2 else {"subsampling": 0}))


def _inks() -> bytes:
    target = io.BytesIO()
    PillowImage.fromarray(RGB).convert("CMYK").save(target, "JPEG")
    return target.getvalue()


def _j2k(values: np.ndarray, bits: int) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(compressed(values, JPEG2000Lossless, bits=bits)))
    return get_frame(ds.PixelData, 0, number_of_frames=1)


def _jp2() -> bytes:
    """A codestream within a file's boxes, which some put into DICOM."""
    target = io.BytesIO()
    PillowImage.fromarray(G8).save(target, "JPEG2000")
    return target.getvalue()


def _in_pieces(stream: bytes, n: int = 1, *, table: bool = True) -> bytes:
    return encapsulate([stream], fragments_per_frame=n, has_bot=table)


_LABELS = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, JPEG2000)
_LABELS += (HTJ2KLossless, RLELossless)
_NATIVE_LABELS = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_ELSE = "names another compression"


def _under(stream: Callable[[], bytes], label: str, values: np.ndarray, bits: int | None = None) -> Callable[[], bytes]:
    return lambda: relabelled(dicom(values, bits=bits, syntax=JPEG2000Lossless, PixelData=_in_pieces(stream())), label)


for _label in (*_LABELS, ExplicitVRLittleEndian):
    _called = UID(_label).keyword
    _right = (JPEGBaseline8Bit, JPEGExtended12Bit)
    shown(
        f"JPEG called {_called}", _under(lambda: _jpeg(G8), _label, G8), SHARE, "" if _label in _right else _ELSE, 0.01
    )
    _right = (JPEG2000Lossless, JPEG2000)
    shown(
        f"JPEG 2000 called {_called}",
        _under(lambda: _j2k(P12, 12), _label, P12, 12),
        SHARE,
        "" if _label in _right else _ELSE,
    )
    if _label != RLELossless:
        shown(
            f"run lengths called {_called}", lambda x=_label: relabelled(compressed(P12, RLELossless), x), SHARE, _ELSE
        )
    if _label not in _NATIVE_LABELS:
        shown(
            f"no compression called {_called}",
            lambda x=_label: relabelled(dicom(P12, bits=12), x),
            SHARE,
            "compressed, and they are not",
        )
for _label in (JPEGBaseline8Bit, JPEG2000, *_NATIVE_LABELS):
    _called = UID(_label).keyword
    _plain = ExplicitVRLittleEndian if _label != ImplicitVRLittleEndian else ImplicitVRLittleEndian
    shown(
        f"a bare JPEG called {_called}",
        lambda x=_label, p=_plain: relabelled(dicom(G8, syntax=p, PixelData=_jpeg(G8)), x),
        SHARE,
        _ELSE,
        0.01,
    )
    shown(
        f"bare JPEG 2000 called {_called}",
        lambda x=_label, p=_plain: relabelled(dicom(P12, bits=12, syntax=p, PixelData=_j2k(P12, 12)), x),
        SHARE,
        _ELSE,
    )
shown(
    "JPEG 2000 in a file's boxes",
    lambda: dicom(G8, syntax=JPEG2000Lossless, PixelData=_in_pieces(_jp2())),
    SHARE,
    tolerance=0.003,
)
for _n in (2, 5):
    for _table in (True, False):
        shown(
            f"JPEG in {_n} pieces, {'a' if _table else 'no'} table",
            lambda n=_n, t=_table: dicom(G8, syntax=JPEGBaseline8Bit, PixelData=_in_pieces(_jpeg(G8), n, table=t)),
            SHARE,
            tolerance=0.01,
        )


def _extended() -> bytes:
    data, offsets, lengths = encapsulate_extended([_j2k(P12, 12)])
    more = {"ExtendedOffsetTable": offsets, "ExtendedOffsetTableLengths": lengths}
    return dicom(P12, bits=12, syntax=JPEG2000Lossless, PixelData=data, **more)


def _said(stream: Callable[[], bytes], values: np.ndarray, syntax: str, **header: Any) -> Callable[[], bytes]:
    return lambda: dicom(values, syntax=syntax, PixelData=_in_pieces(stream()), **header)


shown("an extended table of offsets", _extended, SHARE)
shown("JPEG of 8 bits in 16", _said(lambda: _jpeg(G8), G8, JPEGBaseline8Bit, BitsAllocated=16), SHARE, tolerance=0.01)
shown("JPEG of 8 bits, 12 said", _said(lambda: _jpeg(G8), P12, JPEGBaseline8Bit, BitsStored=12), SHARE, "bits", 0.01)
shown(
    "JPEG of 8 bits, none said",
    _said(lambda: _jpeg(G8), G8, JPEGBaseline8Bit, BitsAllocated=None, BitsStored=None),
    SHARE,
    "bits",
    0.01,
)
shown("JPEG 2000 of 12 bits, 8 said", _said(lambda: _j2k(P12, 12), G8, JPEG2000Lossless), SHARE, "bits")
shown(
    "grey JPEG said to be RGB",
    _said(lambda: _jpeg(G8), G8, JPEGBaseline8Bit, PhotometricInterpretation="RGB", SamplesPerPixel=3),
    SHARE,
    "samples",
    0.01,
)
shown(
    "JPEG without a sample count",
    _said(lambda: _jpeg(G8), G8, JPEGBaseline8Bit, SamplesPerPixel=None),
    SHARE,
    "samples",
    0.01,
)
shown(
    "JPEG without a sign",
    _said(lambda: _jpeg(G8), G8, JPEGBaseline8Bit, PixelRepresentation=None),
    SHARE,
    "unsigned",
    0.01,
)
shown(
    "JPEG in colour without words",
    _said(lambda: _jpeg(RGB), RGB, JPEGBaseline8Bit, PhotometricInterpretation=None, PlanarConfiguration=None),
    RGB / 255,
    "no photometric",
    0.02,
)
for _start, _what in (
    (b"\xff\x0a" + bytes(200), "JPEG XL"),
    (b"\x89PNG\r\n\x1a\n" + bytes(200), "PNG"),
    (b"\x00\x00\x01\xb3" + bytes(200), "MPEG"),
    (b"\x00\x00\x00\x01\x67" + bytes(199), "H.264"),
):
    refused(f"{_what} within", _said(lambda s=_start: s, P12, JPEG2000Lossless), re.escape(_what))
refused("pieces of nothing known", _said(lambda: b"\x13\x57" * 300, P12, ExplicitVRLittleEndian), "not known here")
refused(
    "a compression cut short", _said(lambda: _jpeg(G8)[:900], G8, JPEGBaseline8Bit), "send it again|export it again"
)

# --- how the data set is written -------------------------------------------------------------------------------------

shown(
    "implicit called explicit",
    lambda: relabelled(dicom(P12, syntax=ImplicitVRLittleEndian), ExplicitVRLittleEndian),
    SHARE,
)
shown("explicit called implicit", lambda: relabelled(dicom(P12), ImplicitVRLittleEndian), SHARE)
shown(
    "implicit called explicit, a table",
    lambda: relabelled(dicom(P12, syntax=ImplicitVRLittleEndian, **_lut(0, _CURVE, 12)), ExplicitVRLittleEndian),
    _CURVE[P12] / 4095,
)
shown(
    "implicit called explicit, no sign",
    lambda: relabelled(
        dicom(P12, bits=12, syntax=ImplicitVRLittleEndian, PixelRepresentation=None), ExplicitVRLittleEndian
    ),
    SHARE,
    "unsigned",
)
shown("deflated", lambda: dicom(P12, syntax=DeflatedExplicitVRLittleEndian), SHARE)


def _directory() -> bytes:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
        MediaStorageDirectoryStorage,
        "1.2.3",
    )
    ds.FileSetID, ds.DirectoryRecordSequence = "DISC", Sequence([Dataset()])
    return _written(ds)


refused("a DICOMDIR", _directory, "DICOMDIR.*folder")

# --- raster files ----------------------------------------------------------------------------------------------------


def tiff(values: np.ndarray, photometric: int, order: str = "<") -> bytes:
    """A grey TIFF written by hand: one strip, no compression."""
    raw = values.astype(f"{order}u{values.itemsize}").tobytes()
    tags = [(256, WIDTH), (257, HEIGHT), (258, 8 * values.itemsize), (259, 1), (262, photometric)]
    tags += [(273, 8 + 2 + 12 * 9 + 4), (277, 1), (278, HEIGHT), (279, len(raw))]
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return start + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0) + raw


for _order in "<>":
    _end = "little" if _order == "<" else "big"
    _deep = np.round(SHARE * 65535).astype(np.uint16)
    shown(f"TIFF of 16 bits, white is zero, {_end} endian", lambda o=_order, v=65535 - _deep: tiff(v, 0, o), SHARE)
    shown(f"TIFF of 16 bits, black is zero, {_end} endian", lambda o=_order, v=_deep: tiff(v, 1, o), SHARE)
    shown(
        f"TIFF of 12 bits, white is zero, {_end} endian",
        lambda o=_order: tiff(4095 - P12, 0, o),
        SHARE,
        "shown as white",
    )
    shown(
        f"TIFF of 8 bits, white is zero, {_end} endian", lambda o=_order: tiff(255 - G8, 0, o), SHARE, tolerance=0.003
    )

_FTYP = b"\x00\x00\x00\x18ftyp"
_NIFTI = struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(100)
for _name, _data, _word in (
    ("NIfTI", _NIFTI, "NIfTI"),
    ("NIfTI, big endian", struct.pack(">i", 348) + _NIFTI[4:], "NIfTI"),
    ("NIfTI 2", struct.pack("<i", 540) + b"n+2\0\r\n\x1a\n" + bytes(600), "NIfTI"),
    ("PGM", b"P5\n64 48\n255\n" + G8.tobytes(), "PGM"),
    ("PGM as text with a comment", b"P2\n# by hand\n2 2\n255\n0 1 2 3\n", "PGM"),
    ("PPM", b"P6 64 48 255\n" + RGB.tobytes(), "PGM"),
    *(
        (f"HEIC of brand {_b.decode()}", _FTYP + _b + bytes(4) + b"mif1heic", "HEI[CF]")
        for _b in (b"heic", b"heix", b"hevc", b"hevx", b"msf1", b"mif1")
    ),
    ("AVIF", _FTYP + b"avif" + bytes(12), "AVIF"),
    ("a film", _FTYP + b"isom" + bytes(4) + b"isommp42", "film"),
    ("JPEG XL", b"\xff\x0a" + bytes(40), "JPEG XL"),
    ("NRRD", b"NRRD0004\ntype: short\n", "NRRD"),
):
    refused(_name, lambda d=_data: d, _word)
