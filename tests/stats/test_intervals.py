"""Intervals: how they are written, published examples, laws, and that they hold the truth as often as they say."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from secondread.errors import DataInvalid, UnknownName
from secondread.stats.bootstrap import bootstrap, grouped_means
from secondread.stats.delong import auc_interval
from secondread.stats.interval import Interval
from secondread.stats.measures import MEASURES, measure
from secondread.stats.metrics import METRICS, confusion, roc_auc
from secondread.stats.proportions import clopper_pearson, group_codes, proportion
from secondread.stats.rates import rates_at

cases = st.integers(0, 10_000).map(lambda seed: make_case(seed))


def make_case(seed):
    """Labels of both classes, scores with many ties, and groups of two images."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 60))
    y = rng.random(n) < rng.uniform(0.1, 0.9)
    y[:4] = (True, False, False, True)
    return y, rng.integers(0, 12, n) / 11, [f"g{at // 2}" for at in range(n)]


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(None), "–"),
        (Interval(0.8684, 0.7881, 0.9349), "0.868 (0.788–0.935)"),
        (Interval(-0.1, -0.2, 0.05), "−0.100 (−0.200 to 0.050)"),
        (Interval(20.0, 8.25, None), "20.000 (8.250–∞)"),
        (Interval(0.9), "0.900 (too few to say)"),
        (Interval(1.0, 0.025, 1.0, n=1), "1.000 (too few to say)"),
        (Interval(1.0, 0.025, 1.0, n=40, n_groups=1), "1.000 (too few to say)"),
        (Interval(-1e-9, -0.1, 0.1), "0.000 (−0.100 to 0.100)"),
    ],
)
def test_how_an_interval_is_written(interval, text):
    assert interval.format() == text


def test_an_interval_in_percent():
    assert Interval(0.9123, 0.88, 0.939).format(scale=100, digits=1) == "91.2 (88.0–93.9)"
    assert Interval(0.0417, 0.01, 0.2).times(1000, digits=1) == Interval(41.7, 10.0, 200.0)


