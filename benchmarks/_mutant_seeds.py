"""What the fuzzer damages: small valid images and archives of every kind that is taken in."""

import io
import struct
import zipfile
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image as PillowImage
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

SIDE = 48  # pixels: small, so that many thousands can be tried
_SHIPPED_WITH_PYDICOM = {  # for what nothing here can encode
    "dicom-jpegls": "JPEGLSNearLossless_08.dcm",
    "dicom-jpegls-16": "JPEGLSNearLossless_16.dcm",
    "dicom-jpegls-line": "SC_rgb_jls_lossy_line.dcm",
    "dicom-jpegls-sample": "SC_rgb_jls_lossy_sample.dcm",
    "dicom-jpeg-rgb": "SC_rgb_small_odd_jpeg.dcm",
    "dicom-rle-frames": "SC_rgb_rle_16bit_2frame.dcm",
    "dicom-ybr-422": "SC_rgb_dcmtk_+eb+cy+n2.dcm",
    "dicom-float-dose": "rtdose_1frame.dcm",
}


@cache
def seeds_of(family: str) -> dict[str, bytes]:
    """The valid files by name."""
    return _images() if family == "images" else _archives()


def _images() -> dict[str, bytes]:
    grey = chest_phantom(SIDE, random_state=1)
    deep = brain_phantom(SIDE, random_state=2).astype(np.uint16) * 16
    rgb = np.dstack([grey, brain_phantom(SIDE, random_state=3), grey[::-1]])
    return {**_rasters(grey, deep, rgb), **_dicom(grey, deep, rgb)}


def _rasters(grey: np.ndarray, deep: np.ndarray, rgb: np.ndarray) -> dict[str, bytes]:
    rgba = np.dstack([rgb, grey])
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    pages = [PillowImage.fromarray(page) for page in (grey[::-1], grey.T)]
    several = {"save_all": True, "append_images": pages}
    return {
        "png-grey": encode(grey, "PNG"),
        "png-16": encode(deep, "PNG"),
        "png-palette": _converted(rgb, "P", "PNG"),
        "png-alpha": encode(rgba, "PNG"),
        "png-bits": encode(grey > 100, "PNG"),
        "png-rgb-facts": encode(rgb, "PNG", icc_profile=bytes(200), exif=exif),
        "png-frames": encode(grey, "PNG", **several),
        "jpeg-grey": encode(grey, "JPEG", exif=exif),
        "jpeg-rgb": encode(rgb, "JPEG", quality=80, restart_marker_blocks=2),
        "jpeg-progressive": encode(rgb, "JPEG", progressive=True, quality=90),
        "jpeg-cmyk": _converted(rgb, "CMYK", "JPEG"),
        "tiff-raw": encode(deep, "TIFF"),
        "tiff-float": encode((deep / 4080).astype(np.float32), "TIFF"),
        "tiff-lzw": encode(rgb, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": encode(grey, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": encode(rgb, "TIFF", compression="jpeg"),
        "tiff-packbits": encode(grey, "TIFF", compression="packbits"),
        "tiff-fax": encode(grey > 100, "TIFF", compression="group4"),
        "tiff-pages": encode(grey, "TIFF", **several),
        "tiff-tiles": _tiled_tiff(grey),
        "webp-lossy": encode(rgb, "WebP"),
        "webp-lossless": encode(rgba, "WebP", lossless=True, exif=exif),
        "webp-frames": encode(rgb, "WebP", **several),
        "bmp-rgb": encode(rgb, "BMP"),
        "bmp-grey": encode(grey, "BMP"),
    }


def _dicom(grey: np.ndarray, deep: np.ndarray, rgb: np.ndarray) -> dict[str, bytes]:
    shown = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 1, "RescaleIntercept": 0}
    own = {
        "dicom": dicom_bytes(deep, bits_stored=12, **shown),
        "dicom-bare": without_preamble(dicom_bytes(deep)),
        "dicom-rgb": dicom_bytes(rgb),
        "dicom-frames": dicom_bytes(np.stack([grey, grey[::-1], grey.T]), multi_frame=True),
        "dicom-implicit": dicom_bytes(deep, syntax=ImplicitVRLittleEndian),
        "dicom-big": dicom_bytes(deep, syntax=ExplicitVRBigEndian),
        "dicom-deflated": dicom_bytes(deep, syntax=DeflatedExplicitVRLittleEndian),
        "dicom-rle": dicom_bytes(deep, syntax=RLELossless),
        "dicom-j2k": dicom_bytes(deep, syntax=JPEG2000Lossless),
        "dicom-j2k-lossy": dicom_bytes(rgb, syntax=JPEG2000, PhotometricInterpretation="YBR_ICT"),
        "dicom-jpeg": dicom_bytes(grey, syntax=JPEGBaseline8Bit, codestreams=[encode(grey, "JPEG")]),
    }
    return own | {name: _shipped(file) for name, file in _SHIPPED_WITH_PYDICOM.items()}


