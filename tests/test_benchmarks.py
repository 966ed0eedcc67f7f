"""The benchmarks that need no data still run to their end, on a few images."""

import pytest
from benchmarks import cold_read, warm_read


@pytest.fixture
def kept(monkeypatch):
    """What a benchmark would write into `results`."""
    tables = {}
    for module in (cold_read, warm_read):
        monkeypatch.setattr(module, "save", tables.__setitem__)
        monkeypatch.setattr(module, "ROUNDS", 1)
    return tables


def test_cold_read_measures_a_reading(kept):
    cold_read.main()
    assert kept["cold_read"]["ratio"] > 1
    assert kept["cold_read"]["difference_of_probability"] < 0.1


def test_warm_read_measures_readings_with_maps(kept, monkeypatch):
    monkeypatch.setattr(warm_read, "SETS", {"small": {"n": 20, "height": 200, "width": 200, "distinct": 4}})
    warm_read.main()
    assert kept["warm_read"]["small"]["images_a_second"]["secondread"] > 0