@given(st.integers(0, 40), st.integers(0, 40))
def test_an_interval_survives_its_file(hits, misses):
    found = proportion(np.arange(hits + misses) < hits, np.arange(hits + misses) // 2)
    table = json.loads(json.dumps(found.to_dict()))
    assert Interval.from_dict(table).to_dict() == table
    assert json.dumps(Interval(np.inf, 2.0, np.inf).to_dict()) == '{"value": null, "low": 2.0, "high": null}'


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 16, 0.0, 0.2059),
        (52, 52, 0.9315, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_clopper_pearson_gives_the_published_intervals(successes, n, low, high):
    """81 of 263 and 15 of 148: Newcombe, Statistics in Medicine 1998, table I."""
    assert clopper_pearson(successes, n) == pytest.approx((low, high), abs=6e-5)


def test_many_films_of_patients_who_are_all_alike_are_worth_one_of_each():
    films, patients = np.ones(156, bool), np.repeat(np.arange(52), 3)
    found = proportion(films, patients)
    assert found.n_groups == 52
    assert found.low <= proportion(films[:52]).low == pytest.approx(0.9315, abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(cases)
def test_every_measure_lies_in_its_interval_and_no_interval_is_without_width(case):
    y, s, groups = case
    found = measure(y, s, threshold=0.5, groups=groups, n_resamples=100, measures=MEASURES)
    assert tuple(found) == MEASURES
    for name, interval in found.items():
        if interval.value is not None and not interval.too_few:
            high = np.inf if interval.high is None else interval.high
            assert 0 <= interval.low <= interval.value <= high, name
            assert high - interval.low > 1e-6, name
    assert found["roc_auc"].value == pytest.approx(roc_auc(y, s))


@pytest.mark.parametrize("n", [2, 16, 52, 300])
@pytest.mark.parametrize("per_group", [1, 4])
def test_a_faultless_model_is_not_certain(n, per_group):
    y = np.arange(2 * n) < n
    groups = [f"{own}{at // per_group}" for own, at in zip(y, range(2 * n), strict=True)]
    found = measure(y, y.astype(float), threshold=0.5, groups=groups, measures=MEASURES, n_resamples=100)
    for name, interval in found.items():
        if interval.value is not None and not interval.too_few:
            assert (1.0 if interval.high is None else interval.high) - interval.low > 0.001, name
    if n // per_group >= 2:
        assert not found["roc_auc"].too_few
    assert found["recall"].low == pytest.approx(0.025 ** (1 / n), abs=1e-6) or per_group > 1


def test_rates_at_the_images_own_prevalence_are_the_shares_seen():
    y, s, groups = make_case(3)
    positive, cells = s > 0.5, vars(confusion(y, s > 0.5))
    rates, share = rates_at(y, positive, groups), float(y.mean())
    assert rates.ppv(share).value == pytest.approx(float(METRICS["precision"](**cells)))
    assert rates.npv(share).value == pytest.approx((~y[~positive]).mean())
    assert rates.flagged(share).value == pytest.approx(positive.mean())
    assert rates.missed(share).value == pytest.approx((y & ~positive).mean())
    for name in ("lr_positive", "lr_negative"):
        assert getattr(rates, name).value == pytest.approx(float(METRICS[name](**cells)))


def test_a_likelihood_ratio_of_a_published_table():
    """Liver scans, Altman & Bland, BMJ 1994: 231 of 258 and 32 of 86; the log method gives 2.41 (1.82 to 3.18)."""
    y = np.arange(344) < 258
    positive = np.r_[np.arange(258) < 231, np.arange(86) < 32]
    found = rates_at(y, positive).lr_positive
    assert (found.value, found.low, found.high) == pytest.approx((2.406, 1.82, 3.18), abs=0.15)


def test_an_unbounded_ratio_has_no_upper_end():
    y = np.arange(40) < 20
    assert rates_at(y, y).lr_positive == Interval(None)
    assert rates_at(y, y).ppv(0.5).value == 1
    assert 0.8 < rates_at(y, y).ppv(0.5).low < 0.95
    one_off = rates_at(y, y | (np.arange(40) == 25)).lr_positive.to_dict()
    assert one_off["value"] == 20
    assert one_off["low"] > 1


def test_one_patient_of_a_class_is_too_few_to_say():
    y = np.arange(40) < 20
    groups = ["one" if own else str(at) for at, own in enumerate(y)]
    scores = np.linspace(1, 0, 40)
    rates = rates_at(y, scores > 0.7, groups)
    assert [found.too_few for found in (rates.sensitivity, rates.specificity, rates.ppv(0.1))] == [True, False, True]
    assert auc_interval(y, scores, groups=groups).too_few
    assert grouped_means(scores[:, None], ["one"] * 40)[0].format() == "0.500 (too few to say)"


def test_bootstrap_resamples_whole_groups():
    """Copies of one patient add no certainty: the interval of 40 patients seen 25 times is that of 40 images."""
    rng = np.random.default_rng(0)
    y = rng.random(40) < 0.5
    s = np.clip(y * 0.3 + rng.random(40) * 0.7, 0, 1)
    names = ("roc_auc", "brier", "accuracy")
    once = measure(y, s, threshold=0.5, groups=[str(i) for i in range(40)], measures=names)
    copies = [str(i) for i in range(40) for _ in range(25)]
    many = measure(np.repeat(y, 25), np.repeat(s, 25), threshold=0.5, groups=copies, measures=names)
    for name in names:
        ends = [(found[name].low, found[name].high) for found in (once, many)]
        assert ends[0] == pytest.approx(ends[1], abs=0.02), name


def test_draws_that_are_all_the_same_leave_room_for_groups_not_seen():
    found = bootstrap({"mean": lambda weights: np.full(len(weights), 0.4)}, np.arange(30))["mean"]
    unseen = 1 - 0.025 ** (1 / 30)
    assert (found.low, found.high) == pytest.approx((0.4 * (1 - unseen), 0.4 + 0.6 * unseen))


def test_measures_name_what_they_cannot_do():
    y = np.array([True, False])
    with pytest.raises(UnknownName, match="did you mean 'brier'"):
        measure(y, np.array([0.1, 0.2]), threshold=0.5, groups=["a", "b"], measures=("briar",))
    with pytest.raises(DataInvalid, match="between 0 and 1"):
        measure(y, np.array([-3.0, 2.0]), threshold=0.5, groups=["a", "b"], measures=("brier",))


# Sizes of the kit: patients of each class, images of a patient, and how alike these are.
SIZES = {"Shenzhen": (53, 51, 1, 0.0), "Montgomery": (37, 50, 1, 0.0), "fracture": (30, 60, 4, 0.3)}
N_SIMULATED = 100


def simulate(size, auc, rng):
    """Labels, scores of two normal distributions with this area between them, and patients."""
    n_positive, n_negative, images, alike = SIZES[size]
    y = np.repeat(np.arange(n_positive + n_negative) < n_positive, images)
    patients = np.repeat(np.arange(n_positive + n_negative), images)
    noise = alike**0.5 * rng.normal(size=patients.max() + 1)[patients] + (1 - alike) ** 0.5 * rng.normal(size=len(y))
    return y, noise + y * 2**0.5 * ndtri(auc), patients


def share_held(size, auc, truths, found_in):
    """How often each truth lies in its interval."""
    rng = np.random.default_rng(5)
    held = np.zeros(len(truths))
    for _ in range(N_SIMULATED):
        for at, (truth, interval) in enumerate(zip(truths, found_in(*simulate(size, auc, rng)), strict=True)):
            held[at] += (interval.low or 0) <= truth <= (np.inf if interval.high is None else interval.high)
    return held / N_SIMULATED


LEAST = 0.9  # 0.93 less what 100 simulations scatter


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("auc", [0.85, 0.97, 0.99])
def test_areas_are_held_as_often_as_said(size, auc):
    assert share_held(size, auc, [auc], lambda y, s, g: [auc_interval(y, s, groups=g)])[0] >= LEAST


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.97, 0.7), (0.9, 0.95)])
def test_rates_and_what_follows_from_them_are_held_as_often_as_said(size, sensitivity, specificity):
    """The threshold lies so that both rates are the true ones; prevalence 2 %."""
    threshold, share = ndtri(specificity), 0.02
    auc = float(ndtr((ndtri(sensitivity) + threshold) / 2**0.5))
    flagged = share * sensitivity + (1 - share) * (1 - specificity)
    truths = (
        sensitivity,
        specificity,
        sensitivity / (1 - specificity),
        (1 - sensitivity) / specificity,
        share * sensitivity / flagged,
        (1 - share) * specificity / (1 - flagged),
        flagged,
    )

    def found_in(y, scores, patients):
        rates = rates_at(y, scores > threshold, patients)
        follow = (rates.lr_positive, rates.lr_negative, rates.ppv(share), rates.npv(share), rates.flagged(share))
        return (rates.sensitivity, rates.specificity, *follow)

    assert (share_held(size, auc, truths, found_in) >= LEAST).all()


def test_groups_may_be_names_or_numbers():
    y, s, groups = make_case(1)
    assert rates_at(y, s > 0.5, groups) == rates_at(y, s > 0.5, group_codes(groups))
