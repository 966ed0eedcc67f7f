"""Measures: laws they obey, and agreement with scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from secondread.errors import DataInvalid, OneClassOnly, UnknownName
from secondread.stats.bootstrap import MEASURES, bootstrap
from secondread.stats.metrics import METRICS, average_precision, brier, confusion, roc_auc
from secondread.stats.proportions import clopper_pearson

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


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 0, 0.0, 1.0),
    ],
)
def test_clopper_pearson_gives_the_published_intervals(successes, n, low, high):
    """81 of 263 and 15 of 148: Newcombe, Statistics in Medicine 1998, table I."""
    assert clopper_pearson(successes, n) == pytest.approx((low, high), abs=6e-5)


@settings(max_examples=20)
@given(cases)
def test_bootstrap_holds_the_value_and_does_not_depend_on_order(case):
    y, s = case
    groups = [f"g{i // 2}" for i in range(len(y))]
    found = bootstrap(y, s, threshold=0.5, groups=groups, n_resamples=200, measures=MEASURES)
    assert tuple(found) == MEASURES
    for name, interval in found.items():
        if None not in interval.values():
            assert interval["low"] <= interval["high"], name
            assert interval["low"] >= 0, name
    assert found["roc_auc"]["value"] == pytest.approx(roc_auc(y, s), abs=1e-6)


def test_bootstrap_resamples_whole_groups():
    """Copies of one patient add no certainty: the interval of 40 patients seen 25 times is that of 40 images."""
    rng = np.random.default_rng(0)
    y = rng.random(40) < 0.5
    s = np.clip(y * 0.3 + rng.random(40) * 0.7, 0, 1)
    once = bootstrap(y, s, threshold=0.5, groups=[str(i) for i in range(40)])
    many = bootstrap(
        np.repeat(y, 25), np.repeat(s, 25), threshold=0.5, groups=[str(i) for i in range(40) for _ in range(25)]
    )
    assert many["roc_auc"] == once["roc_auc"]


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        y = np.arange(120) < 60
        s = rng.normal(size=120) + y  # AUC of two unit normals one apart: Φ(1/√2) = 0.7602
        found = bootstrap(y, s, threshold=0.5, groups=[str(i) for i in range(120)], n_resamples=300)["roc_auc"]
        hits += found["low"] <= 0.760250 <= found["high"]
    assert 178 <= hits <= 200


def test_an_unbounded_ratio_has_no_upper_end_and_stays_json():
    """Without a false alarm the positive likelihood ratio is infinite; JSON has no such number."""
    y = np.arange(40) < 20
    found = bootstrap(
        y, np.where(y, 0.9, 0.1), threshold=0.5, groups=[str(i) for i in range(40)], measures=("lr_positive",)
    )
    assert found["lr_positive"] == {"value": None, "low": None, "high": None}
    scores = np.where(y, 0.9, 0.1)
    scores[25] = 0.8
    ratio = bootstrap(y, scores, threshold=0.5, groups=[str(i) for i in range(40)], measures=("lr_positive",))
    assert ratio["lr_positive"]["value"] == 20
    assert ratio["lr_positive"]["low"] > 1
    assert ratio["lr_positive"]["high"] is None


def test_bootstrap_names_what_it_cannot_measure():
    y = np.array([True, False])
    with pytest.raises(UnknownName, match="did you mean 'brier'"):
        bootstrap(y, np.array([0.1, 0.2]), threshold=0.5, groups=["a", "b"], measures=("briar",))
    with pytest.raises(DataInvalid, match="between 0 and 1"):
        bootstrap(y, np.array([-3.0, 2.0]), threshold=0.5, groups=["a", "b"], measures=("brier",))
