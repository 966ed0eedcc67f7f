"""One preprocessing: the same input each time, and every pixel of it known to come from a place in the image."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from secondread.errors import BundleForeign
from secondread.images import Halves, Image, PrepareSpec, decode, place_map, prepare
from secondread.images.prepare import _half, _levels_of, _percentiles
from secondread.testing.phantoms import brain_phantom, chest_phantom, dicom_bytes, encode

SPECS = {
    "squash": PrepareSpec(size=64),
    "coarse": PrepareSpec(size=64, detail=32),
    "pad": PrepareSpec(size=64, aspect="pad"),
    "trim": PrepareSpec(size=64, trim_border=True),
    "lungs": PrepareSpec(size=64, field="lungs"),
    "whole and lungs": PrepareSpec(size=64, field="whole and lungs", trim_border=True),
    "trim and pad": PrepareSpec(size=64, trim_border=True, aspect="pad"),
    "any border": PrepareSpec(size=64, trim_border=True, borders="any"),
    "colour": PrepareSpec(size=64, channels=3),
    "window": PrepareSpec(size=64, window=(1, 99)),
    "clahe": PrepareSpec(size=64, clahe=2.0),
    "denoise": PrepareSpec(size=64, denoise_sigma=1.0),
    "all": PrepareSpec(96, 3, True, "pad", (1, 99), 2.0, 0.8),
}
SIZES = ((300, 200), (120, 333), (40, 30), (64, 64), (1, 500), (2000, 7))


def framed(height: int, width: int) -> np.ndarray:
    """A chest in a black frame that differs on every side."""
    picture = np.zeros((height, width), np.uint8)
    top, bottom, left, right = height // 10, height - height // 5, width // 6, width - width // 12
    picture[top:bottom, left:right] = chest_phantom((bottom - top, right - left), random_state=0)
    return picture


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("size", SIZES)
def test_input_has_its_shape_and_is_the_same_each_time(name: str, size: tuple[int, int]) -> None:
    spec, image = SPECS[name], Image.from_array(chest_phantom(size, random_state=0))
    first, second = prepare(image, spec), prepare(image, spec)
    assert first.pixels.shape == (spec.size, spec.size, spec.depth)
    assert first.pixels.dtype == np.uint8
    assert first.pixels.flags.c_contiguous
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.box == second.box


def test_the_image_is_left_as_it_was() -> None:
    pixels = framed(64, 64)
    image = Image.from_array(pixels.copy())
    for spec in SPECS.values():
        prepare(image, spec)
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize("name", ["squash", "pad", "trim", "any border", "trim and pad"])
@pytest.mark.parametrize(("height", "width"), [(400, 300), (256, 512), (90, 130)])
@pytest.mark.parametrize(("at_y", "at_x"), [(0.35, 0.4), (0.6, 0.75), (0.5, 0.5)])
def test_box_tells_where_a_dot_came_from(name: str, height: int, width: int, at_y: float, at_x: float) -> None:
    picture = np.where(framed(height, width) > 0, 60, 0).astype(np.uint8)
    y, x = round(height * at_y), round(width * at_x)
    picture[y - 3 : y + 4, x - 3 : x + 4] = 255
    prepared = prepare(Image.from_array(picture), SPECS[name])
    x0, y0, x1, y1 = prepared.box
    excess = np.clip(prepared.pixels[:, :, 0].astype(float) - 70, 0, None)
    rows, columns = np.mgrid[0:64, 0:64] + 0.5
    found_y, found_x = ((grid * excess).sum() / excess.sum() for grid in (rows, columns))
    assert abs(y0 + found_y * (y1 - y0) / 64 - (y + 0.5)) <= 0.6 * (y1 - y0) / 64
    assert abs(x0 + found_x * (x1 - x0) / 64 - (x + 0.5)) <= 0.6 * (x1 - x0) / 64


@pytest.mark.parametrize("name", ["squash", "pad", "trim", "any border", "trim and pad"])
@pytest.mark.parametrize(("height", "width"), [(400, 300), (256, 512)])
def test_place_map_undoes_prepare(name: str, height: int, width: int) -> None:
    """A smooth picture, prepared and put back, is itself wherever the input showed it."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.round(120 + 60 * np.sin(5 * x) + 60 * np.cos(4 * y)).astype(np.uint8)
    prepared = prepare(Image.from_array(picture), SPECS[name])
    back = place_map(prepared.pixels[:, :, 0], prepared.box, width=width, height=height)
    assert back.shape == (height, width)
    assert back.dtype == np.float32
    inner = np.s_[height // 8 : -height // 8, width // 8 : -width // 8]
    assert np.abs(back[inner] - picture[inner]).max() < 6


def test_place_map_is_zero_where_the_input_showed_nothing() -> None:
    back = place_map(np.ones((8, 8)), (20, 10, 60, 50), width=100, height=80)
    assert back[12:48, 22:58].min() > 0.99
    outside = back.copy()
    outside[7:53, 17:63] = 0
    assert outside.max() == 0


@pytest.mark.parametrize("name", SPECS)
def test_8_and_16_bits_give_the_same_input(name: str) -> None:
    picture = framed(300, 240)
    shallow = prepare(Image.from_array(picture), SPECS[name])
    deep = prepare(Image.from_array(picture.astype(np.uint16) * 257), SPECS[name])
    assert shallow.box == deep.box
    # enlarging by a cubic may double what rounding left
    assert np.abs(shallow.pixels.astype(int) - deep.pixels.astype(int)).max() <= (2 if SPECS[name].detail else 1)


@pytest.mark.parametrize("name", SPECS)
def test_a_grey_file_and_its_rgb_copy_are_one(name: str) -> None:
    picture = framed(300, 240)
    grey = prepare(decode(encode(picture, "PNG")), SPECS[name])
    rgb = prepare(decode(encode(np.dstack([picture] * 3), "PNG")), SPECS[name])
    assert grey.box == rgb.box
    assert np.abs(grey.pixels.astype(int) - rgb.pixels.astype(int)).max() <= (1 if SPECS[name].clahe else 0)


def test_a_dicom_file_and_its_png_are_one() -> None:
    picture = chest_phantom(200, random_state=0)
    dicom = dicom_bytes(picture, WindowCenter=128, WindowWidth=256)
    for spec in (SPECS["squash"], SPECS["trim and pad"]):
        a, b = prepare(decode(dicom), spec), prepare(decode(encode(picture, "PNG")), spec)
        assert np.abs(a.pixels.astype(int) - b.pixels.astype(int)).max() <= 1


def test_window_spreads_a_dull_image() -> None:
    dull = Image.from_array((brain_phantom(200, random_state=0) // 8 + 100).astype(np.uint8))
    plain, windowed = (prepare(dull, SPECS[name]).pixels for name in ("squash", "window"))
    assert np.ptp(plain) < 40
    assert windowed.min() == 0
    assert windowed.max() == 255


def test_window_of_a_blank_image_is_blank() -> None:
    blank = Image.from_array(np.full((80, 80), 70, np.uint8))
    np.testing.assert_array_equal(prepare(blank, SPECS["window"]).pixels, 70)


def test_clahe_raises_local_contrast() -> None:
    image = Image.from_array(chest_phantom(256, random_state=0))
    plain, equalised = (prepare(image, SPECS[name]).pixels[:, :, 0].astype(float) for name in ("squash", "clahe"))
    lung = np.s_[20:44, 14:26]
    assert equalised[lung].std() > 1.3 * plain[lung].std()


def test_denoise_lowers_noise_and_keeps_the_mean() -> None:
    rng = np.random.default_rng(0)
    image = Image.from_array(np.clip(rng.normal(128, 30, (64, 64)), 0, 255).astype(np.uint8))
    plain, smooth = (prepare(image, SPECS[name]).pixels.astype(float) for name in ("squash", "denoise"))
    assert smooth.std() < 0.5 * plain.std()
    assert abs(smooth.mean() - plain.mean()) < 1


def test_trimming_cuts_the_frame_and_nothing_of_the_picture() -> None:
    picture = framed(300, 240)
    rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
    x0, y0, x1, y1 = prepare(Image.from_array(picture), SPECS["trim"]).box
    assert abs(y0 - rows[0]) <= 2
    assert abs(x0 - columns[0]) <= 2
    assert abs(y1 - rows[-1] - 1) <= 2
    assert abs(x1 - columns[-1] - 1) <= 2


def test_detail_hides_how_sharp_the_file_was() -> None:
    """A film and its copy of 64 pixels give nearly the same input; without the limit they do not."""
    sharp = np.random.default_rng(3).integers(0, 256, (512, 512), dtype=np.uint8)
    small = cv2.resize(sharp, (64, 64), interpolation=cv2.INTER_AREA)
    apart = {}
    for detail in (0, 64):
        one, other = (prepare(Image.from_array(p), PrepareSpec(size=128, detail=detail)).pixels for p in (sharp, small))
        assert one.shape == (128, 128, 1)
        apart[detail] = np.abs(one.astype(int) - other.astype(int)).mean()
    assert apart[64] <= 1 < 5 < apart[0]


def test_padding_keeps_the_aspect() -> None:
    x0, y0, x1, y1 = prepare(Image.from_array(framed(300, 200)), SPECS["pad"]).box
    assert (x1 - x0) / (y1 - y0) == pytest.approx(1, abs=0.03)
    assert (x0, x1) != (0, 200)


@pytest.mark.parametrize("name", SPECS)
def test_spec_survives_json(name: str) -> None:
    assert PrepareSpec.from_dict(json.loads(json.dumps(SPECS[name].to_dict()))) == SPECS[name]


def test_unknown_steps_are_refused() -> None:
    with pytest.raises(BundleForeign, match="not known"):
        PrepareSpec.from_dict({**SPECS["squash"].to_dict(), "sharpen": 1})


def test_specs_are_values() -> None:
    assert replace(SPECS["squash"], size=32) != SPECS["squash"]
    assert hash(SPECS["squash"]) == hash(PrepareSpec(size=64))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_halves_that_are_shared_change_nothing(name: str, dtype: type) -> None:
    pixels = (framed(301, 517) * np.uint16(1 if dtype == np.uint8 else 257)).astype(dtype)
    image = Image(pixels, np.iinfo(dtype).max, "array")
    halves = Halves(image)
    prepare(image, PrepareSpec(size=48, channels=3, aspect="pad"), halves=halves)  # as the gate does before
    ours, alone = prepare(image, SPECS[name], halves=halves), prepare(image, SPECS[name])
    assert (ours.pixels == alone.pixels).all()
    assert ours.box == alone.box


@pytest.mark.parametrize("n", [1, 2, 3, 100, 101, 4096])
@pytest.mark.parametrize("window", [(1, 99), (0, 100), (2.5, 97.1), (50, 60)])
def test_percentiles_are_those_of_numpy_to_the_last_bit(n: int, window: tuple[float, float]) -> None:
    rng = np.random.default_rng(n)
    for highest in (3, 255, 65535):
        values = rng.integers(0, highest + 1, (n, 3)).astype(np.uint16)
        assert _percentiles(values, window) == tuple(np.percentile(values, window))


def test_every_level_of_16_bits_is_its_rounded_share_of_white() -> None:
    for white in (255, 4095, 65535):
        shares = np.minimum(np.arange(65536) / white, 1) * 255
        assert np.abs(_levels_of(white) - shares).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("shape", [(2, 2), (700, 900), (30, 200_000)])
def test_what_is_made_deeper_in_strips_is_what_is_made_deeper_at_once(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    whole = cv2.resize(pixels.astype(np.uint16) * 257, (shape[1] // 2, shape[0] // 2), interpolation=cv2.INTER_AREA)
    assert (_half(pixels, deepen=True) == whole).all()
