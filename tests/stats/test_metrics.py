"""Measures: laws they obey, and agreement with scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import assume, given
from hypothesis import strategies as st

from secondread.errors import OneClassOnly
from secondread.stats.metrics import METRICS, average_precision, brier, confusion, roc_auc, weighted_roc_auc

cases = st.integers(0, 10_000).map(lambda seed: make_case(seed))


def make_case(seed):
    """Labels of both classes and scores with many ties."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 60))
    y = rng.random(n) < rng.uniform(0.1, 0.9)
    y[:2] = (True, False)
    return y, rng.integers(0, 12, n) / 11


@given(cases)
def test_auc_and_average_precision_agree_with_scikit_learn(case):
    y, s = case
    assert roc_auc(y, s) == pytest.approx(sklearn.metrics.roc_auc_score(y, s))
    assert average_precision(y, s) == pytest.approx(sklearn.metrics.average_precision_score(y, s))


@given(cases)
def test_auc_laws(case):
    y, s = case
    assert roc_auc(y, -s) == pytest.approx(1 - roc_auc(y, s))
    assert roc_auc(~y, s) == pytest.approx(1 - roc_auc(y, s))
    assert roc_auc(y, np.exp(3 * s)) == pytest.approx(roc_auc(y, s))
    order = np.random.default_rng(0).permutation(len(y))
    assert roc_auc(y[order], s[order]) == pytest.approx(roc_auc(y, s))
    assert average_precision(y[order], s[order]) == pytest.approx(average_precision(y, s))


@given(cases)
def test_rates_agree_with_scikit_learn(case):
    y, s = case
    predicted = s > 0.5
    counts = confusion(y, predicted)
    cells = (counts.tp, counts.fp, counts.tn, counts.fn)
    assert sum(cells) == len(y)
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(y, predicted),
        "precision": sklearn.metrics.precision_score(y, predicted, zero_division=np.nan),
        "recall": sklearn.metrics.recall_score(y, predicted),
        "f1": sklearn.metrics.f1_score(y, predicted, zero_division=np.nan),
        "specificity": sklearn.metrics.recall_score(~y, ~predicted),
    }
    for name, value in expected.items():
        assert float(METRICS[name](*cells)) == pytest.approx(value, nan_ok=True), name


@given(cases)
def test_brier_agrees_with_scikit_learn(case):
    y, s = case
    assert brier(y, s) == pytest.approx(sklearn.metrics.brier_score_loss(y, s))
    assert brier(~y, 1 - s) == pytest.approx(brier(y, s))


@given(cases)
def test_likelihood_ratios_agree_with_scikit_learn(case):
    y, s = case
    counts = confusion(y, s > 0.5)
    assume(counts.fp and counts.tn)  # else scikit-learn warns instead
    cells = (counts.tp, counts.fp, counts.tn, counts.fn)
    expected = sklearn.metrics.class_likelihood_ratios(y, s > 0.5)
    assert [float(METRICS[name](*cells)) for name in ("lr_positive", "lr_negative")] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cells", "positive", "negative"),
    [
        ((90, 10, 90, 10), 9.0, 1 / 9),
        ((231, 32, 54, 27), 2.406, 0.1667),  # liver scans, Altman & Bland, BMJ 1994
        ((5, 0, 5, 5), np.inf, 0.5),
        ((10, 10, 0, 0), 1.0, np.nan),
        ((0, 3, 7, 0), np.nan, np.nan),  # no positives
    ],
)
def test_likelihood_ratios_of_a_table(cells, positive, negative):
    assert float(METRICS["lr_positive"](*cells)) == pytest.approx(positive, rel=1e-3, nan_ok=True)
    assert float(METRICS["lr_negative"](*cells)) == pytest.approx(negative, rel=1e-3, nan_ok=True)


def test_one_class_is_an_error_with_a_name():
    with pytest.raises(OneClassOnly):
        roc_auc(np.array([True, True]), np.array([0.1, 0.2]))
    with pytest.raises(OneClassOnly):
        average_precision(np.array([False]), np.array([0.1]))


def test_weighted_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    y_true, y_score = rng.random(60) < 0.4, rng.integers(0, 9, 60) / 9
    weights = rng.integers(0, 3, (5, 60)).astype(float)
    expected = [sklearn.metrics.roc_auc_score(y_true, y_score, sample_weight=row) for row in weights]
    np.testing.assert_allclose(weighted_roc_auc(y_true, y_score, weights), expected)
    np.testing.assert_allclose(weighted_roc_auc(y_true, -y_score, weights), 1 - np.array(expected))
