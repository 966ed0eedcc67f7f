"""Foci of a heat map stand apart, no outline is finer than a cell, strength counts from the bundle's zero."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from secondread.images import PrepareSpec, decode, prepare
from secondread.reading import HeatMap, Region, drawn_over, regions_of

SIDE, CELLS = 240, 12  # pixels of the image, cells of the map along each side
CELL = SIDE / CELLS


def _map(*peaks: tuple[int, int, float], cells: int = CELLS, full: float | None = 4.0) -> HeatMap:
    """Built of single cells (row, column, value); the others speak against disease."""
    values = np.full((cells, cells), -1.0, np.float32)
    for row, column, value in peaks:
        values[row, column] = value
    return HeatMap(values, (0.0, 0.0, SIDE, SIDE), SIDE, SIDE, full)


def _regions(heat: HeatMap) -> list[Region]:
    return regions_of(heat.levels(longest_side=512), width=heat.width, height=heat.height, cell=heat.cell)


def _mask(region: Region, side: int = SIDE) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.array(region.outline, np.int32)], 1)
    return mask.astype(bool)


def _centre(region: Region) -> tuple[float, float]:
    x, y, wide, high = region.box
    return x + wide / 2, y + high / 2


def test_no_focus_is_no_region() -> None:
    assert _regions(_map()) == []


def test_one_focus_is_enclosed_at_its_place() -> None:
    (region,) = _regions(_map((3, 8, 4.0)))
    assert _centre(region) == pytest.approx((8.5 * CELL, 3.5 * CELL), abs=1.5)
    assert region.peak == pytest.approx(1.0, abs=0.06)  # no pixel lies right in the middle of a cell


@pytest.mark.parametrize("between", [0.0, 1.0, 2.0])
def test_two_foci_stand_apart_though_the_map_between_them_is_above_zero(between: float) -> None:
    heat = _map((4, 3, 4.0), (4, 4, between), (4, 5, between), (4, 6, 3.0))
    strongest, weaker = _regions(heat)
    assert _mask(strongest)[round(4.5 * CELL), round(3.5 * CELL)]
    assert _mask(weaker)[round(4.5 * CELL), round(6.5 * CELL)]
    assert not (_mask(strongest) & _mask(weaker)).any()
    assert (strongest.peak, weaker.peak) == pytest.approx((1.0, 0.75), abs=0.06)


def test_the_weaker_of_two_touching_foci_is_outlined_where_it_begins() -> None:
    """Half its own height would reach over the saddle into the stronger one."""
    heat = _map((5, 3, 4.0), (5, 4, 1.2), (5, 5, 1.8))
    strongest, weaker = _regions(heat)
    assert not (_mask(strongest) & _mask(weaker)).any()
    assert weaker.box[0] > 4 * CELL


def test_a_ripple_is_no_second_focus() -> None:
    assert len(_regions(_map((5, 3, 4.0), (5, 4, 3.3), (5, 5, 3.8)))) == 1


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 6), (11, 11), (6, 11)])
def test_a_focus_at_the_border_is_enclosed_inside_the_image(row: int, column: int) -> None:
    (region,) = _regions(_map((row, column, 4.0)))
    x, y, wide, high = region.box
    assert min(x, y) >= 0
    assert max(x + wide, y + high) <= SIDE
    assert all(0 <= at <= SIDE for corner in region.outline for at in corner)
    assert _mask(region)[min(SIDE - 1, round((row + 0.5) * CELL)), min(SIDE - 1, round((column + 0.5) * CELL))]


@pytest.mark.parametrize("cells", [3, 12, 60, 120])
def test_no_outline_is_finer_than_a_cell(cells: int) -> None:
    at = cells // 2
    heat = _map((at, at, 4.0), cells=cells)
    (region,) = _regions(heat)
    assert min(region.box[2:]) >= round(heat.cell[0]) - 1
    assert min(region.box[2:]) <= max(2.2 * heat.cell[0], 4)


def test_squeezed_between_stronger_ones_a_focus_still_has_its_cell() -> None:
    heat = _map((5, 3, 4.0), (5, 4, 2.9), (5, 5, 4.0))
    assert [min(region.box[2:]) >= CELL - 2 for region in _regions(heat)] == [True, True]


def test_strength_counts_from_the_zero_of_the_bundle() -> None:
    """A lesion map that is faint everywhere is drawn faint; a map that knows no zero is drawn by its own strongest."""
    faint, strong, unscaled = _map((5, 5, 1.0)), _map((5, 5, 8.0)), _map((5, 5, 1.0), full=None)
    assert [one.strength().max() for one in (faint, strong, unscaled)] == pytest.approx([0.25, 1.0, 1.0], abs=0.06)
    assert faint.strength()[:80, :80].max() == 0
    (region,) = _regions(faint)
    assert region.peak == pytest.approx(0.25, abs=0.02)


def test_what_is_below_a_tenth_of_full_strength_is_no_place() -> None:
    assert _regions(_map((5, 5, 0.3))) == []


SPECS = [
    PrepareSpec(size=64),
    PrepareSpec(size=64, aspect="pad"),
    PrepareSpec(size=64, trim_border=True),
    PrepareSpec(size=64, field="lungs"),
    PrepareSpec(size=64, trim_border=True, aspect="pad"),
]


@pytest.mark.parametrize("spec", SPECS, ids=["squash", "pad", "crop", "lungs", "crop and pad"])
@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_an_outline_lies_on_its_place_after_turning_cropping_and_padding(spec: PrepareSpec, turned: int) -> None:
    """The map is made of what the network sees; the outline must lie where a person sees the bright spot."""
    film = np.full((200, 320), 60, np.uint8)
    film[:, :40] = 0  # a border to crop
    film[120:150, 220:250] = 255
    exif = PillowImage.Exif()
    exif[0x0112] = turned
    packed = io.BytesIO()
    PillowImage.fromarray(film).save(packed, "JPEG", quality=95, exif=exif)
    image = decode(packed.getvalue())
    prepared = prepare(image, spec)
    values = cv2.resize(prepared.pixels[:, :, 0], (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32) - 70
    heat = HeatMap(values, prepared.box, image.width, image.height, full=180.0)
    (region,) = _regions(heat)
    bright = np.argwhere(image.pixels > 200).mean(axis=0)[::-1]
    assert np.abs(np.array(_centre(region)) - bright).max() <= max(heat.cell)


def test_lines_are_thin_and_every_picture_is_drawn_alike() -> None:
    heat = _map((3, 3, 4.0), (8, 8, 3.0))
    levels, regions = heat.levels(longest_side=512), _regions(heat)
    black = np.zeros((SIDE, SIDE), np.uint8)
    plain, drawn = drawn_over(black, levels), drawn_over(black, levels, regions, width=SIDE)
    assert plain.shape == drawn.shape == (SIDE, SIDE, 3)
    assert len(regions) == 2
    for region in regions:
        line = (drawn != plain).any(axis=2) & _mask(region)
        x, _, wide, _ = region.box
        crossing = line[round(_centre(region)[1]), x : x + wide // 2]  # from the left into the middle
        assert 1 <= crossing.sum() <= 4
    larger = drawn_over(np.zeros((2 * SIDE, 2 * SIDE), np.uint8), levels, regions, width=SIDE)
    assert larger.shape == (2 * SIDE, 2 * SIDE, 3)
