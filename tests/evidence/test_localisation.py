"""Heat maps against lesions: known answers, and laws that hold for any map."""

import numpy as np
import pytest

from secondread.evidence.localisation import (
    TOLERANCE,
    MapMeasures,
    Target,
    baselines,
    body_of,
    localisation_table,
    rank_correlation,
    share_outside,
)
from secondread.stats.bootstrap import grouped_means
from secondread.stats.interval import Interval
from secondread.testing.phantoms import bone_phantom, brain_phantom, chest_phantom

EVERYWHERE = np.ones((100, 200), dtype=bool)


def box(top, left, bottom, right, shape=(100, 200)):
    drawn = np.zeros(shape, dtype=np.float32)
    drawn[top:bottom, left:right] = 1
    return drawn


def peak(row, column, shape=(100, 200)):
    return box(row, column, row + 1, column + 1, shape)


LESION = box(40, 30, 60, 50)


def test_a_map_that_is_the_lesion_scores_one_throughout():
    assert Target(LESION).measure(LESION) == MapMeasures(1.0, 1.0, 1.0)


def test_a_map_beside_the_lesion_scores_nothing():
    assert Target(LESION).measure(box(40, 150, 60, 170)) == MapMeasures(0.0, 0.0, 0.0)


def test_a_map_without_a_positive_cell_is_a_miss():
    assert Target(LESION).measure(np.zeros_like(LESION)) == MapMeasures(0.0, 0.0, 0.0)


@pytest.mark.parametrize("distance", range(1, 10))
def test_the_pointing_game_allows_its_tolerance_and_no_more(distance):
    found = Target(LESION).measure(peak(50, 49 + distance))
    assert found.pointing_exact == 0
    assert found.pointing == (distance <= TOLERANCE * 200)


def test_a_uniform_map_scores_what_a_random_point_scores_on_average():
    target = Target(LESION)
    uniform = target.measure(np.ones_like(LESION))
    points = [target.measure(peak(row, column)) for row in range(0, 100, 5) for column in range(0, 200, 5)]
    assert uniform.energy == pytest.approx(LESION.mean())
    assert uniform.pointing_exact == pytest.approx(LESION.mean())
    assert uniform.pointing == pytest.approx(np.mean([point.pointing for point in points]), abs=0.01)


@pytest.mark.parametrize(
    ("lesion", "hit"),
    [
        (box(45, 95, 55, 105), 1.0),  # over the centre
        (box(0, 0, 20, 20), 0.0),  # in a corner
        (box(0, 0, 50, 100), 0.25),  # one of the four central pixels of an even image
    ],
)
def test_the_centre_baseline_is_exact(lesion, hit):
    assert baselines(Target(lesion), EVERYWHERE)["centre"].pointing_exact == hit


def test_the_body_baseline_is_the_lesions_share_of_the_body():
    found = baselines(Target(LESION), box(20, 20, 80, 120) > 0)["body"]
    assert found.energy == pytest.approx(LESION.sum() / 6000)


def test_measures_do_not_hang_on_the_scale_of_a_map():
    target, strength = Target(LESION), np.random.default_rng(0).random(LESION.shape).astype(np.float32)
    one, other = target.measure(strength), target.measure(7 * strength)
    assert one.to_row() == pytest.approx(other.to_row())


def test_energy_inside_and_outside_a_region_are_the_whole():
    strength = np.random.default_rng(1).random(LESION.shape).astype(np.float32)
    assert Target(LESION).measure(strength).energy + share_outside(strength, LESION > 0) == pytest.approx(1)


def test_a_map_of_zeros_has_no_share_outside():
    assert share_outside(np.zeros((4, 4), np.float32), np.ones((4, 4), bool)) is None


@pytest.mark.parametrize("phantom", [chest_phantom, brain_phantom])
def test_the_body_is_found_with_its_dark_parts_and_without_the_background(phantom):
    body = body_of(phantom(128, random_state=0))
    assert body[64, 64]
    assert body[60, 40]  # a lung, or grey matter
    assert not body[2, 2]
    assert 0.3 < body.mean() < 0.95


def test_both_views_of_a_film_are_body_and_a_letter_on_it_is_not():
    view = bone_phantom(128, random_state=0)[:, 20:108]
    film = np.hstack([view, np.zeros((128, 20), np.uint8), view])
    film[2:8, 92:98] = 255
    body = body_of(film)
    assert body[64, 44]
    assert body[64, 152]
    assert not body[5, 95]


def test_a_blank_picture_is_all_body():
    assert body_of(np.zeros((40, 30), np.uint8)).all()


def test_rank_correlation_has_its_laws():
    rng = np.random.default_rng(0)
    one, other = rng.random((4, 4)), rng.random((4, 4))
    assert rank_correlation(one, np.exp(5 * one)) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    assert rank_correlation(one, other) == pytest.approx(rank_correlation(other, one))
    assert np.isnan(rank_correlation(one, np.ones((4, 4))))


def test_grouped_means_are_the_means_and_alike_images_widen_the_interval():
    values = np.random.default_rng(0).random((40, 1))
    alone = grouped_means(np.repeat(values, 5, axis=0), [str(number) for number in range(200)])[0]
    together = grouped_means(np.repeat(values, 5, axis=0), [str(number // 5) for number in range(200)])[0]
    assert alone.value == pytest.approx(together.value) == pytest.approx(values.mean())
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_grouped_means_of_nothing_are_not_defined():
    assert grouped_means(np.zeros((0, 2)), []) == [Interval(None)] * 2


def test_the_gain_is_over_the_best_of_the_blind_guesses():
    target = Target(LESION)
    maps = [target.measure(LESION)] * 4
    table = localisation_table(maps, [baselines(target, LESION > 0)] * 4, list("aabb"))
    energy = table["energy"]
    assert energy["map"]["value"] == 1
    assert energy["body"]["value"] == 1  # the body is the lesion here, so nothing is gained
    assert energy["gain"]["value"] == 0
    assert energy["uniform"]["value"] == pytest.approx(0.02)


def test_a_table_without_images_says_so():
    assert localisation_table([], [], [])["energy"] == {"map": {"value": None, "low": None, "high": None}}
