"""Operating points: thresholds that keep their promise, also for many images of a patient, or say they cannot."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from secondread.errors import OneClassOnly
from secondread.reading import Decision, OperatingPoint
from secondread.reading.reader import decide
from secondread.stats.calibration import CALIBRATION_METHODS, Calibration, fit_calibration
from secondread.stats.operating_points import (
    PAPER_THRESHOLD,
    ValidationSet,
    calibrated_paper_threshold,
    choose_operating_points,
    guarantee_at,
    measure_operating_point,
)
from secondread.stats.promises import Guarantee, Promise, images_needed
from secondread.stats.proportions import clopper_pearson, effective_size, intraclass_correlation, lower_bound

ON = partial(ValidationSet, data="val", date="2026-01-01", weights_sha256="0" * 64)
seeds = st.integers(0, 10_000)


def make_case(seed, n=150, decimals=6, groups=None):
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.5
    y[:2] = (True, False)
    p = np.round(1 / (1 + np.exp(-rng.normal(2 * y - 1, 1.2))), decimals)
    return ON(y, p, groups)


def screening_point(on, *, target):
    """A specificity of 1 puts confirm at the top, out of the way."""
    return choose_operating_points(on, target_sensitivity=target, target_specificity=1 - 1e-9)["screening"]


def confirm_point(on, *, target):
    return choose_operating_points(on, target_sensitivity=1 - 1e-9, target_specificity=target)["confirm"]


def rates(on, threshold):
    above = on.probabilities > threshold
    return above[on.y_true].mean(), (~above)[~on.y_true].mean()


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([1, 2, 6]))
def test_screening_is_the_largest_threshold_that_is_proven(seed, decimals):
    on = make_case(seed, decimals=decimals)
    point = screening_point(on, target=0.85)
    positives = on.probabilities[on.y_true]
    found = (positives > point["threshold"]).sum()
    assert point["guarantee"]["holds"]
    assert lower_bound(found, len(positives), confidence=0.9) >= 0.85
    further = positives[positives > point["threshold"]].min()  # a threshold here would miss these too
    assert lower_bound((positives > further).sum(), len(positives), confidence=0.9) < 0.85


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([1, 2, 6]))
def test_confirm_is_screening_seen_from_the_other_side(seed, decimals):
    """Turn classes and probabilities round: the same images are called alike."""
    on = make_case(seed, decimals=decimals)
    turned = ON(~on.y_true, np.round(1 - on.probabilities, 6), None)
    confirm, screening = confirm_point(on, target=0.85), screening_point(turned, target=0.85)
    assert confirm["specificity"] == screening["sensitivity"]
    assert confirm["sensitivity"] == screening["specificity"]
    assert confirm["guarantee"] | {"on": ""} == screening["guarantee"] | {"on": ""}


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_points_are_measured_where_they_stand(seed):
    on = make_case(seed)
    points = choose_operating_points(on, target_sensitivity=0.9, target_specificity=0.8)
    assert points["paper"]["threshold"] == 0.7
    for name in ("paper", "screening", "confirm"):
        point = points[name]
        found = (point["sensitivity"]["value"], point["specificity"]["value"])
        assert found == pytest.approx(rates(on, point["threshold"]), abs=1e-6)
        assert point["sensitivity"]["low"] <= found[0] <= point["sensitivity"]["high"]
    assert ("triage" in points) == (points["screening"]["threshold"] < points["confirm"]["threshold"])
    assert json.loads(json.dumps(points)) == points
    for name, table in points.items():
        promised = table.get("guarantee", {})
        told = [promised[key] for key in ("sensitivity", "specificity")] if name == "triage" else [promised]
        bound = OperatingPoint.from_record(name, table)
        assert [one.to_dict() for one in bound.guarantees] == [json.loads(json.dumps(one)) for one in told if one]
        assert bound.holds == promised.get("holds")


def test_triage_gives_three_answers():
    on = make_case(0)
    point = choose_operating_points(on, target_sensitivity=0.95, target_specificity=0.9)["triage"]
    bound = OperatingPoint.from_record("triage", point)
    decisions = np.array([decide(p, bound) for p in on.probabilities])
    uncertain = decisions == Decision.UNCERTAIN
    assert uncertain.mean() == pytest.approx(point["uncertain"]["value"], abs=1e-6)
    assert (decisions[on.y_true] != Decision.NEGATIVE).mean() == pytest.approx(point["sensitivity"]["value"], abs=1e-6)
    assert (decisions[~on.y_true] != Decision.POSITIVE).mean() == pytest.approx(point["specificity"]["value"], abs=1e-6)
    assert point["guarantee"]["confidence_together"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("target", "confidence", "n"), [(0.9, 0.9, 22), (0.95, 0.9, 45), (0.95, 0.95, 59), (0.99, 0.95, 299), (0.5, 0.5, 1)]
)
def test_images_needed_are_those_of_the_success_run(target, confidence, n):
    """59 for 95/95 and 299 for 99/95: Wilks 1941, as in every table of one-sided tolerance limits."""
    assert images_needed(target, confidence) == n
    assert lower_bound(n, n, confidence=confidence) >= target - 1e-12
    assert lower_bound(n - 1, n - 1, confidence=confidence) < target


def test_too_few_images_are_said_not_hidden():
    y = np.arange(40) < 20
    on = ON(y, np.where(y, 0.9, 0.1), None)
    point = screening_point(on, target=0.9)
    assert not point["guarantee"]["holds"]
    assert point["guarantee"]["sources"][0]["n_needed"] == 22
    assert (
        "not shown; 20 images (sources not told apart) are too few (22 such images are needed at least)"
        in point["chosen_by"]
    )
    assert point["chosen_by"].endswith("the threshold follows the observed sensitivity")
    assert point["sensitivity"]["value"] == 1, "the observed rate reaches the target all the same"
    more = np.arange(44) < 22
    assert screening_point(ON(more, np.where(more, 0.9, 0.1), None), target=0.9)["guarantee"]["holds"]


def test_images_of_few_patients_prove_less():
    """200 images of 8 patients whose images are alike are worth about 8."""
    patients = np.repeat(np.linspace(0.5, 0.9, 8), 25)
    y = np.r_[np.ones(200, dtype=bool), np.zeros(50, dtype=bool)]
    p = np.r_[patients, np.full(50, 0.1)]
    groups = [str(i // 25) for i in range(200)] + [f"n{i}" for i in range(50)]
    alone, together = (screening_point(ON(y, p, g), target=0.9)["guarantee"] for g in (None, groups))
    assert alone["holds"]
    assert not together["holds"]
    assert together["sources"][0]["n_effective"] < 9
    assert together["sources"][0]["n_needed"] > 500


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_saturated_probabilities_still_give_a_point(edge):
    y = np.arange(100) < 50
    on = ON(y, np.full(100, edge), None)
    points = choose_operating_points(on, target_sensitivity=0.9, target_specificity=0.8)
    assert points["screening"]["sensitivity"]["value"] == 1
    assert points["confirm"]["specificity"]["value"] == 1


def test_one_class_is_an_error_that_says_what_to_do():
    with pytest.raises(OneClassOnly, match="add some"):
        screening_point(ON(np.ones(5, dtype=bool), np.full(5, 0.5), None), target=0.9)


def test_groups_of_one_change_nothing():
    on = make_case(0)
    named = ON(on.y_true, on.probabilities, [f"p{i}" for i in range(150)])
    for point in (screening_point, confirm_point):
        assert point(on, target=0.9)["guarantee"] == point(named, target=0.9)["guarantee"]
    measured = measure_operating_point(
        on.y_true, on.probabilities, threshold=0.5, chosen_by="", data="", date="", weights_sha256=""
    )
    n = int(on.y_true.sum())
    interval = clopper_pearson(int((on.probabilities[on.y_true] > 0.5).sum()), n)
    assert (measured["sensitivity"]["low"], measured["sensitivity"]["high"]) == pytest.approx(interval, abs=1e-6)
    assert measured["sensitivity"]["n"] == n


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_effective_size_lies_between_patients_alike_and_images_alone(seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    hits = rng.random(len(groups)) < 0.8
    size = effective_size(hits, groups, confidence=0.9)
    assert effective_size(hits, groups, confidence=0.9, least_correlation=1.0) <= size <= len(groups)
    assert 0 <= intraclass_correlation(hits, groups) <= 1
    assert intraclass_correlation(groups.astype(float), groups) == 1


@pytest.mark.parametrize("method", CALIBRATION_METHODS)
def test_the_papers_point_decides_alike_under_every_calibration(method):
    """Positive is 0.7 of the network's own probability, wherever calibration takes it."""
    rng = np.random.default_rng(0)
    logits = np.round(rng.normal(0, 3, 400), 2)
    y = rng.random(400) < 1 / (1 + np.exp(-logits / 2.5))
    calibration = fit_calibration(method, logits, y)
    threshold = calibrated_paper_threshold(calibration)
    own = np.round(1 / (1 + np.exp(-logits)), 6)
    assert ((np.round(calibration.apply(logits), 6) > threshold) == (own > PAPER_THRESHOLD)).all()
    assert (threshold == PAPER_THRESHOLD) == (method == "none")


