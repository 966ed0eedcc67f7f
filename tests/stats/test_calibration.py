"""Calibration: recovers what was done to the logits, keeps their order, can be undone, survives odd data."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondread.errors import DataInvalid, OneClassOnly, UnknownName
from secondread.stats.calibration import (
    CALIBRATION_METHODS,
    Calibration,
    expected_calibration_error,
    fit_calibration,
    fit_isotonic,
    fit_platt,
    fit_temperature,
)

seeds = st.integers(0, 10_000)


def make_case(seed, n=300, temperature=1.0, bias=0.0):
    """Logits, and labels drawn so that sigmoid(logit / temperature + bias) is true."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2.5, n)
    y = rng.random(n) < 1 / (1 + np.exp(-(logits / temperature + bias)))
    y[:2] = (True, False)
    return logits, y


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature):
    logits, y = make_case(0, n=40_000, temperature=temperature)
    assert fit_temperature(logits, y) == pytest.approx(temperature, rel=0.05)


def test_platt_recovers_temperature_and_bias():
    logits, y = make_case(1, n=40_000, temperature=2.0, bias=-1.0)
    assert fit_platt(logits, y) == pytest.approx((2.0, -1.0), rel=0.06)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_temperature_scales_with_the_logits(seed):
    logits, y = make_case(seed)
    once = fit_temperature(logits, y)
    if 0.1 < once < 8:
        assert fit_temperature(2 * logits, y) == pytest.approx(2 * once, rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_temperature_is_the_least_negative_log_likelihood(seed):
    logits, y = make_case(seed)
    found = fit_temperature(logits, y)
    targets = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))

    def loss(temperature):
        p = 1 / (1 + np.exp(-logits / temperature))
        return -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))

    assert loss(found) <= min(loss(found * 1.02), loss(found / 1.02)) + 1e-9


ODD = {
    "separable": (np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True])),
    "inverted": (np.array([-2.0, -1.0, 1.0, 2.0]), np.array([True, True, False, False])),
    "constant": (np.zeros(6), np.arange(6) < 3),
    "far": (np.array([-900.0, -800.0, 800.0, 900.0]), np.array([False, True, False, True])),
    "one each": (np.array([0.3, 0.2]), np.array([True, False])),
}


@pytest.mark.parametrize("method", CALIBRATION_METHODS)
@pytest.mark.parametrize("name", ODD)
def test_odd_data_give_finite_probabilities_and_no_certainty(method, name):
    logits, y = ODD[name]
    calibration = fit_calibration(method, logits, y)
    assert 0.05 <= calibration.temperature <= 20.000001
    probabilities = calibration.apply(np.r_[logits, -1e4, 1e4])
    assert np.isfinite(probabilities).all()
    record = json.loads(json.dumps(calibration.to_record()))
    assert Calibration.from_record(record) == calibration
    assert Calibration.from_record(record).to_record() == record


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(CALIBRATION_METHODS))
def test_calibration_keeps_the_order_and_can_be_undone(seed, method):
    logits, y = make_case(seed)
    calibration = fit_calibration(method, logits, y)
    at = np.linspace(-5, 5, 101)
    probabilities = calibration.apply(at)
    assert (np.diff(probabilities) > 0).all()
    assert calibration.undo(probabilities) == pytest.approx(at, abs=1e-5)
    rounded = np.round(probabilities, 6)
    assert calibration.apply(calibration.undo(rounded)) == pytest.approx(rounded, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_knots_of_isotonic_regression_rise_and_prove_nothing_for_certain(seed):
    logits, y = make_case(seed)
    places, shares = fit_isotonic(logits, y)
    assert (np.diff(places) > 0).all()
    assert (np.diff(shares) > 0).all()
    assert 0 < shares[0] <= shares[-1] < 1


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_mends_what_was_off(method):
    logits, y = make_case(3, n=20_000, temperature=3.0, bias=-0.7)
    fresh, truth = make_case(4, n=20_000, temperature=3.0, bias=-0.7)
    calibration = fit_calibration(method, logits, y)
    before = expected_calibration_error(truth, 1 / (1 + np.exp(-fresh)))
    after = expected_calibration_error(truth, calibration.apply(fresh))
    assert before > 0.1
    assert after < 0.02


def test_saturated_probabilities_are_undone_to_finite_logits():
    logits = Calibration(2.0).undo(np.array([0.0, 0.5, 1.0]))
    assert logits == pytest.approx([-29.017, 0, 29.017], abs=1e-3)


def test_mistakes_have_names():
    with pytest.raises(UnknownName, match="did you mean 'isotonic'"):
        fit_calibration("isotonik", *make_case(0))
    with pytest.raises(OneClassOnly, match="both classes"):
        fit_temperature(np.zeros(3), np.ones(3))
    with pytest.raises(DataInvalid, match="refused"):
        fit_platt(np.array([np.nan, 1.0]), np.array([True, False]))
