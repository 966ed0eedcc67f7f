"""Agreement of two judges: scikit-learn's kappa, and intervals that hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from secondread.stats.agreement import agreement

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


@given(PAIRS)
def test_kappa_is_scikit_learns_symmetric_and_inside_its_interval(pairs):
    found, turned = agreement(pairs), agreement((b, a) for a, b in pairs)
    first, second = zip(*pairs, strict=True)
    if len(set(first) | set(second)) == 1:
        assert found.kappa is None
    else:
        assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
        assert found.kappa == pytest.approx(turned.kappa)
        assert -1 <= found.kappa_low <= found.kappa <= found.kappa_high <= 1
        assert found.kappa_high - found.kappa_low > 0.01
    assert found.raw_low <= found.raw <= found.raw_high
    assert found.raw_high - found.raw_low > 0.01


def test_eight_of_eight_prove_little():
    found = agreement([(1, 1)] * 4 + [(0, 0)] * 4)
    assert (found.raw, found.kappa) == (1, 1)
    assert found.raw_low == pytest.approx(0.6306, abs=1e-4)
    assert found.kappa_low < 0.5
    assert agreement([]).raw is None


def test_the_published_interval():
    """Donner & Eliasziw's form by hand: 40 pairs agree on 1, 40 on 0, 20 differ; χ² of one degree is 3.841.

    With a half saying 1, the cells are n(1 + κ)/4, n(1 − κ)/2, n(1 + κ)/4, and χ² = n(0.6 − κ)² / (1 − κ²).
    """
    found = agreement([(1, 1)] * 40 + [(0, 0)] * 40 + [(1, 0), (0, 1)] * 10)
    limit = 3.841459 / 100
    roots = np.roots([1 + limit, -1.2, 0.36 - limit])
    assert (found.kappa_low, found.kappa_high) == pytest.approx(tuple(sorted(roots)), abs=1e-6)


@pytest.mark.parametrize("n", [10, 30, 200])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_kappas_interval_covers_what_it_should(n, share):
    rng = np.random.default_rng(0)
    held = counted = 0
    for _ in range(200):
        truth = rng.random(n) < share
        one, two = (np.where(rng.random(n) < 0.1, ~truth, truth).astype(int) for _ in range(2))
        found = agreement(zip(one.tolist(), two.tolist(), strict=True))
        said = share * 0.9 + (1 - share) * 0.1
        expected = said**2 + (1 - said) ** 2
        if found.kappa is not None:
            counted += 1
            held += found.kappa_low <= (0.82 - expected) / (1 - expected) <= found.kappa_high
    assert held / counted >= 0.9
