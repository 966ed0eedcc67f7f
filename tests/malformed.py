"""Files that are wrong in some way: crafted ones, then valid ones cut, flipped, overwritten and stitched at random."""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from pydicom.data import get_testdata_file
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from secondread.testing.phantoms import brain_phantom, chest_phantom, dicom_bytes, encode, without_preamble
from tests.crafted import crafted_files, png_chunk, png_chunks

Mutation = Callable[[bytes, np.random.Generator], bytes]

_SHIPPED_WITH_PYDICOM = (  # for what nothing here can encode: JPEG lossless, JPEG-LS, palettes, odd headers
    "SC_rgb_jpeg_gdcm.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "JPEG-lossy.dcm",
    "JPEG2000.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "rtdose.dcm",
    "CT_small.dcm",
)
_EXTENSIONS = ("png", "jpg", "tif", "webp", "bmp", "dcm", "txt", "")
_TELLING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def malformed_files(n: int, random_state: int) -> Iterator[tuple[str, bytes]]:
    """n wrong files as (name, bytes), the same for the same random_state; names may carry another kind's extension.

    At most a third are crafted, the rest mutated; a mutation may by luck leave a file that is still valid.
    """
    rng = np.random.default_rng(random_state)
    crafted = list(crafted_files())[: n // 3]
    for index, (name, data) in enumerate(crafted):
        yield f"{index:05d}-{name}", data
    seeds = list(seed_files().items())
    for index in range(len(crafted), n):
        name, data = seeds[rng.integers(len(seeds))]
        how, mutate = _MUTATIONS[rng.integers(len(_MUTATIONS))]
        extension = _EXTENSIONS[rng.integers(len(_EXTENSIONS))]
        yield f"{index:05d}-{how}-{name}.{extension}", mutate(data, rng)


@cache
def seed_files() -> dict[str, bytes]:
    """The valid files that the mutations start from, one of each kind that is read."""
    grey = chest_phantom(96, random_state=1)
    deep = brain_phantom(96, random_state=2).astype(np.uint16) * 16
    rgb = np.dstack([grey, brain_phantom(96, random_state=3), grey[::-1]])
    return _raster_seeds(grey, deep, rgb) | _dicom_seeds(grey, deep, rgb)


def _raster_seeds(grey: np.ndarray, deep: np.ndarray, rgb: np.ndarray) -> dict[str, bytes]:
    exif = (
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
    )
    return {
        "png-grey": encode(grey, "PNG"),
        "png-16": encode(deep, "PNG"),
        "png-rgb": encode(rgb, "PNG", icc_profile=bytes(200), exif=exif),
        "jpeg-grey": encode(grey, "JPEG", exif=exif),
        "jpeg-progressive": encode(rgb, "JPEG", progressive=True, quality=90),
        "tiff-raw": encode(deep, "TIFF"),
        "tiff-lzw": encode(rgb, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": encode(grey, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": encode(rgb, "TIFF", compression="jpeg"),
        "tiff-fax": encode(grey > 100, "TIFF", compression="group4"),
        "webp-lossy": encode(rgb, "WebP"),
        "webp-lossless": encode(rgb, "WebP", lossless=True, exif=exif),
        "bmp": encode(rgb, "BMP"),
        "bmp-grey": encode(grey, "BMP"),
    }


def _dicom_seeds(grey: np.ndarray, deep: np.ndarray, rgb: np.ndarray) -> dict[str, bytes]:
    shown: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 1, "RescaleIntercept": 0}
    own = {
        "dicom": dicom_bytes(deep, bits_stored=12, **shown),
        "dicom-bare": without_preamble(dicom_bytes(deep)),
        "dicom-rgb": dicom_bytes(rgb),
        "dicom-frames": dicom_bytes(np.stack([deep, deep[::-1]]), multi_frame=True),
        "dicom-implicit": dicom_bytes(deep, syntax=ImplicitVRLittleEndian),
        "dicom-big": dicom_bytes(deep, syntax=ExplicitVRBigEndian),
        "dicom-deflated": dicom_bytes(deep, syntax=DeflatedExplicitVRLittleEndian),
        "dicom-rle": dicom_bytes(deep, syntax=RLELossless),
        "dicom-j2k": dicom_bytes(deep, syntax=JPEG2000Lossless),
        "dicom-j2k-lossy": dicom_bytes(rgb, syntax=JPEG2000, PhotometricInterpretation="YBR_ICT"),
        "dicom-jpeg": dicom_bytes(grey, syntax=JPEGBaseline8Bit, codestreams=[encode(grey, "JPEG")]),
    }
    return own | {name.removesuffix(".dcm"): _shipped(name) for name in _SHIPPED_WITH_PYDICOM}


def _shipped(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), f"pydicom no longer ships {name}"
    with open(path, "rb") as file:  # noqa: PTH123 - pydicom hands out a string
        return file.read()


def _place(data: bytes, rng: np.random.Generator) -> int:
    """A position; half of them in the first kilobyte, where the headers are."""
    return int(rng.integers(max(1, min(len(data), 1024) if rng.random() < 0.5 else len(data))))


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 32))):
        damaged[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    at, length = _place(data, rng), int(rng.integers(1, 256))
    return (data[:at] + rng.bytes(length) + data[at + length :])[: len(data)]


def _blank(data: bytes, rng: np.random.Generator) -> bytes:
    at, length = _place(data, rng), int(rng.integers(1, 1024))
    return (data[:at] + bytes([rng.choice([0, 255])]) * length + data[at + length :])[: len(data)]


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    """Telling numbers where lengths, counts and sizes may be."""
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        value, wide = int(rng.choice(_TELLING)), int(rng.choice([1, 2, 4]))
        at = min(_place(data, rng), len(data) - wide)
        damaged[at : at + wide] = (value % 256**wide).to_bytes(wide, "little" if rng.random() < 0.5 else "big")
    return bytes(damaged)


def _duplicate(data: bytes, rng: np.random.Generator) -> bytes:
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return data[:last] + data[first:last] * int(rng.integers(1, 4)) + data[last:]


def _remove(data: bytes, rng: np.random.Generator) -> bytes:
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return data[:first] + data[last:]


def _swap(data: bytes, rng: np.random.Generator) -> bytes:
    a, b, c = sorted(_place(data, rng) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _append(data: bytes, rng: np.random.Generator) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 4096)))


