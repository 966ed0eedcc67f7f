"""Which format a file is of, what is said of files that are none, and the object that comes out."""

import numpy as np
import pytest

import secondread.images
from secondread.errors import NotAnImage, UnsupportedImage
from secondread.images import Image, decode, decode_frames, encode_png, sniff, to_display
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode

GREY = chest_phantom((40, 56), random_state=0)

OTHERS = {
    b"GIF89a" + bytes(20): (UnsupportedImage, "GIF"),
    b"%PDF-1.7": (UnsupportedImage, "PDF"),
    b"PK\x03\x04" + bytes(20): (UnsupportedImage, "ZIP"),
    b"\x1f\x8b" + bytes(20): (UnsupportedImage, "gzip"),
    b"\xff\x4f\xff\x51" + bytes(20): (UnsupportedImage, "JPEG 2000"),
    b"II+\x00" + bytes(20): (UnsupportedImage, "BigTIFF"),
    bytes(4) + b"ftypheic" + bytes(20): (UnsupportedImage, "HEIC"),
    b"": (NotAnImage, "empty"),
    b"hello": (NotAnImage, "not an image"),
    b"BMI of 24": (NotAnImage, "not an image"),
    b"some textWEBP": (NotAnImage, "not an image"),
    bytes(1000): (NotAnImage, "not an image"),
}


@pytest.mark.parametrize("data", OTHERS)
def test_what_is_no_image_is_named(data: bytes) -> None:
    kind, word = OTHERS[data]
    with pytest.raises(kind, match=word):
        decode(data)


def test_dicom_wins_over_its_preamble() -> None:
    """A preamble may hold a TIFF header, so that both kinds of reader find an image (PS3.10 section 7.1)."""
    data = b"II*\x00\x08\x00\x00\x00" + bytes(120) + dicom_bytes(GREY)[128:]
    assert sniff(data) == "DICOM"
    assert decode(data).format == "DICOM"


def test_rasters_have_one_frame() -> None:
    data = encode(GREY, "PNG")
    assert len(list(decode_frames(data))) == 1
    with pytest.raises(UnsupportedImage, match="no frame 2"):
        decode(data, frame=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_become_images(dtype: type) -> None:
    image = Image.from_array(GREY.astype(dtype))
    assert (image.width, image.height, image.full_scale) == (56, 40, 255)  # 16 bits of which 8 are used
    assert Image.from_array(GREY.astype(dtype)[:, :, None]).pixels.shape == (40, 56)


def test_float_arrays_are_shares_of_white() -> None:
    image = Image.from_array(GREY / 255)
    np.testing.assert_array_equal(image.pixels, GREY)  # as from the file that was divided by its white
    finer = Image.from_array(GREY / 65535)
    np.testing.assert_array_equal(finer.pixels, GREY.astype(np.uint16))


@pytest.mark.parametrize("wrong", [np.zeros(5), np.zeros((4, 4, 2)), np.zeros((0, 4)), np.full((4, 4), 2.0)])
def test_other_arrays_are_a_programmers_mistake(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image array"):
        Image.from_array(wrong)


def test_signed_arrays_are_a_programmers_mistake() -> None:
    with pytest.raises(TypeError, match="int32"):
        Image.from_array(np.zeros((4, 4), np.int32))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_encoded_png_is_lossless(channels: int) -> None:
    pixels = GREY if channels == 1 else np.dstack([GREY, GREY[::-1], GREY[:, ::-1], np.full_like(GREY, 255)][:channels])
    np.testing.assert_array_equal(decode(encode_png(pixels)).pixels, pixels[:, :, :3] if channels > 1 else pixels)


def test_display_is_8_bit_and_no_larger_than_asked() -> None:
    image = Image.from_array(GREY.astype(np.uint16) * 257)
    np.testing.assert_array_equal(to_display(image), GREY)
    assert to_display(image, longest_side=28).shape == (20, 28)


def test_every_public_name_is_there() -> None:
    assert all(hasattr(secondread.images, name) for name in secondread.images.__all__)