def test_the_papers_point_leaves_what_is_certain_positive():
    calibration = Calibration(0.05)
    assert np.round(calibration.apply(np.array([1.5])), 6) > calibrated_paper_threshold(calibration)


def simulate(n_groups, size, correlation, *, target=0.9, repeats=500):
    """How often a proven threshold keeps its promise in truth, and how often one is proven.

    Scores of positives are normal, with this correlation within a patient; patients have 1 to 2 · size − 1 images.
    """
    rng, kept, proven = np.random.default_rng(0), 0, 0
    for _ in range(repeats):
        groups = np.repeat(np.arange(n_groups), rng.integers(1, 2 * size, n_groups))
        own = rng.normal(size=len(groups))
        scores = np.sqrt(correlation) * rng.normal(size=n_groups)[groups] + np.sqrt(1 - correlation) * own
        margins = np.rint(1e6 * ndtr(scores / 3 + 0.5)).astype(int)
        promise = Promise("sensitivity", margins, groups, target=target, confidence=0.9)
        cut, guarantee = promise.cut, promise.at(promise.cut)
        truth = ndtr(-(ndtri(np.clip(cut / 1e6, 1e-9, 1 - 1e-9)) - 0.5) * 3)
        proven += guarantee.holds
        kept += guarantee.holds and truth >= target
    return kept / max(proven, 1), proven / repeats


