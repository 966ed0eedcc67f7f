"""DeLong's test: against its definition by hand, against the bootstrap, and by its laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondread.errors import OneClassOnly
from secondread.stats.bootstrap import bootstrap
from secondread.stats.delong import auc_covariance, auc_interval, delong_test, holm
from secondread.stats.metrics import roc_auc, weighted_roc_auc

seeds = st.integers(0, 10_000)


def make_case(seed, n=60):
    """Labels of both classes and the scores of two models, with ties."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.4
    y[:4] = (True, False, True, False)
    shared = rng.normal(size=n) + y
    return y, np.round(shared + rng.normal(size=n), 1), np.round(shared + 0.7 * rng.normal(size=n), 1)


def by_definition(y, *models):
    """Areas and covariance from all pairs: DeLong et al. 1988, equations 1 to 6."""
    pairs = [np.sign(s[y][:, None] - s[~y][None, :]) / 2 + 0.5 for s in models]  # (n_positive, n_negative) each
    of_positives, of_negatives = (np.stack([pair.mean(axis=axis) for pair in pairs]) for axis in (1, 0))
    return of_positives.mean(axis=1), np.cov(of_positives) / y.sum() + np.cov(of_negatives) / (~y).sum()


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_fast_form_agrees_with_the_definition(seed):
    y, a, b = make_case(seed)
    aucs, covariance = auc_covariance(y, np.stack([a, b]), groups=np.arange(len(y)))
    expected_aucs, expected = by_definition(y, a, b)
    assert aucs == pytest.approx(expected_aucs)
    assert aucs == pytest.approx([roc_auc(y, a), roc_auc(y, b)])
    assert covariance == pytest.approx(expected)


def test_an_example_worked_by_hand():
    """Positives 3, 2, 4 and negatives 1, 2 under a; the second model ranks all of them rightly.

    Components of the positives under a: 1, 3/4, 1; of the negatives: 1, 5/6. Area 11/12.
    Variance: (1/48) / 3 + (1/72) / 2 = 1/72. Under b every component is 1, so the difference has that variance too.
    """
    y = np.array([True, True, True, False, False])
    found = delong_test(y, np.array([3.0, 2, 4, 1, 2]), np.array([3.0, 4, 5, 1, 2]))
    assert found.auc_a == pytest.approx(11 / 12)
    assert found.auc_b == 1
    assert found.z == pytest.approx(-(1 / 12) / np.sqrt(1 / 72))
    assert found.p == pytest.approx(0.47950, abs=1e-5)
    assert (found.low, found.high) == pytest.approx(
        (-1 / 12 - 1.959964 / np.sqrt(72), -1 / 12 + 1.959964 / np.sqrt(72))
    )


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_laws(seed):
    y, a, b = make_case(seed)
    found, turned = delong_test(y, a, b), delong_test(y, b, a)
    assert (turned.difference, turned.z, turned.p) == pytest.approx((-found.difference, -found.z, found.p))
    rescaled = delong_test(y, np.exp(a), 3 * b - 1)
    assert rescaled.p == pytest.approx(found.p)
    order = np.random.default_rng(0).permutation(len(y))
    assert delong_test(y[order], a[order], b[order]).z == pytest.approx(found.z)
    assert delong_test(y, a, a).p == 1
    alone = delong_test(y, a, b, groups=[str(i) for i in range(len(y))])
    assert alone.z == pytest.approx(found.z)
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_copies_of_patients_add_no_certainty():
    y, a, b = make_case(1, n=80)
    once = delong_test(y, a, b)
    copied = delong_test(*(np.repeat(x, 6) for x in (y, a, b)), groups=[str(i // 6) for i in range(480)])
    assert copied.z == pytest.approx(once.z)
    assert copied.low == pytest.approx(once.low, rel=0.06), "t of few groups for the normal, no narrower"
    assert copied.low <= once.low < once.high <= copied.high
    assert copied.n_groups == 80


def test_two_faultless_models_leave_room_for_a_difference():
    """Without a variance there is no standard error; what each area leaves open, their difference leaves open too."""
    y = np.arange(40) < 20
    one, other = np.where(y, 2.0, 0.0) + np.linspace(0, 1, 40), np.where(y, 2.0, 0.0) + np.linspace(1, 0, 40)
    found = delong_test(y, one, other)
    assert found.difference == 0
    assert found.low < -0.05
    assert found.high > 0.05
    same = delong_test(y, one, 2 * one)
    assert (same.low, same.high) == (0, 0), "models of one order do not differ"


def test_the_interval_agrees_with_the_bootstrap():
    """Against a constant model, the difference is the area less a half: its interval is the area's own."""
    y, a, _ = make_case(2, n=400)
    found, alone = delong_test(y, a, np.zeros(400)), auc_interval(y, a)
    drawn = bootstrap({"auc": lambda weights: weighted_roc_auc(y, a, weights)}, np.arange(400))["auc"]
    assert found.low + 0.5 == pytest.approx(drawn.low, abs=0.006)
    assert found.high + 0.5 == pytest.approx(drawn.high, abs=0.006)
    assert (alone.value, alone.low, alone.high) == pytest.approx((drawn.value, drawn.low, drawn.high), abs=0.01)


@pytest.mark.parametrize("size", [1, 8])
def test_equal_models_are_told_apart_about_as_often_as_chance_says(size):
    """At the 5 % level, with one or with eight alike images of a patient."""
    rng, errors = np.random.default_rng(0), 0
    groups = [str(i // size) for i in range(80 * size)]
    for _ in range(300):
        patient = np.repeat(rng.normal(size=(3, 80)), size, axis=1)
        y = np.arange(80 * size) % (2 * size) < size
        a, b = (patient[i] + 0.3 * rng.normal(size=len(y)) + 0.8 * y for i in (1, 2))
        errors += delong_test(y, a, b, groups=groups).p < 0.05
    assert 4 <= errors <= 27  # 5 % is 15


def test_perfect_against_useless_is_certain_and_one_class_is_an_error():
    y = np.array([True, True, False, False])
    found = delong_test(y, y.astype(float), -y.astype(float))
    assert (found.difference, found.z, found.p) == (1, np.inf, 0)
    with pytest.raises(OneClassOnly, match="both classes"):
        delong_test(np.ones(3), np.arange(3), np.arange(3))


def test_holms_adjustment():
    """By hand: 0.005 · 4, 0.01 · 3, 0.03 · 2, and 0.04 no smaller than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2, 0.9]) == pytest.approx([0.4, 0.9])
    assert holm([]) == []
