"""What is said of heat maps follows from the figures, for better and for worse."""

import numpy as np
import pytest

from secondread.evidence.localisation import MapMeasures, localisation_table
from secondread.evidence.report import heatmap_in_words
from secondread.stats.interval import Interval

GUESSES = {name: MapMeasures(0.2, 0.1, 0.1) for name in ("centre", "uniform", "body")}


def between(value, low, high):
    return {"value": value, "low": low, "high": high}


def table_of(pointing, *, n=60, correlation=0.0, energy_gain=(0.1, 0.05, 0.15)):
    maps = [MapMeasures(float(hit), 0.0, 0.1) for hit in np.arange(n) < round(pointing * n)]
    groups = [str(number) for number in range(n)]
    return {
        "n": n,
        "measures": localisation_table(maps, [GUESSES] * n, groups),
        "outside_body": {"n": n, "share": between(0.3, 0.2, 0.4), "uniform": between(0.5, 0.4, 0.6)},
        "randomised_weights": {
            "n": n,
            "random_states": [0, 1],
            "rank_correlation": between(correlation, None, None),
            "energy": between(0.2, 0.1, 0.3),
            "energy_randomised": between(0.1, 0.1, 0.1),
            "energy_gain": between(*energy_gain),
        },
    }


@pytest.mark.parametrize(
    ("pointing", "said"),
    [(0.9, "more often than the best blind guess"), (0.2, "cannot tell"), (0.0, "must not be used to find a lesion")],
)
def test_a_map_is_praised_or_warned_of_by_its_interval(pointing, said):
    assert said in heatmap_in_words(table_of(pointing))[0]


def test_the_share_outside_the_body_stands_beside_that_of_the_image():
    assert (
        heatmap_in_words(table_of(0.5))[1] == "Outside the body lies 30.0% of the map, and 50.0% of the image (n = 60)."
    )


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ((0.1, 0.05, 0.15), "has brought the map nearer the lesion"),
        ((0.0, -0.1, 0.1), "has not brought the map nearer the lesion"),
        ((-0.1, -0.15, -0.05), "has brought the map away from the lesion"),
        ((0.1, None, None), "has not brought the map nearer the lesion"),  # too few to say
    ],
)
def test_the_sanity_test_says_what_learning_did(gain, said):
    assert said in heatmap_in_words(table_of(0.5, energy_gain=gain))[2]


def test_without_lesions_only_the_body_is_spoken_of():
    table = {**table_of(0.5), "n": 0, "randomised_weights": None}
    assert len(heatmap_in_words(table)) == 1


def test_nothing_is_said_of_nothing():
    nothing = {"n": 0, "share": Interval(None).to_dict(), "uniform": None}
    assert heatmap_in_words({"n": 0, "outside_body": nothing, "randomised_weights": None}) == []