@pytest.mark.parametrize(
    ("n_groups", "size", "correlation"),
    [(26, 1, 0), (60, 1, 0), (200, 1, 0), (20, 8, 0.0), (20, 8, 0.3), (40, 4, 0.5), (40, 4, 0.8), (40, 3, 1.0)],
)
def test_guarantees_are_kept_as_often_as_they_promise(n_groups, size, correlation):
    """90 % at least, but for the noise of 500 trials; and not so cautious that nothing is ever proven."""
    kept, proven = simulate(n_groups, size, correlation)
    assert kept >= 0.9 - 0.02
    assert proven >= 0.5


@pytest.mark.parametrize("rare", [0.02, 0.05, 0.08])
def test_a_rare_kind_of_patient_does_not_break_the_worst_case(rare):
    """A few patients are missed whatever the threshold, and the validation set may hold none of them."""
    rng, broken, proven = np.random.default_rng(0), 0, 0
    for _ in range(500):
        missed = rng.random(60) < rare
        groups = np.repeat(np.arange(60), 8)
        scores = np.where(missed[groups], -6, 0) + rng.normal(size=480)
        margins = np.rint(1e6 * ndtr(scores / 3 + 0.5)).astype(int)
        promise = Promise("sensitivity", margins, groups, target=0.9, confidence=0.9, worst_case=True)
        cut, guarantee = promise.cut, promise.at(promise.cut)
        place = (ndtri(np.clip(cut / 1e6, 1e-9, 1 - 1e-9)) - 0.5) * 3
        truth = rare * ndtr(-place - 6) + (1 - rare) * ndtr(-place)
        proven += guarantee.holds
        broken += guarantee.holds and truth < 0.9
    assert broken / 500 <= 0.1
    assert proven / 500 > 0.5