def _shipped(name: str) -> bytes:
    with open(str(get_testdata_file(name, download=False)), "rb") as file:  # noqa: PTH123 - pydicom hands out a string
        return file.read()


def _converted(rgb: np.ndarray, mode: str, kind: str) -> bytes:
    target = io.BytesIO()
    PillowImage.fromarray(rgb).convert(mode).save(target, format=kind)
    return target.getvalue()


def _tiled_tiff(grey: np.ndarray) -> bytes:
    """Nine tiles of 16 × 16, 8 bits, behind their directory."""
    tiles = [grey[y : y + 16, x : x + 16].tobytes() for y in range(0, 48, 16) for x in range(0, 48, 16)]
    entries = {256: (4, 1, 48), 257: (4, 1, 48), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    entries |= {322: (3, 1, 16), 323: (3, 1, 16)}
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries |= {324: (4, 9, start), 325: (4, 9, start + 36)}
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items())
    )
    offsets = struct.pack("<9I", *(start + 72 + 256 * index for index in range(9)))
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + offsets + struct.pack("<9I", *[256] * 9) + b"".join(tiles)


def _archives() -> dict[str, bytes]:
    film = encode(chest_phantom(32, random_state=1), "PNG")
    text = b"ward 7, bed 3\n" * 40
    files = [("ward/1.png", film), ("notes.txt", text)]
    return {
        "stored": archive(files, zipfile.ZIP_STORED),
        "deflate": archive(files),
        "bzip2": archive(files, zipfile.ZIP_BZIP2),
        "lzma": archive(files, zipfile.ZIP_LZMA),
        "zip64": archive(files, zip64=True),
        "zip64-end": _with_zip64_end(archive(files)),
        "streamed": archive(files, streamed=True),
        "encrypted": _flagged(archive(files)),
        "encrypted-in-part": _flagged(archive(files), first=True),
        "deflate64": _method(archive(files), 9),
        "zstd": _method(archive(files, zipfile.ZIP_STORED), 93),
        "many": archive([(f"{n}.png", bytes([n]) * n) for n in range(24)]),
        "names": archive([("ä/ü.png", film), ("a\u202egnp.exe", text), ("d/", b""), ("__MACOSX/._1.png", b"x")]),
        "comments": archive(files, comment=b"sent by ward 7"),
        "nested": archive([("inner.zip", archive(files)), ("1.png", film)]),
        "behind-something": b"#!/bin/sh\nexit 0\n" + archive(files),
        "swells": archive([("zeros.png", bytes(300_000)), ("1.png", film)]),
        "empty": archive([]),
    }


class _Stream(io.RawIOBase):
    """Takes bytes and cannot seek, so that sizes come behind the data."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        self.taken += data
        return len(data)


def archive(
    files: list[tuple[str, bytes]],
    compression: int = zipfile.ZIP_DEFLATED,
    *,
    zip64: bool = False,
    streamed: bool = False,
    comment: bytes = b"",
) -> bytes:
    """A zip archive, the same at any time of day. zip64: with the extra fields for sizes beyond 4 GB."""
    target: io.BytesIO | _Stream = _Stream() if streamed else io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as made:  # type: ignore[arg-type]
        made.comment = comment
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.comment = compression, comment
            with made.open(info, "w", force_zip64=zip64) as member:
                member.write(data)
    return bytes(target.taken) if isinstance(target, _Stream) else target.getvalue()


def _with_zip64_end(data: bytes) -> bytes:
    """With the record and locator that an archive beyond 4 GB or 65,535 files has (APPNOTE 4.3.14, 4.3.15)."""
    at = data.rindex(b"PK\x05\x06")
    n, size, start = struct.unpack("<HII", data[at + 10 : at + 20])
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, n, n, size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    end = data[at : at + 8] + b"\xff" * 12 + data[at + 20 :]
    return data[:at] + record + locator + end


def _flagged(data: bytes, *, first: bool = False) -> bytes:
    """With the flag of encryption set in every member, or the first."""
    return _every(data, 6, 8, lambda old: old | 1, first=first)


def _method(data: bytes, number: int) -> bytes:
    """With another compression method named."""
    return _every(data, 8, 10, lambda _: number)


def _every(data: bytes, local: int, central: int, change: Callable[[int], int], *, first: bool = False) -> bytes:
    changed = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = data.find(signature)
        while at >= 0:
            place = slice(at + offset, at + offset + 2)
            changed[place] = change(int.from_bytes(changed[place], "little")).to_bytes(2, "little")
            at = -1 if first else data.find(signature, at + 4)
    return bytes(changed)
