"""The threshold table: laws of predictive values, worked numbers, and one class alone."""

import numpy as np
import pytest

from secondread.errors import UsageError
from secondread.stats.thresholds import threshold_table

RNG = np.random.default_rng(0)
TRUTH = np.arange(200) % 2 == 0
SCORES = np.round(np.clip(RNG.normal(0.4 + 0.25 * TRUTH, 0.2), 0, 1), 6)
GROUPS = [str(number // 2) for number in range(200)]


def table_of(y_true=TRUTH, scores=SCORES, **options):
    return threshold_table(y_true, scores, groups=GROUPS[: len(y_true)], named={"paper": 0.7}, **options)


def test_predictive_values_at_the_splits_own_prevalence_are_the_shares_seen():
    for row in table_of()["rows"]:
        positive = row["threshold"] < SCORES
        if positive.any() and (~positive & ~TRUTH).any():
            assert row["ppv"]["value"] == pytest.approx(TRUTH[positive].mean(), abs=1e-4)
            assert row["npv"]["value"] == pytest.approx((~TRUTH[~positive]).mean(), abs=1e-4)
            assert row["flagged_per_1000"] == pytest.approx(1000 * positive.mean(), abs=0.1)


@pytest.mark.parametrize("prevalence", [0.001, 0.02, 0.3, 0.9])
def test_every_value_lies_in_its_interval(prevalence):
    for row in table_of(prevalence=prevalence)["rows"]:
        for key in ("sensitivity", "specificity", "ppv", "npv"):
            if row[key]["value"] is not None:
                assert row[key]["low"] <= row[key]["value"] <= row[key]["high"]


def test_a_rarer_disease_makes_a_positive_worth_less_and_a_negative_more():
    rare, common = (table_of(prevalence=share)["rows"] for share in (0.01, 0.4))
    for one, other in zip(rare, common, strict=True):
        if one["ppv"]["value"] is not None and one["npv"]["value"] is not None:
            assert one["ppv"]["value"] <= other["ppv"]["value"]
            assert one["npv"]["value"] >= other["npv"]["value"]
            assert one["sensitivity"] == other["sensitivity"]


def test_a_textbook_example():
    """Sensitivity 0.9, specificity 0.8 at a prevalence of 1 %: 207 of 1,000 are flagged, 4.3 % of them rightly."""
    truth = np.repeat([True, False], 100)
    scores = np.r_[np.repeat([0.9, 0.1], [90, 10]), np.repeat([0.9, 0.1], [20, 80])]
    row = next(row for row in table_of(truth, scores, prevalence=0.01)["rows"] if row["name"] == "paper")
    assert row["ppv"]["value"] == pytest.approx(0.0435, abs=1e-4)
    assert row["npv"]["value"] == pytest.approx(0.99874, abs=1e-5)
    assert row["flagged_per_1000"] == 207.0


def test_without_a_false_alarm_a_positive_is_certain_and_its_lower_bound_is_not():
    truth = np.repeat([True, False], 100)
    row = next(r for r in table_of(truth, np.where(truth, 0.9, 0.1))["rows"] if r["name"] == "paper")
    assert row["ppv"]["value"] == 1
    assert row["lr_positive"]["value"] is None


def test_named_thresholds_stand_among_the_others_in_order_and_once():
    rows = table_of()["rows"]
    assert [row["threshold"] for row in rows] == sorted({row["threshold"] for row in rows})
    assert [row["name"] for row in rows if row["name"]] == ["paper"]


@pytest.mark.parametrize("diseased", [True, False])
def test_one_class_alone_gives_no_predictive_value(diseased):
    table = table_of(np.full(200, diseased), SCORES)
    assert table["prevalence"] == float(diseased)
    assert all(row["ppv"]["value"] is None and row["npv"]["value"] is None for row in table["rows"])
    assert all(row["flagged_per_1000"] is not None for row in table["rows"])


@pytest.mark.parametrize("prevalence", [0, 1, 2, -0.1])
def test_a_prevalence_that_is_no_share_is_refused(prevalence):
    with pytest.raises(UsageError, match="between 0 and 1"):
        table_of(prevalence=prevalence)


def test_no_images_give_no_rows():
    assert table_of(np.zeros(0, bool), np.zeros(0))["rows"] == []