def test_counting_images_of_one_patient_as_independent_would_break_the_promise():
    """The reason for effective sizes: without groups the same simulation keeps it far less often."""
    rng, kept = np.random.default_rng(0), 0
    for _ in range(300):
        scores = np.repeat(rng.normal(size=20), 8)
        margins = np.rint(1e6 * ndtr(scores / 3 + 0.5)).astype(int)
        cut = Promise("sensitivity", margins, np.arange(160), target=0.9, confidence=0.9).cut
        kept += ndtr(-(ndtri(cut / 1e6) - 0.5) * 3) >= 0.9
    assert kept / 300 < 0.75


def test_a_proof_of_sensitivity_of_no_use_is_not_taken():
    """One positive far below the others: sensitivity is proven only where nearly every negative is called positive."""
    positives = np.concatenate([[0.01], np.linspace(0.4, 0.9, 23)])
    negatives = np.linspace(0.005, 0.5, 100)
    labels = np.repeat([True, False], [24, 100])
    point = screening_point(ON(labels, np.concatenate([positives, negatives]), None), target=0.9)
    assert not point["guarantee"]["holds"]
    assert point["guarantee"]["sources"][0]["useless"] == 0.01
    assert (
        "24 images (sources not told apart) are enough, but show it only where the other rate is 0.010"
        in point["chosen_by"]
    )
    assert point["sensitivity"]["value"] >= 0.9
    assert point["specificity"]["value"] > 0.7


def test_a_proof_of_specificity_of_no_use_is_not_taken():
    """The mirror image, for the point that confirms."""
    negatives = np.concatenate([[0.99], np.linspace(0.1, 0.6, 23)])
    positives = np.linspace(0.5, 0.995, 100)
    labels = np.repeat([False, True], [24, 100])
    point = confirm_point(ON(labels, np.concatenate([negatives, positives]), None), target=0.9)
    assert not point["guarantee"]["holds"]
    assert (
        "24 images (sources not told apart) are enough, but show it only where the other rate is 0.010"
        in point["chosen_by"]
    )
    assert point["specificity"]["value"] >= 0.9


def two_hospitals(rng, *, n=(60, 60), shift=(0.0, 0.0), n_negative=200):
    """Scores of positives, normal and shifted by hospital, and of negatives; as a validation set."""
    positives = np.concatenate([rng.normal(1.5 + by, 1, size) for size, by in zip(n, shift, strict=True)])
    scores = np.concatenate([positives, rng.normal(-1.5, 1, n_negative)])
    labels = np.arange(len(scores)) < len(positives)
    sources = ["a"] * n[0] + ["b"] * n[1] + ["a"] * n_negative
    return ON(labels, np.round(ndtr(scores / 2), 6), None, sources=sources)


def sensitivity_at(threshold, shift):
    return ndtr(1.5 + shift - 2 * ndtri(np.clip(threshold, 1e-9, 1 - 1e-9)))


def test_a_promise_is_made_for_each_hospital():
    """The same images as one heap prove a threshold that misses a third at the second hospital."""
    rng = np.random.default_rng(0)
    heap, apart = 0, 0
    for _ in range(200):
        on = two_hospitals(rng, n=(150, 40), shift=(0.0, -1.2))
        pooled = replace(on, sources=None)
        for points, told in ((screening_point(on, target=0.85), True), (screening_point(pooled, target=0.85), False)):
            broken = points["guarantee"]["holds"] and sensitivity_at(points["threshold"], -1.2) < 0.85
            apart, heap = apart + (told and broken), heap + (not told and broken)
    assert apart / 200 <= 0.1, "what is said to be shown at each hospital is true at each, 9 times of 10"
    assert heap / 200 > 0.8


def test_the_weakest_hospital_counts():
    on = two_hospitals(np.random.default_rng(1), n=(60, 10))
    guarantee = Guarantee.from_dict(screening_point(on, target=0.9)["guarantee"])
    assert [(one.source, one.shown) for one in guarantee.sources] == [("a", True), ("b", False)]
    assert not guarantee.holds
    assert guarantee.in_words().startswith("sensitivity at least 0.9 with 90 % confidence: shown on 60 images of a")
    assert "; 10 images of b are too few (22 such images are needed at least)" in guarantee.in_words()


