"""A heat map that is kept as its cells is drawn as before."""

import zlib

import numpy as np
import pytest

from secondread.errors import ServiceError
from secondread.images import encode_png
from secondread.reading import HeatMap, regions_of
from secondread.service.map_cells import pack, pack_drawn, unpack

SHAPES = ((4, 4), (14, 14), (22, 22), (1, 7))


def made(shape: tuple[int, int], number: int, *, full: float | None, scale: float = 5.0) -> HeatMap:
    values = np.random.default_rng(number).normal(0, scale, shape).astype(np.float32)
    return HeatMap(values, (-3.7, 12.3, 811.9, 1003.1), 800, 1024, full)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full", [None, 4.2, 100.0])
@pytest.mark.parametrize("scale", [1e-6, 5.0, 1e6])
def test_cells_are_drawn_within_one_level_of_the_map_they_were_made_of(
    shape: tuple[int, int], full: float | None, scale: float
) -> None:
    first = made(shape, 1, full=full, scale=scale)
    again = unpack(pack(first))
    assert (again.box, again.width, again.height, again.full) == (first.box, first.width, first.height, first.full)
    for side in (512, 64, 2000):
        before, after = (one.levels(longest_side=side).astype(int) for one in (first, again))
        assert np.abs(before - after).max() <= 1
    np.testing.assert_allclose(again.values, np.maximum(first.values, 0), rtol=2e-3, atol=scale * 1e-3)


def test_a_map_takes_a_few_hundred_bytes_and_never_more_than_a_kilobyte() -> None:
    sizes = {shape: len(pack(made(shape, 2, full=1.0))) for shape in SHAPES}
    assert sizes[14, 14] < 400
    assert max(sizes.values()) < 800
    lesion = np.full((22, 22), -3, np.float32)
    lesion[4:7, 9:11] = np.random.default_rng(0).random((3, 2))
    assert len(pack(HeatMap(lesion, (0, 0, 800, 1024), 800, 1024, 4.0))) < 120


def test_an_empty_map_stays_empty() -> None:
    nothing = HeatMap(np.zeros((3, 3), np.float32), (0, 0, 30, 30), 30, 30)
    assert not unpack(pack(nothing)).levels(longest_side=64).any()


@pytest.mark.parametrize("size", [(800, 1024), (45, 35), (3000, 2000)])
def test_a_map_that_is_known_only_as_it_was_drawn_is_drawn_so_again(size: tuple[int, int]) -> None:
    width, height = size
    values = np.abs(np.random.default_rng(3).normal(0, 1, (14, 14))).astype(np.float32)
    first = HeatMap(values, (0.3, 0.0, width - 7.2, height), width, height)
    levels = first.levels(longest_side=512)
    again = unpack(pack_drawn(encode_png(levels), width=width, height=height))
    np.testing.assert_array_equal(again.levels(longest_side=512), levels)
    where = {"width": width, "height": height, "cell": first.cell}
    assert regions_of(again.levels(longest_side=512), **where) == regions_of(levels, **where)  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [b"\x01e", b"\x02" + b"\0" * 80, b"\x01P" + b"\0" * 80])
def test_what_is_no_map_is_an_error_of_ours(kept: bytes) -> None:
    with pytest.raises(ServiceError, match="heat map"):
        unpack(zlib.compress(kept))
    with pytest.raises(ServiceError, match="damaged"):
        unpack(kept)
    with pytest.raises(ServiceError, match="damaged"):
        unpack(pack(made((4, 4), 1, full=None))[:-1])