def _noise(data: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes behind a valid signature or header."""
    return data[: int(rng.choice([4, 8, 16, 26, 132, 200, 400]))] + rng.bytes(int(rng.integers(4096)))


def _stitch(data: bytes, rng: np.random.Generator) -> bytes:
    """The head of one file, the tail of another."""
    others = list(seed_files().values())
    other = others[rng.integers(len(others))]
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _chunks(data: bytes, rng: np.random.Generator) -> bytes:
    """PNG with chunks repeated, left out, reordered or changed, checksums mended; other kinds are overwritten."""
    if not data.startswith(b"\x89PNG"):
        return _overwrite(data, rng)
    chunks = png_chunks(data)
    order = rng.integers(len(chunks), size=int(rng.integers(1, 2 * len(chunks) + 1)))
    changed = [chunks[0], *(chunks[index] for index in order), chunks[-1]]
    at = int(rng.integers(len(changed)))
    name, body = changed[at]
    changed[at] = (name, _flip(body, rng) if body else rng.bytes(9))
    return data[:8] + b"".join(png_chunk(name, body) for name, body in changed)


def _deflated(data: bytes, rng: np.random.Generator) -> bytes:
    """PNG whose pixel data inflate to other bytes than they should; other kinds get a telling number."""
    if not data.startswith(b"\x89PNG"):
        return _number(data, rng)
    filled = zlib.compress(rng.bytes(int(rng.integers(1, 20_000))))
    chunks = [(name, filled if name == b"IDAT" else body) for name, body in png_chunks(data)]
    size = struct.pack(">2I", *rng.integers(1, 2000, 2))
    chunks[0] = (b"IHDR", size + chunks[0][1][8:])
    return data[:8] + b"".join(png_chunk(name, body) for name, body in chunks)


_MUTATIONS: tuple[tuple[str, Mutation], ...] = (
    ("cut", _cut),
    ("flip", _flip),
    ("overwrite", _overwrite),
    ("blank", _blank),
    ("number", _number),
    ("duplicate", _duplicate),
    ("remove", _remove),
    ("swap", _swap),
    ("append", _append),
    ("noise", _noise),
    ("stitch", _stitch),
    ("chunks", _chunks),
    ("deflated", _deflated),
)
