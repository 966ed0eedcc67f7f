"""Drift of a rate: alarms as rare as promised however often one looks, and what could be seen at all."""

import numpy as np
import pytest

from secondread.stats.drift import Observed, Reference, Scores, score_drift, watched
from secondread.stats.interval import Interval
from secondread.stats.proportions import proportion
from secondread.stats.watch import Watch

KNOWN = Interval(50 / 53, n=53, n_effective=53.0)
WEEKLY = {"level": 0.05 / 4, "windows_a_year": 53}


def _window(hits: int, n: int, *, films: int = 1, start: int = 0) -> Observed:
    """n patients of so many films each, all films of a patient alike."""
    found = np.repeat(np.arange(n) < hits, films)
    return Observed(found, [f"patient {start + at // films}" for at in range(n * films)])


def _known(hits: int, n: int) -> Interval:
    return Interval(hits / n, n=n, n_effective=float(n))


@pytest.mark.parametrize(("truth", "n_evidence", "weekly"), [(0.95, 60, 20), (0.8, 400, 100), (0.6, 100, 7)])
def test_looked_at_every_day_of_a_year_without_drift_alarms_are_as_rare_as_promised(truth, n_evidence, weekly):
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        watch = Watch.over(_known(rng.binomial(n_evidence, truth), n_evidence), level=0.05, starts_a_year=53)
        hits = rng.binomial(1, truth, (52, weekly))
        daily = [watch.evidence(hits[:, : day + 1].sum(axis=1), np.full(52, day + 1)) for day in range(weekly)]
        alarms += bool(np.max(daily) >= watch.limit)
        alarms += any(found is not None for found in watch.alarms(hits.sum(axis=1), np.full(52, weekly)))
    assert alarms / 60 <= 0.05


def test_a_bet_on_a_fall_that_is_none_gains_nothing():
    """The stakes are a test martingale: their mean over all outcomes of ten images is 1 at the bound, less above it."""
    from scipy.stats import binom

    watch = Watch(0.8, 1.0)
    stakes = np.exp(watch.evidence(np.arange(11), np.full(11, 10)))
    assert stakes @ binom.pmf(np.arange(11), 10, 0.8) == pytest.approx(1)
    assert stakes @ binom.pmf(np.arange(11), 10, 0.9) < 1


def test_a_fall_to_a_half_with_four_hundred_reviewed_is_seen_in_its_first_week():
    calm, fallen = watched([_window(376, 400), _window(200, 400, start=400)], KNOWN, **WEEKLY)
    assert (calm.alarm, calm.since) == (False, None)
    assert (fallen.alarm, fallen.since) == (True, 1)
    assert fallen.seen_below > 0.6


def test_a_small_clinic_sees_a_lasting_fall_though_no_week_alone_could():
    weeks = [_window(5, 10, start=10 * at) for at in range(8)]
    found = watched(weeks, KNOWN, **WEEKLY)
    assert not found[0].alarm
    assert found[-1].alarm
    assert found[-1].since == 0
    assert found[0].seen_below < 0.3


def test_films_of_one_patient_are_one_observation_and_count_once():
    single, many = (watched([_window(2, 8, films=films)], KNOWN, **WEEKLY)[0] for films in (1, 50))
    assert (single.alarm, many.alarm) == (False, False), "400 films of 8 people are 8 people"
    assert single.seen_below == many.seen_below
    assert (many.n, many.n_groups) == (400, 8)
    assert many.high - many.low > 0.4
    again = watched([_window(2, 8), _window(2, 8)], KNOWN, **WEEKLY)[1]
    assert not again.alarm, "who comes again next week is no new evidence"


@pytest.mark.parametrize("n", [12, 40, 400])
def test_what_it_says_it_could_see_it_sees_four_times_of_five(n):
    watch = Watch.over(KNOWN, level=0.05 / 4, starts_a_year=53)
    drawn = np.random.default_rng(1).binomial(n, watch.seen_below(n), 400)
    assert np.mean(watch.evidence(drawn, np.full(400, n)) >= watch.limit) == pytest.approx(0.8, abs=0.07)


def test_more_images_see_a_smaller_fall_and_few_see_none():
    watch = Watch.over(KNOWN, level=0.05 / 4, starts_a_year=53)
    limits = [watch.seen_below(n) for n in (0, 1, 20, 100, 1000)]
    assert limits[:2] == [None, None]
    assert 0 < limits[2] < limits[3] < limits[4] < watch.bound < 50 / 53
    assert Watch.over(Interval(None), level=0.05, starts_a_year=53).seen_below(1000) is None
    [nothing] = watched([_window(0, 40)], Interval(None), **WEEKLY)
    assert not nothing.alarm


@pytest.mark.parametrize("hits", [0, 60])
def test_refusals_are_watched_in_both_directions(hits):
    known = proportion(np.arange(500) < 250)
    assert not watched([_window(50, 100)], known, **WEEKLY, both_sides=True)[0].alarm
    found = watched([_window(hits if hits == 0 else 100, 100)], known, **WEEKLY, both_sides=True)
    assert found[0].alarm


def test_scores_of_few_patients_with_many_films_are_few_scores():
    rng = np.random.default_rng(0)
    reference = Reference(Scores.of(rng.beta(5, 2, 300)), Scores.of(rng.beta(2, 5, 300)), Interval(None))
    values = np.repeat([0.5], 300)
    assert score_drift(Scores.of(values), reference, level=0.01).alarm
    assert not score_drift(Scores.of(values, np.arange(300) // 60), reference, level=0.01).alarm
    assert Scores.of(values, np.arange(300) // 60).n_effective == pytest.approx(5)
