"""Ensembles: laws of their weights, and what they may not do to validation."""

import numpy as np
import pytest

from secondread.errors import OneClassOnly, TrainingError, UnknownName
from secondread.lab.ensemble import ENSEMBLES, fit_ensemble, log_loss
from secondread.stats.metrics import roc_auc


@pytest.fixture(scope="module")
def said():
    """Labels, groups, and the logits of a good, a fair and a useless member."""
    rng = np.random.default_rng(3)
    y_true = rng.random(200) < 0.4
    signal = np.where(y_true, 1.0, -1.0)
    logits = np.stack([share * signal + rng.normal(0, 1, 200) for share in (1.5, 0.7, 0.0)])
    return y_true, [str(number // 2) for number in range(200)], logits


@pytest.mark.parametrize("method", ["mean", "weighted"])
def test_an_ensemble_of_one_is_that_one(said, method):
    y_true, groups, logits = said
    ensemble = fit_ensemble(method, logits[:1], y_true, groups=groups)
    np.testing.assert_allclose(ensemble.weights, [1.0])
    np.testing.assert_allclose(ensemble.combine(logits[:1]), logits[0])


def test_a_stack_of_one_keeps_its_order(said):
    y_true, groups, logits = said
    ensemble = fit_ensemble("stacked", logits[:1], y_true, groups=groups)
    np.testing.assert_array_equal(np.argsort(ensemble.combine(logits[:1])), np.argsort(logits[0]))


@pytest.mark.parametrize("method", ["mean", "weighted"])
def test_weights_are_not_negative_and_sum_to_one(said, method):
    y_true, groups, logits = said
    weights = fit_ensemble(method, logits, y_true, groups=groups).weights
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)


def test_fitted_weights_lose_no_more_than_the_mean_nor_than_any_member(said):
    y_true, groups, logits = said
    ensemble = fit_ensemble("weighted", logits, y_true, groups=groups)
    loss = log_loss(y_true, ensemble.combine(logits))
    assert all(loss <= log_loss(y_true, other) + 1e-9 for other in (*logits, logits.mean(axis=0)))
    assert ensemble.weights[2] < ensemble.weights[0], "the useless member counts less"


@pytest.mark.parametrize("method", ENSEMBLES)
def test_the_order_of_members_and_images_does_not_matter(said, method):
    y_true, groups, logits = said
    combined = fit_ensemble(method, logits, y_true, groups=groups).combine(logits)
    turned = fit_ensemble(method, logits[::-1], y_true, groups=groups).combine(logits[::-1])
    np.testing.assert_allclose(turned, combined, atol=1e-3)


def test_a_stacks_validation_logits_are_those_of_fits_that_have_not_seen_the_group():
    """Labels drawn at random by group: what was fitted to them looks good on them, and honest logits do not."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 2)
    y_true = np.repeat(rng.random(30) < 0.5, 2)
    logits = np.repeat(rng.normal(size=(15, 30)), 2, axis=1)
    ensemble = fit_ensemble("stacked", logits, y_true, groups=groups.astype(str).tolist())
    assert roc_auc(y_true, ensemble.combine(logits)) > 0.8
    assert roc_auc(y_true, ensemble.val_logits) < 0.65


def test_what_cannot_be_fitted_is_refused(said):
    y_true, groups, logits = said
    with pytest.raises(UnknownName, match="did you mean 'weighted'"):
        fit_ensemble("weigthed", logits, y_true, groups=groups)
    with pytest.raises(OneClassOnly):
        fit_ensemble("mean", logits, np.ones(200, bool), groups=groups)
    with pytest.raises(TrainingError, match="two groups"):
        fit_ensemble("stacked", logits, y_true, groups=["a"] * 200)
