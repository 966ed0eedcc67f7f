"""What is seen of updates before they count."""

import numpy as np
import pytest

from secondread.lab.federated.privacy import is_finite
from secondread.lab.federated.strategies import Update, judged, normalised

BEFORE = {"a": np.zeros((20, 10), dtype=np.float32), "b": np.zeros(50, dtype=np.float32)}


def _updates(n, *, odd=None):
    """Updates that share a direction; the last is made odd."""
    rng = np.random.default_rng(0)
    common = {name: rng.normal(size=part.shape) for name, part in BEFORE.items()}
    moves = [{name: part + rng.normal(size=part.shape) for name, part in common.items()} for _ in range(n)]
    if odd is not None:
        moves[-1] = {name: odd * part for name, part in moves[-1].items()}
    return [
        Update(f"site{number}", {name: part.astype(np.float32) for name, part in move.items()}, 10)
        for number, move in enumerate(moves)
    ]


@pytest.mark.parametrize(("odd", "verdict"), [(None, ""), (-1, "against"), (100, "scaled"), (-100, "scaled")])
@pytest.mark.parametrize("n", [4, 7])
def test_one_that_is_turned_or_scaled_is_told_from_all_others(odd, verdict, n):
    assert [one.verdict for one in judged(_updates(n, odd=odd), BEFORE)] == [""] * (n - 1) + [verdict]


def test_of_two_that_disagree_nobody_can_say_which_is_wrong():
    assert [one.verdict for one in judged(_updates(2, odd=-1), BEFORE)] == ["", ""]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_none(value):
    assert is_finite(BEFORE)
    assert not is_finite(BEFORE | {"b": np.array([0.0, value])})


def test_fednova_gives_a_site_its_share_of_images_once_where_fedavg_counts_them_twice():
    def learnt(site, n, steps):  # each step goes one way of its own
        weights = {"a": BEFORE["a"] + np.float32(steps * (site == "large")), "b": BEFORE["b"] + np.float32(steps)}
        return Update(site, weights, n)

    updates = [learnt("large", 320, 10), learnt("small", 32, 1)]
    after = normalised(BEFORE, updates, steps={"large": 10, "small": 1})
    mean_steps = (320 * 10 + 32 * 1) / 352
    assert after["a"] == pytest.approx(np.full((20, 10), mean_steps * 320 / 352), rel=1e-6)
    assert after["b"] == pytest.approx(np.full(50, mean_steps), rel=1e-6)
    assert after["a"].dtype == np.float32


def test_fednova_of_sites_that_take_as_many_steps_is_the_mean_by_images():
    updates = _updates(3)
    after = normalised(BEFORE, updates, steps={one.site: 4 for one in updates})
    for name in BEFORE:
        assert np.allclose(after[name], np.mean([one.weights[name] for one in updates], axis=0), atol=1e-6)
