"""Agreement of two judges: the values of scikit-learn and statsmodels, and intervals that hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, f1_score

from secondread.stats.agreement import agreement

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)
COEFFICIENTS = ("positive", "negative", "kappa", "ac1")


@given(PAIRS)
def test_values_are_scikit_learns_symmetric_and_inside_their_intervals(pairs):
    found, turned = agreement(pairs), agreement((b, a) for a, b in pairs)
    first, second = zip(*pairs, strict=True)
    if len(set(first) | set(second)) == 1:
        assert found.kappa is None
    else:
        assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    if any(first) or any(second):
        assert found.positive == pytest.approx(f1_score(first, second, zero_division=0))
    if not all(first) or not all(second):
        assert found.negative == pytest.approx(f1_score(first, second, pos_label=0, zero_division=0))
    for name in COEFFICIENTS:
        value, low, high = (getattr(found, key) for key in (name, f"{name}_low", f"{name}_high"))
        assert value == pytest.approx(getattr(turned, name)) or value is None
        if value is not None:
            assert -1 <= low <= value <= high <= 1
            assert high - low > 0.01
    assert found.raw_low <= found.raw <= found.raw_high
    assert found.raw_high - found.raw_low > 0.01


@pytest.mark.parametrize(
    ("cells", "kappa"),
    [((20, 5, 10, 15), 0.4), ((1, 5, 5, 89), 0.113475), ((40, 10, 10, 40), 0.6)],
)
def test_kappa_is_that_of_statsmodels(cells, kappa):
    """statsmodels.stats.inter_rater.cohens_kappa gives these for the same tables."""
    pairs = [pair for pair, n in zip([(1, 1), (1, 0), (0, 1), (0, 0)], cells, strict=True) for _ in range(n)]
    assert agreement(pairs).kappa == pytest.approx(kappa, abs=1e-6)


def test_where_disease_is_rare_kappa_falls_and_ac1_does_not():
    """Feinstein & Cicchetti's paradox, by hand: 90 of 100 agree, and nearly all are called healthy."""
    found = agreement([(0, 0)] * 89 + [(1, 1)] + [(1, 0), (0, 1)] * 5)
    assert found.raw == 0.9
    chance = 2 * 0.06 * 0.94
    assert found.ac1 == pytest.approx((0.9 - chance) / (1 - chance))
    assert found.kappa < 0.2 < 0.85 < found.ac1
    assert (found.positive, found.negative) == (pytest.approx(2 / 12), pytest.approx(178 / 188))


def test_eight_of_eight_prove_little():
    found = agreement([(1, 1)] * 4 + [(0, 0)] * 4)
    assert (found.raw, found.kappa, found.ac1, found.too_few) == (1, 1, 1, True)
    assert found.raw_low == pytest.approx(0.6306, abs=1e-4)
    assert max(found.kappa_low, found.ac1_low) < 0.5
    assert agreement([]).raw is None
    assert not agreement([(1, 1)] * 6 + [(0, 0)] * 6).too_few


def test_images_of_one_patient_count_for_fewer():
    pairs = [(1, 1)] * 40 + [(0, 0)] * 40
    alone, together = agreement(pairs), agreement(pairs, [str(at // 10) for at in range(80)])
    assert (together.n, together.n_groups) == (80, 8)
    assert together.kappa == alone.kappa
    assert together.kappa_low < alone.kappa_low - 0.2
    assert together.raw_low < alone.raw_low - 0.2
    assert (alone.too_few, together.too_few) == (False, True)


# (both 1, first only, second only, both 0): sure and unsure judges, even and rare, and two with different habits
LAWS = [(0.29, 0.09, 0.09, 0.53), (0.09, 0.09, 0.09, 0.73), (0.29, 0.21, 0.21, 0.29), (0.3, 0.15, 0.02, 0.53)]


@pytest.mark.parametrize("n", [10, 20, 50])
@pytest.mark.parametrize("law", LAWS)
def test_intervals_hold_the_truth(n, law):
    truth = agreement(
        pair
        for pair, share in zip([(1, 1), (1, 0), (0, 1), (0, 0)], law, strict=True)
        for _ in range(round(100 * share))
    )
    rng = np.random.default_rng(0)
    drawn, times = np.unique(rng.multinomial(n, law, 400), axis=0, return_counts=True)
    held, counted = dict.fromkeys(COEFFICIENTS, 0), dict.fromkeys(COEFFICIENTS, 0)
    for cells, often in zip(drawn, times, strict=True):
        found = agreement(
            pair for pair, count in zip([(1, 1), (1, 0), (0, 1), (0, 0)], cells, strict=True) for _ in range(count)
        )
        for name in COEFFICIENTS:
            if getattr(found, name) is not None:
                counted[name] += often
                held[name] += often * (
                    getattr(found, f"{name}_low") <= getattr(truth, name) <= getattr(found, f"{name}_high")
                )
    for name in COEFFICIENTS:
        assert held[name] / counted[name] >= 0.93, name


def test_intervals_by_patient_hold_the_truth():
    """Thirty patients of one to eight films; a patient's films are agreed on alike."""
    rng = np.random.default_rng(0)
    held, times = 0, 150
    for _ in range(times):
        films = rng.integers(1, 9, 30)
        hard = rng.random(30) < 0.2
        groups = np.repeat(np.arange(30), films)
        truth = rng.random(films.sum()) < 0.5
        wrong = rng.random(films.sum()) < np.where(hard, 0.8, 0.05)[groups]
        second = np.where(wrong, ~truth, truth)
        found = agreement(zip(truth.astype(int).tolist(), second.astype(int).tolist(), strict=True), groups.astype(str))
        held += found.raw_low <= 0.8 <= found.raw_high and found.kappa_low <= 0.6 <= found.kappa_high
    assert held / times >= 0.9
