"""Calibration error and reliability table: against scikit-learn, and by their laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from secondread.stats.calibration import expected_calibration_error, reliability

cases = st.tuples(st.integers(0, 10_000), st.sampled_from(["mass", "width"]))


def make_case(seed, n=200):
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(0.7, 1.5, n), int(rng.integers(1, 7)))
    return rng.random(n) < p**1.3, p


@settings(max_examples=40, deadline=None)
@given(cases)
def test_bins_agree_with_scikit_learn(case):
    (y, p), strategy = make_case(case[0]), case[1]
    table = reliability(y, p, strategy=strategy)
    true, said = calibration_curve(y, p, n_bins=10, strategy={"mass": "quantile", "width": "uniform"}[strategy])
    assert [row["observed"]["value"] for row in table] == pytest.approx(list(true), abs=1e-6)
    assert [row["said"] for row in table] == pytest.approx(list(said), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_the_error_is_the_mean_gap_of_the_table(case):
    (y, p), strategy = make_case(case[0]), case[1]
    table = reliability(y, p, strategy=strategy)
    assert sum(row["n"] for row in table) == len(y)
    gaps = sum(row["n"] * abs(row["observed"]["value"] - row["said"]) for row in table) / len(y)
    error = expected_calibration_error(y, p, strategy=strategy)
    assert error == pytest.approx(gaps, abs=2e-6)
    order = np.random.default_rng(0).permutation(len(y))
    assert expected_calibration_error(y[order], p[order], strategy=strategy) == pytest.approx(error)
    assert all(row["observed"]["low"] <= row["observed"]["value"] <= row["observed"]["high"] for row in table)


@pytest.mark.parametrize("strategy", ["mass", "width"])
def test_known_errors(strategy):
    y = np.array([True] * 3 + [False])
    assert expected_calibration_error(y, np.full(4, 0.75), strategy=strategy) == pytest.approx(0)
    assert expected_calibration_error(y, np.full(4, 0.25), strategy=strategy) == pytest.approx(0.5)
    assert expected_calibration_error(y, y.astype(float), strategy=strategy) == pytest.approx(0)
    assert np.isnan(expected_calibration_error(np.array([], dtype=bool), np.array([]), strategy=strategy))


def test_images_of_one_patient_widen_the_intervals():
    y, p = make_case(0, n=60)
    alone = reliability(np.repeat(y, 5), np.repeat(p, 5))
    together = reliability(np.repeat(y, 5), np.repeat(p, 5), groups=[str(i // 5) for i in range(300)])
    for a, b in zip(alone, together, strict=True):
        if 0 < a["observed"]["value"] < 1:
            assert b["observed"]["low"] < a["observed"]["low"]
            assert b["observed"]["high"] > a["observed"]["high"]