def test_a_hospital_of_few_images_does_not_move_the_threshold_alone():
    """One image far off among three would take the threshold with it; it counts among all."""
    on = two_hospitals(np.random.default_rng(2), n=(200, 3))
    probabilities = on.probabilities.copy()
    probabilities[200] = 0.0001
    far = replace(on, probabilities=probabilities)
    assert screening_point(far, target=0.85)["threshold"] > 0.3
    shown = Guarantee.from_dict(screening_point(far, target=0.85)["guarantee"]).sources[1]
    assert (shown.source, shown.shown, shown.too_few) == ("b", False, True)


def test_which_condition_failed_is_said():
    """82 images where 75 are needed are not too few: they show it only at a threshold of no use."""
    positives = np.concatenate([[0.01] * 3, np.linspace(0.4, 0.9, 97)])
    on = ON(np.arange(200) < 100, np.concatenate([positives, np.linspace(0.02, 0.5, 100)]), None, sources=["x"] * 200)
    point = screening_point(on, target=0.95)
    shown = Guarantee.from_dict(point["guarantee"]).sources[0]
    assert not shown.too_few
    assert shown.useless == 0
    assert "too few" not in point["chosen_by"]
    assert "100 images of x are enough, but show it only where the other rate is 0.000" in point["chosen_by"]


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([0.3, 0.6, 0.9]), st.sampled_from([0.3, 0.6, 0.9]))
def test_screening_never_lies_above_confirm_and_both_still_hold(seed, sensitivity, specificity):
    on = make_case(seed)
    points = choose_operating_points(on, target_sensitivity=sensitivity, target_specificity=specificity)
    low, high = points["screening"]["threshold"], points["confirm"]["threshold"]
    assert low <= high
    assert ("triage" in points) == (low < high)
    assert points["screening"]["guarantee"]["holds"]
    assert points["confirm"]["guarantee"]["holds"]
    if "triage" in points:
        assert (points["triage"]["low"], points["triage"]["high"]) == (low, high)
        assert points["triage"]["uncertain"]["value"] > 0, "the band holds images"


def test_a_rare_kind_of_patient_breaks_a_promise_and_what_is_left_is_said():
    """One patient in six is always missed; ten patients hold none of them one time in six, and promise 0.9 then."""
    rng, broken, held = np.random.default_rng(0), 0, 0
    for _ in range(400):
        missed = rng.random(10) < 1 / 6
        groups = np.repeat(np.arange(10), 8)
        margins = np.rint(1e6 * ndtr((np.where(missed[groups], -6, 2) + rng.normal(size=80)) / 3)).astype(int)
        promise = Promise("sensitivity", margins, groups, target=0.9, confidence=0.9, others=np.full(50, 10_000))
        shown = promise.at(promise.cut).sources[0]
        broken += shown.shown and not missed.any()
        held += shown.rare_bound <= 5 / 6
    assert broken / 400 > 0.12, "more often than the confidence allows"
    assert held / 400 >= 0.9, "the bound that counts a patient once is kept"


def test_a_promise_at_an_old_threshold_is_told_apart_by_hospital():
    on = two_hospitals(np.random.default_rng(3))
    for name in ("screening", "confirm"):
        point = choose_operating_points(on, target_sensitivity=0.85, target_specificity=0.85)[name]
        guarantee = Guarantee.from_dict(point["guarantee"])
        assert guarantee_at(on, guarantee, threshold=point["threshold"]) == guarantee


def test_a_record_of_before_hospitals_were_told_apart_still_loads():
    old = {
        "on": "sensitivity", "target": 0.9, "confidence": 0.9, "holds": False, "lower_bound": 0.75, "n": 82,
        "n_effective": 19.0, "n_needed": 75, "worst_case": False, "other": 0.02847,
    }  # fmt: skip
    said = Guarantee.from_dict(old).in_words()
    assert said.endswith("are enough, but show it only where the other rate is 0.028, no better than a coin")
    held = Guarantee.from_dict({**old, "holds": True}).in_words()
    assert (
        held
        == "sensitivity at least 0.9 with 90 % confidence: shown on 82 images (sources not told apart), not elsewhere"
    )
