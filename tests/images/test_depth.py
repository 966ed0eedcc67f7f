"""A window can be laid over every value of the file, not only over those it is first shown with."""

import cv2
import numpy as np
import pytest

from secondread.errors import ImageError
from secondread.images import encode_depth, encode_png, whole_range
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode, without_preamble

CT = np.random.default_rng(0).integers(0, 4096, (40, 50)).astype(np.uint16)
CT[0, :2] = 0, 4095


def _values(depth) -> np.ndarray:
    """The file's own values, from the levels."""
    return depth.black + depth.pixels / 65535 * (depth.white - depth.black)


def test_every_value_of_a_dicom_file_is_there_with_its_window_and_unit() -> None:
    file = dicom_bytes(
        CT, bits_stored=12, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400
    )
    for data in (file, without_preamble(file)):
        depth = whole_range(data)
        assert (depth.black, depth.white, depth.centre, depth.width, depth.unit) == (-1024, 3071, 40, 400, "HU")
        assert np.abs(_values(depth) - (CT.astype(int) - 1024)).max() < 0.04  # far beyond the window


def test_low_values_of_monochrome1_are_bright() -> None:
    depth = whole_range(dicom_bytes(CT, bits_stored=12, PhotometricInterpretation="MONOCHROME1"))
    assert (depth.black, depth.white) == (4095, 0)
    assert depth.pixels[0, 0] == 65535
    assert np.abs(_values(depth) - CT).max() < 0.04
    assert (depth.centre, depth.width) == (2047.5, 4095)  # no window is named


def test_padding_is_black_and_out_of_the_range() -> None:
    padded = CT.clip(100, 4000)
    padded[:, :10] = 0
    depth = whole_range(dicom_bytes(padded, bits_stored=12, PixelPaddingValue=0))
    assert (depth.black, depth.white) == (100, 4000)
    assert (depth.pixels[:, :10] == 0).all()


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int32])
def test_values_of_any_integer_type_are_there(dtype) -> None:
    ends = np.iinfo(dtype)
    values = np.array([[ends.min, ends.min + 1000], [ends.min + 2000, ends.min + 65535]], dtype)
    file = dicom_bytes(values, bits_stored=8 * values.itemsize, PixelRepresentation=int(values.dtype.kind == "i"))
    depth = whole_range(file)
    assert (depth.black, depth.white) == (ends.min, ends.min + 65535)
    assert depth.pixels.tolist() == [[0, 1000], [2000, 65535]]


def test_a_png_of_16_bits_has_its_own_levels() -> None:
    depth = whole_range(cv2.imencode(".png", CT)[1].tobytes())
    assert np.array_equal(depth.pixels, CT)
    assert (depth.black, depth.white, depth.width) == (0, 65535, 4095)


@pytest.mark.parametrize(
    "data",
    [
        encode(chest_phantom(64, random_state=0), "PNG"),
        encode_png(np.zeros((8, 8, 3), np.uint8)),
        dicom_bytes(chest_phantom(64, random_state=0)),
        dicom_bytes(np.zeros((8, 8, 3), np.uint8)),
        dicom_bytes(np.full((8, 8), 7, np.uint16)),
    ],
)
def test_there_is_none_where_8_bits_say_all(data: bytes) -> None:
    assert whole_range(data) is None


def test_what_is_damaged_is_named() -> None:
    with pytest.raises(ImageError):
        whole_range(dicom_bytes(CT, bits_stored=12)[:-500])
    with pytest.raises(ImageError):
        whole_range(dicom_bytes(CT, bits_stored=12), frame=1)


def test_a_browser_can_take_the_levels_apart_exactly() -> None:
    depth = whole_range(cv2.imencode(".png", CT * 16)[1].tobytes())
    rgb = cv2.imdecode(np.frombuffer(encode_depth(depth, longest_side=50), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.array_equal(rgb[:, :, 0].astype(np.uint16) * 256 + rgb[:, :, 1], CT * 16)
    assert cv2.imdecode(np.frombuffer(encode_depth(depth, longest_side=25), np.uint8), 1).shape == (20, 25, 3)
