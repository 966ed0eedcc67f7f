"""Boxes and outlines enclose what of a lesion map speaks for disease, at its place on the image."""

import numpy as np
import pytest

from secondread.reading import load_bundle, regions_of


def _map(*blobs: tuple[int, int, int, int, int]) -> np.ndarray:
    """x, y, width, height, level of each."""
    strength = np.zeros((100, 200), np.uint8)
    for x, y, wide, high, level in blobs:
        strength[y : y + high, x : x + wide] = level
    return strength


def test_the_strongest_place_comes_first_in_pixels_of_the_image() -> None:
    found = regions_of(_map((10, 20, 40, 30, 128), (120, 60, 20, 20, 255)), width=400, height=300)
    assert [region.box for region in found] == [(240, 180, 40, 60), (20, 60, 80, 90)]
    assert [region.peak for region in found] == [1.0, 0.502]
    assert [region.area for region in found] == [0.02, 0.06]
    for region in found:
        x, y, wide, high = region.box
        assert len(region.outline) == 4
        assert all(x <= at_x <= x + wide and y <= at_y <= y + high for at_x, at_y in region.outline)


def test_an_outline_follows_the_shape() -> None:
    rows, columns = np.mgrid[:100, :200]
    disc = ((rows - 50) ** 2 + (columns - 100) ** 2 < 30**2).astype(np.uint8) * 200
    (region,) = regions_of(disc, width=200, height=100)
    apart = np.hypot(*(np.array(region.outline) - (100, 50)).T)
    assert 8 <= len(region.outline) <= 40
    assert apart.min() > 27
    assert apart.max() < 33


@pytest.mark.parametrize(
    "strength", [np.zeros((50, 50), np.uint8), _map((0, 0, 200, 100, 20)), _map((5, 5, 2, 2, 255))]
)
def test_what_is_empty_faint_or_tiny_is_no_region(strength) -> None:
    assert regions_of(strength, width=500, height=500) == []


def test_no_more_than_five_are_told() -> None:
    many = _map(*((20 * n, 10, 10, 10, 100 + 10 * n) for n in range(9)))
    assert [round(255 * region.peak) for region in regions_of(many, width=200, height=100)] == [180, 170, 160, 150, 140]


@pytest.mark.parametrize(("name", "given"), [("tuberculosis/best", True), ("tuberculosis/paper", False)])
def test_which_bundles_map_lesions(name, given) -> None:
    assert load_bundle(name).maps_lesions is given
