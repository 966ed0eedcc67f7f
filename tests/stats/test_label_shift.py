"""Label shift: EM finds the share of the diseased where only that differs; quantiles move thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondread.stats.label_shift import em_prevalence, matched_threshold, prevalence_interval
from secondread.stats.prevalence import at_prevalence

SPREAD = 2.0  # between the two classes' scores, each normal with variance 1


def scores(n, share, seed, *, calibrated_at=0.5, moved=0.0):
    """Labels, and probabilities that are calibrated where a share `calibrated_at` is diseased."""
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < share
    at = rng.normal(np.where(ill, SPREAD, 0), 1) + moved
    ratio = np.exp(SPREAD * at - SPREAD**2 / 2)
    odds = ratio * calibrated_at / (1 - calibrated_at)
    return ill, odds / (1 + odds)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("calibrated_at", [0.2, 0.5])
def test_the_share_is_found_where_only_it_differs(share, calibrated_at):
    _, found = scores(4000, share, 1, calibrated_at=calibrated_at)
    assert em_prevalence(found, calibrated_at=calibrated_at) == pytest.approx(share, abs=0.03)


def test_the_interval_holds_the_share_about_as_often_as_it_says():
    held = 0
    for seed in range(60):
        _, found = scores(300, 0.2, seed)
        interval = prevalence_interval(found, calibrated_at=0.5, n_resamples=200)
        held += interval.low <= 0.2 <= interval.high
    assert held >= 51


@given(st.permutations(list(range(40))))
def test_the_order_of_the_images_is_no_matter(order):
    _, found = scores(40, 0.4, 3)
    assert em_prevalence(found[order], calibrated_at=0.5) == pytest.approx(
        em_prevalence(found, calibrated_at=0.5), abs=1e-5
    )


def test_what_is_calibrated_here_keeps_its_mean():
    """At the estimate the corrected probabilities are calibrated in the large."""
    _, found = scores(2000, 0.1, 4)
    share = em_prevalence(found, calibrated_at=0.5)
    corrected = [at_prevalence(one, calibrated_at=0.5, prevalence=share) for one in found]
    assert np.mean(corrected) == pytest.approx(share, abs=1e-3)


def test_images_of_one_patient_make_the_interval_wider():
    _, found = scores(200, 0.3, 5)
    alone = prevalence_interval(np.repeat(found, 4), calibrated_at=0.5)
    grouped = prevalence_interval(np.repeat(found, 4), [str(at // 4) for at in range(800)], calibrated_at=0.5)
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)
    assert grouped.n_groups == 200


def test_a_threshold_moves_with_the_scores_and_keeps_both_rates():
    ill, home = scores(4000, 0.5, 6)
    there_ill, there = scores(4000, 0.2, 7, moved=1.0)
    moved = matched_threshold(there, positives=home[ill], negatives=home[~ill], threshold=0.3, prevalence=0.2)
    assert moved > 0.3
    assert np.mean(there[there_ill] > moved) == pytest.approx(np.mean(home[ill] > 0.3), abs=0.03)
    assert np.mean(there[~there_ill] > moved) == pytest.approx(np.mean(home[~ill] > 0.3), abs=0.03)


@pytest.mark.parametrize("threshold", [-0.1, 0.9999999])
def test_all_or_none_are_flagged_where_they_should_be(threshold):
    ill, home = scores(500, 0.5, 8)
    home = np.clip(home, 0.001, 0.999)
    moved = matched_threshold(home, positives=home[ill], negatives=home[~ill], threshold=threshold, prevalence=0.5)
    assert np.mean(home > moved) == (1 if threshold < 0 else 0)
