"""Counts of scores, and what is made of them."""

import numpy as np
import pytest

from secondread.errors import DataInvalid
from secondread.lab.federated.histograms import (
    LOGIT_EDGES,
    Histogram,
    logit_histogram,
    pooled,
    pooled_auc,
    pooled_loss,
    probability_edges,
)
from secondread.stats.calibration import Calibration, fit_calibration
from secondread.stats.metrics import roc_auc


def _scores(n=400, shift=1.5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    return rng.normal(0, 1.5, n) + shift * labels, labels


def test_every_image_is_counted_once_wherever_it_scores():
    logits, labels = np.array([-100.0, -12.0, 0.0, 0.05, 12.0, 99.0]), np.array([1, 0, 1, 0, 1, 0], dtype=bool)
    found = logit_histogram(logits, labels)
    assert (len(found), found.positive.sum(), found.negative.sum()) == (6, 3, 3)
    assert found.positive[0] == 1
    assert found.negative[-1] == 1


def test_auc_and_calibration_of_the_counts_are_those_of_the_scores():
    logits, labels = _scores()
    values, again, _ = pooled({"one": logit_histogram(logits, labels)})
    assert roc_auc(again, values) == pytest.approx(roc_auc(labels, logits), abs=2e-3)
    exact, counted = (fit_calibration("temperature", *pair) for pair in ((logits, labels), (values, again)))
    assert counted.temperature == pytest.approx(exact.temperature, rel=5e-3)


def test_sites_pooled_are_one_site_with_all_images_and_their_order_does_not_count():
    first, second = _scores(seed=1), _scores(seed=2, shift=0.5)
    apart = {"b": logit_histogram(*second), "a": logit_histogram(*first)}
    whole = {"all": logit_histogram(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))}
    assert pooled_auc(apart) == pytest.approx(pooled_auc(whole), abs=1e-12)
    assert pooled_loss(apart) == pytest.approx(pooled_loss(whole), abs=1e-12)
    assert pooled(apart)[2] == ["a"] * 400 + ["b"] * 400


def test_without_both_classes_there_is_no_auc():
    assert pooled_auc({}) is None
    assert pooled_auc({"one": logit_histogram(np.zeros(3), np.ones(3, dtype=bool))}) is None
    assert pooled_loss({}) is None


@pytest.mark.parametrize("counts", [[1, 2], [-1] * 242, [0.5] * 242, [[0] * 242]])
def test_what_is_no_histogram_is_refused(counts):
    with pytest.raises(DataInvalid, match="no histogram"):
        Histogram.from_counts(LOGIT_EDGES, counts, [0] * 242)


def test_no_bin_of_probabilities_holds_a_threshold_inside_so_decisions_come_out_exactly():
    rng = np.random.default_rng(3)
    probabilities, labels = np.round(rng.random(2000), 6), rng.random(2000) < 0.5
    thresholds = [0.123456, 0.5, 0.500001, 0.987654]
    edges = probability_edges(Calibration(temperature=1.7), thresholds)
    values, again = Histogram.of(probabilities, labels, edges).values(low=0.0, high=1.0)
    for threshold in thresholds:
        for here, there in ((probabilities[labels], values[again]), (probabilities[~labels], values[~again])):
            assert (here > threshold).sum() == (there > threshold).sum()
