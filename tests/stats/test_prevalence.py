"""What an answer means where disease is as common as said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondread.stats.interval import Interval
from secondread.stats.prevalence import after, at_prevalence
from secondread.stats.rates import Rates, likelihood_ratio, rates_at

SHARE = st.floats(0.01, 0.99)


def test_by_hand():
    """Odds of 0.82 are 4.556; times the ratio of 2 to 98 over 50 to 50 they are 0.093."""
    assert at_prevalence(0.82, calibrated_at=0.5, prevalence=0.02) == pytest.approx(0.0850622)
    assert after(0.5, float("inf")) == 1.0


@given(SHARE, SHARE, SHARE)
def test_the_same_prevalence_changes_nothing_and_the_way_back_leads_back(p, here, there):
    assert at_prevalence(p, calibrated_at=here, prevalence=here) == pytest.approx(p)
    moved = at_prevalence(p, calibrated_at=here, prevalence=there)
    assert (moved > p) == (there > here) or moved == pytest.approx(p)
    assert at_prevalence(moved, calibrated_at=there, prevalence=here) == pytest.approx(p, abs=1e-4)


@given(SHARE, SHARE, SHARE)
def test_it_is_what_the_explorer_says_of_a_threshold(sensitivity, specificity, prevalence):
    rates = Rates(Interval(sensitivity, 0.0, 1.0), Interval(specificity, 0.0, 1.0))
    assert rates.ppv(prevalence).value == pytest.approx(after(prevalence, sensitivity / (1 - specificity)))


def test_where_scores_are_calibrated_the_converted_ones_are_too():
    """Scores calibrated where half are ill; of those drawn anew where one in twenty is, as many are as is said."""
    rng = np.random.default_rng(0)
    ill = rng.random(400_000) < 0.05
    score = rng.normal(np.where(ill, 1.0, -1.0), 1.0)  # the log odds of half and half are 2 × score
    here = np.array(
        [at_prevalence(p, calibrated_at=0.5, prevalence=0.05) for p in 1 / (1 + np.exp(-2 * score[:20_000]))]
    )
    for low, high in ((0.05, 0.1), (0.3, 0.5)):
        among = (here > low) & (here < high)
        assert ill[:20_000][among].mean() == pytest.approx(here[among].mean(), abs=0.04)


def test_the_ratio_of_an_answer_is_that_of_the_two_rates():
    y_true = np.arange(100) < 40
    positive = np.r_[np.arange(40) < 32, np.arange(60) < 6]
    assert likelihood_ratio(y_true, positive).value == pytest.approx(8)
    assert likelihood_ratio(y_true, ~positive).value == pytest.approx(rates_at(y_true, positive).lr_negative.value)
    never_healthy = likelihood_ratio(y_true, y_true)
    assert never_healthy.value is None
    assert never_healthy.low > 5
