"""Margins: how far thresholds move for hospitals that chose none of them."""

import numpy as np
import pytest

from secondread.stats.margins import beyond_threshold, least_margin, moved
from secondread.stats.operating_points import ValidationSet, choose_operating_points
from secondread.stats.promises import Guarantee


def logit(p):
    return np.log(p / (1 - p))


def test_a_threshold_moves_on_the_scale_of_logits():
    assert logit(moved(0.3, -0.5)) == pytest.approx(logit(0.3) - 0.5, abs=1e-5)
    assert moved(0.3, 0.0) == 0.3
    assert moved(-1e-6, -2.0) == -1e-6, "all are positive already"
    assert 0 <= moved(2e-6, -9.0) < 2e-6


def test_no_margin_is_needed_where_the_mean_rate_is_reached():
    good, fair = np.linspace(-0.2, 5, 100), np.linspace(-0.8, 5, 50)
    assert np.mean(fair > 0) < 0.9
    assert least_margin([good, fair], target=0.9) == 0.0
    assert least_margin([fair], target=0.9) > 0


def test_the_margin_is_the_least_hundredth_that_reaches_the_mean_over_hospitals_whatever_their_size():
    rng = np.random.default_rng(0)
    hospitals = [rng.normal(1.0, 1.0, 200), rng.normal(0.3, 1.0, 40)]
    margin = least_margin(hospitals, target=0.9)

    def rate(by):
        return np.mean([np.mean(part > -by) for part in hospitals])

    assert margin > 0
    assert rate(margin) >= 0.9 > rate(margin - 0.01)


def test_one_far_off_is_reached_too():
    assert least_margin([np.array([-3.0, 1.0])], target=1.0) == pytest.approx(3.01)


def test_distances_are_those_of_logits_and_finite_at_the_ends():
    assert beyond_threshold(np.array([0.5, 0.2]), 0.2) == pytest.approx([logit(0.5) - logit(0.2), 0.0])
    assert np.isfinite(beyond_threshold(np.array([0.0, 1.0]), 0.0)).all()


def chosen(**margins):
    rng = np.random.default_rng(1)
    labels = np.arange(200) % 2 == 0
    probabilities = np.round(1 / (1 + np.exp(-rng.normal(np.where(labels, 1.5, -1.5), 1.0))), 6)
    on = ValidationSet(labels, probabilities, None, data="", date="", weights_sha256="")
    return choose_operating_points(on, target_sensitivity=0.9, target_specificity=0.7, margins=margins)


def test_screening_goes_down_and_confirm_up_and_both_say_so():
    plain, wide = chosen(), chosen(screening=0.6, confirm=0.3)
    assert logit(wide["screening"]["threshold"]) == pytest.approx(
        logit(plain["screening"]["threshold"]) - 0.6, abs=1e-4
    )
    assert logit(wide["confirm"]["threshold"]) == pytest.approx(logit(plain["confirm"]["threshold"]) + 0.3, abs=1e-4)
    assert wide["paper"] == plain["paper"]
    assert wide["screening"]["sensitivity"]["value"] >= plain["screening"]["sensitivity"]["value"]
    assert wide["screening"]["guarantee"]["margin"] == 0.6
    assert "then set lower by a margin of 0.6 logits" in wide["screening"]["chosen_by"]
    assert "then set higher by a margin of 0.3 logits" in wide["confirm"]["chosen_by"]
    assert "margin" not in plain["screening"]["chosen_by"]
    assert (wide["triage"]["low"], wide["triage"]["high"]) == (
        wide["screening"]["threshold"], wide["confirm"]["threshold"],
    )  # fmt: skip


def test_records_of_before_have_none():
    table = chosen(screening=0.6)["screening"]["guarantee"]
    assert Guarantee.from_dict(table).margin == 0.6
    del table["margin"]
    assert Guarantee.from_dict(table).margin == 0.0
