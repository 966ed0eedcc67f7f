"""A table looked up by OpenCV and by NumPy gives the same, whatever the values' kind."""

import numpy as np
import pytest

from secondread.images import values
from secondread.images.grey import _all_but_the_last
from secondread.images.values import Values, looked_up, mapped_by_table


@pytest.fixture(params=[True, False], ids=["OpenCV's tables", "NumPy's"])
def looks_up(request, monkeypatch):
    """With and without tables for 16 bits."""
    if request.param and not values._looks_up_16_bits():
        pytest.skip("this OpenCV has tables for 8 bits alone")
    monkeypatch.setattr(values, "_looks_up_16_bits", lambda: request.param)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32])
@pytest.mark.parametrize(("low", "n"), [(0, 200), (7, 120)])
def test_every_value_is_looked_up(looks_up, dtype, low, n):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 65536, n).astype(np.uint16)
    pixels = rng.integers(low, low + n, (700, 400)).astype(dtype)
    found = mapped_by_table(pixels, levels, low)
    assert (found == levels[pixels.astype(int) - low]).all()
    assert found.dtype == np.uint16


def test_values_below_zero_and_all_of_16_bits(looks_up):
    pixels = np.arange(-500, 500, dtype=np.int16)
    assert (mapped_by_table(pixels, np.arange(1000, dtype=np.uint16), -500) == np.arange(1000)).all()
    every = np.arange(65536, dtype=np.uint16)
    assert (mapped_by_table(every, every[::-1].copy(), 0) == every[::-1]).all()


def test_a_table_may_write_over_what_it_looked_up_and_leaves_it_alone_otherwise(looks_up):
    pixels = np.random.default_rng(0).integers(0, 4096, (700, 400)).astype(np.uint16)
    levels, before = np.arange(4096, dtype=np.uint16)[::-1].copy(), pixels.copy()
    found = mapped_by_table(pixels, levels, 0)
    assert (pixels == before).all()
    assert (mapped_by_table(pixels, levels, 0, reuse=True) == found).all()
    assert (found == levels[before]).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(30, 20), (30, 20, 3)])
def test_a_whole_table_keeps_shape_and_kind(looks_up, kind, shape):
    table = np.random.default_rng(0).integers(0, 256, 65536).astype(kind)
    pixels = np.random.default_rng(1).integers(0, 65536, shape).astype(np.uint16)
    found = looked_up(pixels, table)
    assert found.dtype == kind
    assert (found == table[pixels]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_counting_finds_the_ends_that_sorting_finds(dtype, monkeypatch):
    rng = np.random.default_rng(1)
    for size in (1, 2, 7, 100, 101, 201, 1001, 5000):
        for spread in (1, 3, 100):
            some = rng.integers(-spread if dtype == np.int16 else 0, spread + 1, size).astype(dtype)
            some[: size * (spread == 3) * 2 // 3] = 1  # background
            counted = _all_but_the_last(some, Values(some))
            monkeypatch.setattr(Values, "has_levels", False)
            assert counted == _all_but_the_last(some, Values(some)), (size, spread)
            monkeypatch.undo()
