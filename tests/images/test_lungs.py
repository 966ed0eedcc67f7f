"""The lungs of a chest film, wherever and however large it shows them."""

import cv2
import numpy as np
import pytest

from secondread.errors import BundleForeign
from secondread.images import PrepareSpec, prepare
from secondread.images.image import Image
from secondread.images.lungs import lungs_box
from secondread.testing.phantoms import bone_phantom, chest_phantom

LUNGS = (0.16, 0.15, 0.84, 0.81)  # of a phantom: left, top, right, bottom of both ellipses


def _framed(size=200, *, top=0, bottom=0, random_state=0):
    """A phantom with more of the body around it, as another hospital frames it."""
    film = chest_phantom(size, random_state=random_state)
    return cv2.copyMakeBorder(film, top, bottom, 0, 0, cv2.BORDER_CONSTANT, value=165)


def _image(pixels):
    full_scale = np.iinfo(pixels.dtype).max
    return Image(np.ascontiguousarray(pixels), full_scale=full_scale, format="PNG")


@pytest.mark.parametrize(
    "frame",
    [{}, {"bottom": 120}, {"top": 30, "bottom": 60}, {"size": 60}],
)
@pytest.mark.parametrize("random_state", [0, 1, 2])
def test_both_lungs_are_inside_with_a_margin_and_little_else_however_a_film_is_framed(frame, random_state):
    size = frame.get("size", 200)
    pixels = _framed(random_state=random_state, **frame)
    x0, y0, x1, y1 = lungs_box(_image(pixels))
    at = [0, frame.get("top", 0)] * 2 + np.array(LUNGS) * size
    off = 0.06 * size  # phantoms are shifted and scaled a little
    assert x0 <= at[0] + off
    assert y0 <= at[1] + off
    assert x1 >= at[2] - off
    assert y1 >= at[3] - off
    assert (x1 - x0) * (y1 - y0) < 1.7 * (at[2] - at[0]) * (at[3] - at[1])


def test_brightness_depth_and_colour_change_little():
    film = _framed(bottom=100)
    usual = np.array(lungs_box(_image(film)))
    others = [
        (film * 0.4 + 20).astype(np.uint8),
        film.astype(np.uint16) * 200,
        np.repeat(film[..., None], 3, axis=2),
        cv2.resize(film, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC),
    ]
    for other in others:
        scale = other.shape[0] / film.shape[0]
        assert np.abs(np.array(lungs_box(_image(other))) / scale - usual).max() < 6


@pytest.mark.parametrize("pixels", [np.zeros((50, 70)), np.full((300, 200), 255), bone_phantom(128, random_state=0)])
def test_without_lungs_it_is_where_those_of_most_films_lie(pixels):
    height, width = pixels.shape
    found = lungs_box(_image(pixels.astype(np.uint8)))
    assert found == (int(0.13 * width), int(0.12 * height), round(0.88 * width), round(0.80 * height))


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3, 2), (4000, 10)])
def test_the_smallest_image_has_a_part_too(shape):
    x0, y0, x1, y1 = lungs_box(_image(np.zeros(shape, np.uint8)))
    assert 0 <= x0 < x1 <= shape[1]
    assert 0 <= y0 < y1 <= shape[0]
    prepared = prepare(_image(np.zeros(shape, np.uint8)), PrepareSpec(size=32, field="lungs", clahe=2.0))
    assert prepared.pixels.shape == (32, 32, 1)


def test_what_a_network_sees_hardly_changes_with_the_frame():
    spec = PrepareSpec(size=64, field="lungs")
    near, far = (prepare(_image(_framed(400, bottom=bottom)), spec) for bottom in (0, 200))
    assert near.box == pytest.approx(lungs_box(_image(_framed(400))), abs=8)  # halving leaves odd rows out
    alike = np.corrcoef(near.pixels.ravel(), far.pixels.ravel())[0, 1]
    whole = PrepareSpec(size=64)
    apart = np.corrcoef(*(prepare(_image(_framed(400, bottom=b)), whole).pixels.ravel() for b in (0, 200)))[0, 1]
    assert alike > 0.95 > apart


def test_both_views_stand_one_behind_the_other_and_places_are_those_of_the_first():
    image = _image(_framed(400, bottom=200))
    both = prepare(image, PrepareSpec(size=64, channels=3, field="whole and lungs", trim_border=True, clahe=2.0))
    whole, lungs = (
        prepare(image, PrepareSpec(size=64, channels=3, field=field, trim_border=True, clahe=2.0))
        for field in ("whole", "lungs")
    )
    assert (both.pixels.shape, both.box) == ((64, 64, 6), whole.box)
    assert (both.pixels[..., :3] == whole.pixels).all()
    assert (both.pixels[..., 3:] == lungs.pixels).all()
    with pytest.raises(BundleForeign, match="not known here"):
        PrepareSpec.from_dict({"field": "heart"})


@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
@pytest.mark.parametrize("level", [0, 6])
def test_black_borders_change_neither_the_place_nor_what_a_network_sees(share, level):
    film = _framed(400, bottom=100)
    y, x = (round(share * side) for side in film.shape)
    bordered = cv2.copyMakeBorder(film, y, y, x, x, cv2.BORDER_CONSTANT, value=level)
    spec = PrepareSpec(size=64, field="lungs")
    plain, wide = (prepare(_image(pixels), spec) for pixels in (film, bordered))
    moved = np.array(wide.box) - [x, y, x, y]
    assert np.abs(moved - plain.box).max() <= 4
    assert np.abs(wide.pixels.astype(int) - plain.pixels).mean() < 2
