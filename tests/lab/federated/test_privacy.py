"""Clipping, noise and what it costs."""

import math

import numpy as np
import pytest

from secondread.errors import UsageError
from secondread.lab.federated.privacy import (
    Privacy,
    clipped,
    difference,
    moved,
    noise_for,
    noisy,
    norm_of,
    spread_kept,
)


def _arrays(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return {"a": (scale * rng.normal(size=(3, 4))).astype(np.float32), "b": rng.normal(size=5).astype(np.float32)}


def test_an_update_is_cut_to_the_clip_and_keeps_its_direction():
    update = difference(_arrays(1, 10), _arrays(2))
    cut = clipped(update, 0.5)
    assert norm_of(cut) == pytest.approx(0.5)
    factor = 0.5 / norm_of(update)
    assert np.allclose(cut["a"], factor * update["a"])
    assert all(np.array_equal(part, update[name]) for name, part in clipped(update, 1e9).items())


def test_weights_and_update_are_the_way_there_and_back():
    before, after = _arrays(1), _arrays(2)
    again = moved(before, difference(after, before))
    assert all(np.allclose(again[name], after[name], atol=1e-6) and again[name].dtype == np.float32 for name in after)


def test_noise_has_the_deviation_that_was_asked_for():
    made = noisy({"a": np.zeros(20_000)}, 0.3, np.random.default_rng(0))["a"]
    assert made.std() == pytest.approx(0.3, rel=0.03)
    assert abs(made.mean()) < 0.01


def test_a_variance_stays_above_0_whatever_noise_takes_from_it():
    before = {"bn.running_var": np.array([1.0, 2.0], np.float32), "bn.running_mean": np.array([1.0, 2.0], np.float32)}
    after = {name: np.array([-3.0, 5.0], np.float32) for name in before}
    kept = spread_kept(after, before)
    assert kept["bn.running_var"].tolist() == pytest.approx([0.1, 5.0])
    assert kept["bn.running_var"].dtype == np.float32
    assert kept["bn.running_mean"].tolist() == [-3.0, 5.0]


@pytest.mark.parametrize("rounds", [1, 20])
@pytest.mark.parametrize("epsilon", [0.5, 8.0, 300.0])
def test_noise_for_an_epsilon_costs_that_epsilon(epsilon, rounds):
    noise = noise_for(epsilon, delta=1e-5, rounds=rounds)
    assert Privacy("central", 1.0, noise, 1e-5).epsilon(rounds) == pytest.approx(epsilon)


def test_epsilon_is_the_least_over_all_renyi_orders():
    privacy = Privacy("local", 1.0, 4.0, 1e-6)
    orders = 1 + np.geomspace(1e-2, 1e4, 20_000)
    least = (12 * orders / (2 * 4.0**2) + math.log(1e6) / (orders - 1)).min()
    assert privacy.epsilon(12) == pytest.approx(least, rel=1e-4)


def test_more_rounds_cost_more_and_more_noise_costs_less():
    assert Privacy("local", 1, 2).epsilon(10) < Privacy("local", 1, 2).epsilon(11)
    assert Privacy("local", 1, 3).epsilon(10) < Privacy("local", 1, 2).epsilon(10)


@pytest.mark.parametrize(
    "given", [("elsewhere", 1, 1), ("local", 0, 1), ("local", 1, 0), ("local", 1, math.nan), ("local", 1, 1, 1.0)]
)
def test_what_is_no_promise_is_refused(given):
    with pytest.raises(UsageError):
        Privacy(*given)
