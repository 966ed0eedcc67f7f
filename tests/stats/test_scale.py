"""The scale that people see never contradicts a decision, wherever the threshold is."""

import numpy as np
import pytest

from secondread.stats.interval import Interval
from secondread.stats.scale import marks, of_hundred, ratio_in_words, score_of

THRESHOLDS = [-1e-6, 0.0, 1e-6, 0.004, 0.005, 0.0051, 0.015, 0.151103, 0.18329, 0.185, 0.2, 0.495, 0.5, 0.505]
THRESHOLDS += [0.7, 0.994, 0.995, 0.9951, 0.999, 0.999999]
GRID = np.unique(np.concatenate([np.linspace(0, 1, 2001), *([at - 1e-6, at, at + 1e-6] for at in THRESHOLDS)]))
PROBABILITIES = [round(float(at), 6) for at in GRID if 0 <= at <= 1]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_score_stands_on_the_side_of_its_decision(threshold: float) -> None:
    _, positive = marks(threshold)
    for probability in PROBABILITIES:
        score = score_of(probability, threshold)
        assert (score >= positive) == (probability > threshold), (probability, threshold, score, positive)
        assert 0 <= score <= 100
        assert abs(score - 100 * probability) <= 1.5, "it is still the probability in percent"


BANDS = [(at, at - width) for at in THRESHOLDS for width in (1e-6, 0.002, 0.01, 0.05, 0.3) if at - width >= -1e-6]


@pytest.mark.parametrize(("threshold", "low"), BANDS)
def test_a_band_has_its_place_however_narrow(threshold: float, low: float) -> None:
    uncertain, positive = marks(threshold, low)
    assert uncertain is not None
    assert 0 <= uncertain < positive <= 100
    for probability in PROBABILITIES:
        score = score_of(probability, threshold, low)
        assert (score >= positive) == (probability > threshold)
        assert (uncertain <= score < positive) == (low < probability <= threshold)
        assert 0 <= score <= 100


@pytest.mark.parametrize("low", [None, 0.1])
def test_order_is_kept(low: float | None) -> None:
    scores = [score_of(probability, 0.18329, low) for probability in sorted(PROBABILITIES)]
    assert scores == sorted(scores)


def test_a_site_reads_screening_from_18() -> None:
    assert marks(0.18329) == (None, 18)
    assert score_of(0.203, 0.18329) == 20
    assert score_of(0.1834, 0.18329) == 18
    assert score_of(0.1832, 0.18329) == 17
    assert score_of(0.1832) == 18
    assert marks(0.133590, 0.101856) == (10, 13)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Interval(2.871, 2.2, 3.84), "2.9 (2.2–3.8)"),
        (Interval(12.4, 6.5, 25.6), "12 (6.5–26)"),
        (Interval(None, 12.0, None), "∞ (12–∞)"),
        (Interval(0.46, 0.014, 104617.0), "0.46 (0.01–> 1000)"),
        (Interval(None), "–"),
    ],
)
def test_a_ratio_is_told_by_two_figures(found: Interval, told: str) -> None:
    assert ratio_in_words(found) == told


@pytest.mark.parametrize(
    ("chance", "told"), [(0.0, "0"), (0.004, "fewer than 1"), (0.38, "38"), (0.996, "more than 99"), (1.0, "100")]
)
def test_of_a_hundred_people_none_and_all_are_said_only_where_they_are(chance: float, told: str) -> None:
    assert of_hundred(chance) == told
