"""Nothing large is decoded: sizes are read first, and what unpacks without end is refused."""

import struct
import time

import numpy as np
import pytest

from secondread.errors import ImageTooLarge, NotAnImage, TruncatedImage, UnsupportedImage
from secondread.images import Limits, decode
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode
from tests.crafted import crafted_files, jpeg_of_scans, png_file, tiff_claiming, webp_canvas

PICTURE = chest_phantom(64, random_state=0)


def bmp_claiming(width: int, height: int) -> bytes:
    data = bytearray(encode(PICTURE, "BMP"))
    data[18:26] = struct.pack("<2i", width, height)
    return bytes(data)


HUGE = {
    "PNG": lambda: png_file(100_000, 100_000, (b"IDAT", b"")),
    "JPEG": lambda: jpeg_of_scans(1, claimed=(65_500, 65_500)),
    "TIFF": lambda: tiff_claiming(100_000, 100_000),
    "BMP": lambda: bmp_claiming(100_000, 100_000),
    "WebP": lambda: webp_canvas(16_384, 16_384),
    "animated WebP": lambda: webp_canvas(8000, 8000, animated=True),
    "DICOM": lambda: dicom_bytes(PICTURE, Rows=65_535, Columns=65_535),
}


@pytest.mark.parametrize("kind", HUGE)
def test_huge_dimensions_are_refused_at_once(kind: str) -> None:
    data = HUGE[kind]()
    start = time.perf_counter()
    with pytest.raises(ImageTooLarge, match="million"):
        decode(data)
    assert time.perf_counter() - start < 10, "it was decoded first"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WebP"])
def test_limits_can_be_set(kind: str) -> None:
    data = encode(PICTURE, kind)
    assert decode(data, limits=Limits(max_pixels=64 * 64)).pixels.shape[:2] == (64, 64)
    with pytest.raises(ImageTooLarge):
        decode(data, limits=Limits(max_pixels=64 * 64 - 1))
    with pytest.raises(ImageTooLarge):
        decode(data, limits=Limits(max_bytes=len(data) - 1))


def test_files_beyond_200_mb_are_not_looked_at() -> None:
    with pytest.raises(ImageTooLarge, match="200 MB"):
        decode(bytes(200_000_001))


EXPECTED = {  # what each bomb is called; the rest of the crafted files are in test_malformed.py
    "png-ztxt-bomb.png": ImageTooLarge,
    "png-itxt-bomb.png": ImageTooLarge,
    "png-iccp-bomb.png": ImageTooLarge,
    "jpeg-no-marker.jpg": ImageTooLarge,
    "jpeg-scans-large.jpg": UnsupportedImage,
    "dicom-jpeg-scans.dcm": UnsupportedImage,
    "dicom-deflated-bomb.dcm": ImageTooLarge,
    "dicom-many-elements.dcm": ImageTooLarge,
    "dicom-j2k-lies.dcm": TruncatedImage,
    "dicom-jpeg-lies.dcm": TruncatedImage,
    "dicom-rle-bomb.dcm": TruncatedImage,
    "bomb.zip.png": UnsupportedImage,
    "text.png": NotAnImage,
    "letter.bmp": NotAnImage,
    "empty.png": NotAnImage,
}


@pytest.fixture(scope="module")
def crafted() -> dict[str, bytes]:
    return dict(crafted_files())


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bombs_are_called_by_their_name(name: str, crafted: dict[str, bytes]) -> None:
    with pytest.raises(EXPECTED[name]) as caught:
        decode(crafted[name])
    assert ";" in str(caught.value), "the sentence says what to do"


def test_pixel_data_beyond_the_picture_are_left_alone(crafted: dict[str, bytes]) -> None:
    np.testing.assert_array_equal(decode(crafted["png-idat-bomb.png"]).pixels, np.zeros((1, 1), np.uint8))
