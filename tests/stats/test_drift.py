"""Drift of a rate: Fisher's exact test, alarms as rare as promised, and what could be seen at all."""

import numpy as np
import pytest
from scipy.stats import fisher_exact

from secondread.stats.drift import chance_of_fewer, rate_of

KNOWN = {"evidence_hits": 50, "evidence_n": 53}


@pytest.mark.parametrize("table", [(3, 10, 50, 53), (0, 4, 9, 9), (10, 10, 50, 53), (0, 0, 5, 9), (7, 20, 0, 0)])
def test_the_test_is_scipys(table):
    hits, n, other, m = table
    expected = fisher_exact([[hits, n - hits], [other, m - other]], alternative="less").pvalue
    assert chance_of_fewer(*table) == pytest.approx(expected)


def test_without_drift_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(800):
        here, there = rng.binomial(80, 0.9), rng.binomial(60, 0.9)
        alarms += rate_of(here, 80, evidence_hits=there, evidence_n=60, level=0.05, below_only=False).alarm
    assert alarms / 800 <= 0.055


def test_a_fall_to_a_half_with_four_hundred_reviewed_is_seen():
    found = rate_of(200, 400, **KNOWN, level=0.05 / 48, below_only=True)
    assert found.alarm
    assert found.seen_below > 0.6


@pytest.mark.parametrize("n", [12, 40, 400])
def test_what_it_says_it_could_see_it_sees_four_times_of_five(n):
    level = 0.05 / 48
    limit = rate_of(n, n, **KNOWN, level=level, below_only=True).seen_below
    drawn = np.random.default_rng(1).binomial(n, limit, 400)
    alarms = [rate_of(int(hits), n, **KNOWN, level=level, below_only=True).alarm for hits in drawn]
    assert np.mean(alarms) == pytest.approx(0.8, abs=0.06)


def test_more_images_see_a_smaller_fall_and_few_see_none():
    limits = [rate_of(n, n, **KNOWN, level=0.001, below_only=True).seen_below for n in (0, 1, 20, 100, 1000)]
    assert limits[:2] == [None, None]
    assert 0 < limits[2] < limits[3] < limits[4] < 50 / 53


def test_intervals_that_do_not_meet_mean_an_alarm():
    for hits in range(41):
        found = rate_of(hits, 40, **KNOWN, level=0.01, below_only=True)
        assert found.alarm or found.high >= found.evidence_low
    assert not rate_of(40, 40, evidence_hits=0, evidence_n=0, level=0.01, below_only=True).alarm
