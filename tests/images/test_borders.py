"""Borders around a film, whatever their level and whatever is written in them, are none of it."""

import cv2
import numpy as np
import pytest

from secondread.errors import BundleForeign
from secondread.images import PrepareSpec, decode, prepare
from secondread.images.borders import dark_trimmed, film_box
from secondread.images.image import Image
from secondread.reading.record import check_prepare
from secondread.testing.phantoms import bone_phantom, chest_phantom, encode

WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def _image(pixels):
    return Image(np.ascontiguousarray(pixels), full_scale=WHITE[pixels.dtype], format="PNG")


def _bordered(film, share, level):
    """The film, its place, in a border of that share of its sides on each side."""
    down, across = (round(side * share) for side in film.shape[:2])
    around = cv2.copyMakeBorder(film, down, down, across, across, cv2.BORDER_CONSTANT, value=[level] * 3)
    return around, (across, down, across + film.shape[1], down + film.shape[0])


def _written(picture, film, ink):
    """A letter, a line of text and a wedge in the border."""
    x0, y0, x1, _ = film
    cv2.putText(picture, "L", (x0 // 4, 2 * y0), cv2.FONT_HERSHEY_SIMPLEX, x0 / 40, [ink] * 3, max(1, x0 // 10))
    cv2.putText(picture, "AP 12:30", (x0, y0 // 2), cv2.FONT_HERSHEY_SIMPLEX, y0 / 80, [ink] * 3, max(1, y0 // 20))
    wedge = np.linspace(255, 0, y0).astype(np.uint8)[:, None]
    picture[y0 : 2 * y0, x1 + x0 // 3 : x1 + 2 * x0 // 3] = wedge
    return picture


@pytest.mark.parametrize("size", [(128, 128), (640, 525), (1024, 1300)])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
@pytest.mark.parametrize("level", [0, 5, 128, 200, 255])
def test_an_even_border_of_any_level_is_cut_off_to_the_pixel(size, share, level):
    film = chest_phantom(size, random_state=0)
    around, place = _bordered(film, share, level)
    assert film_box(_image(around)) == place
    assert film_box(_image(around.astype(np.uint16) * 257)) == place
    assert film_box(_image(np.repeat(around[..., None], 3, axis=2))) == place


@pytest.mark.parametrize(("level", "ink"), [(0, 255), (0, 140), (255, 0), (128, 255)])
@pytest.mark.parametrize("share", [0.15, 0.3])
def test_letters_text_and_wedges_in_a_border_go_with_it(level, ink, share):
    around, place = _bordered(chest_phantom((600, 500), random_state=1), share, level)
    assert film_box(_image(_written(around, place, ink))) == place


def test_a_black_border_within_a_white_one():
    inner, place = _bordered(chest_phantom((400, 300), random_state=2), 0.1, 0)
    outer, around = _bordered(inner, 0.2, 255)
    assert film_box(_image(outer)) == tuple(place[side] + around[side % 2] for side in range(4))


@pytest.mark.parametrize("quality", [60, 85])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_what_compression_leaves_beside_the_film_moves_it_by_a_block_at_most(quality, level):
    # the air beside a phantom is even, and darker than a black border may be
    noise = np.random.default_rng(3).normal(40, 4, (600, 500))
    film = np.clip(chest_phantom((600, 500), random_state=3) * 0.8 + noise, 0, 255).astype(np.uint8)
    around, place = _bordered(film, 0.2, level)
    found = film_box(decode(encode(around, "jpeg", quality=quality)))
    assert np.abs(np.array(found) - place).max() < 8


@pytest.mark.parametrize("random_state", range(6))
def test_a_film_without_borders_is_left_whole_however_bright_its_edge(random_state):
    film = chest_phantom((500, 400), random_state=random_state)
    fading = np.linspace(0, 1, 200)[:, None] ** 0.5  # overexposed towards an edge, which is noisy still
    noise = np.random.default_rng(random_state).normal(0, 4, (200, 400))
    film[-200:] = np.clip(film[-200:] * (1 - fading) + 245 * fading + noise, 0, 255).astype(np.uint8)
    assert film_box(_image(film)) == (0, 0, 400, 500)


@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (9, 9), (300, 300), (20, 3000, 3)])
def test_an_image_of_one_level_is_left_whole(shape, level):
    assert film_box(_image(np.full(shape, level, np.uint8))) == (0, 0, shape[1], shape[0])


def test_dark_borders_alone_are_cut_where_a_bone_lies_on_an_even_ground():
    around, place = _bordered(bone_phantom((300, 300), random_state=0), 0.2, 255)
    assert dark_trimmed(_image(around)) == (0, 0, around.shape[1], around.shape[0])
    spec = PrepareSpec(size=64, trim_border=True)
    assert prepare(_image(around), spec).box != place


@pytest.mark.parametrize("field", ["whole", "lungs", "whole and lungs"])
@pytest.mark.parametrize(("level", "ink"), [(0, 255), (255, 0), (128, 255)])
def test_a_network_sees_the_same_with_borders_and_without(field, level, ink):
    film = chest_phantom((600, 500), random_state=4)
    around, place = _bordered(film, 0.2, level)
    spec = PrepareSpec(size=64, trim_border=True, field=field, borders="any", clahe=2.0)
    alone, framed = prepare(_image(film), spec), prepare(_image(_written(around, place, ink)), spec)
    np.testing.assert_array_equal(framed.pixels, alone.pixels)
    assert framed.box == tuple(side + place[n % 2] for n, side in enumerate(alone.box))


def test_another_kind_of_border_is_not_known():
    with pytest.raises(BundleForeign, match="not known"):
        PrepareSpec.from_dict({"borders": "wide"})
    with pytest.raises(ValueError, match="not known"):
        check_prepare({"size": 64, "channels": 1, "borders": "wide"})
    for step in ("borders", "field", "aspect"):
        with pytest.raises(ValueError, match="not known"):
            check_prepare({"size": 64, "channels": 1, step: []})
    check_prepare(PrepareSpec(borders="any").to_dict())
