"""Rounds with three hospitals: what becomes of weights, of odd ones, of a server that is killed, and the bundle."""

import json
from dataclasses import replace

import numpy as np
import pytest

from secondread.data import PreparedSet
from secondread.errors import TrainingError, UsageError
from secondread.lab.federated.app import said_outside, site_app
from secondread.lab.federated.bundle import federated_bundle
from secondread.lab.federated.kept import load_state
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Privacy, difference, noisy, norm_of, spread_kept
from secondread.lab.federated.secure import step_of
from secondread.lab.federated.server import Timing, gather, run_rounds
from secondread.lab.federated.shares import site_data
from secondread.lab.federated.simulation import inline_grid
from secondread.lab.federated.site import Site, first_weights, new_network_of, still_answers, weights_of
from secondread.lab.federated.strategies import shortened
from secondread.reading import load_bundle
from secondread.training.fit import fit
from tests.lab.federated.conftest import PHANTOMS

PLAN = Plan("tuberculosis", "lenet", 2, sites=3, changes=("prepare.size=31",))  # the least that the network takes
SOON = Timing(sites_s=5, round_s=120, attempts=1)


def _trained(grid, plan, **options):
    sites, hellos = gather(grid, plan, timing=SOON)
    return run_rounds(sites, hellos, plan, timing=SOON, **options)


@pytest.fixture(scope="module")
def plain(request):
    """Made by the first test that asks; all compare with it."""
    return {}


def _plain(plain, grid_of):
    if not plain:
        plain["trained"] = _trained(grid_of(), PLAN)
    return plain["trained"]


def _furthest(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in other)


def test_one_round_is_the_mean_of_what_the_sites_learnt_by_their_images(grid_of, hospitals, tmp_path):
    plan = replace(PLAN, rounds=1)
    trained = _trained(grid_of(), plan)
    start, _ = first_weights(plan)
    learnt = [
        Site(site_data(name, rows), PHANTOMS, tmp_path).train(plan, start, 1)[0] for name, rows in hospitals.items()
    ]
    n = np.array([hello.counts["train"] for hello in trained.hellos.values()], dtype=np.float64)
    mean = {name: sum(share * one[name] for share, one in zip(n / n.sum(), learnt, strict=True)) for name in start}
    assert _furthest(trained.weights, mean) < 1e-6
    assert norm_of(difference(trained.weights, start)) > 0.01


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(plain, grid_of):
    first = _plain(plain, grid_of)
    assert _furthest(_trained(grid_of(), PLAN).weights, first.weights) == 0
    assert _furthest(_trained(grid_of(), replace(PLAN, random_state=1)).weights, first.weights) > 1e-3


def test_sums_of_masked_weights_are_those_of_plain_ones_within_quantisation(plain, grid_of):
    plan = replace(PLAN, rounds=1, secure=True)
    secure, open_ = _trained(grid_of(), plan), _trained(grid_of(), replace(PLAN, rounds=1))
    counts = {name: hello.counts["train"] for name, hello in secure.hellos.items()}
    assert 0 < _furthest(secure.weights, open_.weights) <= step_of(counts)
    assert {one["outcome"] for one in secure.history[0]["sites"].values()} == {"in the sum"}


def test_fedprox_stays_nearer_to_where_it_began_and_fedadam_goes_its_own_way(plain, grid_of):
    start, _ = first_weights(PLAN)
    plan = replace(
        PLAN, rounds=1, changes=(*PLAN.changes, "batch_size=4")
    )  # several steps: the first begins where all begin
    far = norm_of(difference(_trained(grid_of(), plan).weights, start))
    near = norm_of(difference(_trained(grid_of(), replace(plan, strategy="fedprox", proximal=50.0)).weights, start))
    assert near < 0.9 * far
    adam = _trained(grid_of(), replace(plan, strategy="fedadam", server_rate=0.005)).weights
    assert 0.02 < norm_of(difference(adam, start)) != pytest.approx(far)


SHARED = replace(PLAN, strategy="fedsgd", rounds=4, rounds_per_epoch=2)


def test_fedsgd_is_training_on_all_images_in_one_place(grid_of, hospitals, tmp_path):
    changes = (*PLAN.changes, "augmentations=none", "batch_size=1000")
    plan = replace(SHARED, rounds=3, rounds_per_epoch=1, changes=changes)  # every step sees every image
    start, _ = first_weights(plan)
    sites = [Site(site_data(name, rows), PHANTOMS, tmp_path) for name, rows in hospitals.items()]
    parts = [site._part("train", plan) for site in sites]
    pooled = PreparedSet(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(row for part in parts for row in part.rows),
    )
    model = new_network_of(plan)
    fit(model, pooled, pooled, replace(plan.load_recipe(), keep="last"), random_state=0)
    trained = _trained(grid_of(), plan, run_folder=tmp_path / "run")
    together = load_state(tmp_path / "run", plan.fingerprint()).weights
    moved = norm_of(difference(weights_of(model), start))
    assert moved > 0.1
    assert norm_of(difference(together, weights_of(model))) < 1e-3 * moved
    assert [line["scored"] for line in trained.history] == [True] * 3


def test_fedsgd_goes_on_with_its_optimizer_after_a_kill_and_validates_once_an_epoch(grid_of, tmp_path):
    class Killed(Exception):
        pass

    def kill(line, rounds):
        if line["round"] == 1:
            raise Killed

    whole = _trained(grid_of(), SHARED)
    assert [line["scored"] for line in whole.history] == [False, True, False, True]
    assert [line["val_auc"] is None for line in whole.history] == [True, False, True, False]
    assert whole.best_round in (2, 4)
    with pytest.raises(Killed):
        _trained(grid_of(), SHARED, run_folder=tmp_path, on_round=kill)
    kept = load_state(tmp_path, SHARED.fingerprint())
    assert (kept.best_round, kept.best_weights) == (0, {})
    assert {"exp_avg", "exp_avg_sq", "step"} == set(kept.moments)
    again = _trained(grid_of(), SHARED, run_folder=tmp_path)
    assert _furthest(again.weights, whole.weights) == 0
    assert again.best_round == whole.best_round


def test_fedsgd_under_masks_is_fedsgd_within_quantisation(grid_of):
    secure, open_ = _trained(grid_of(), replace(SHARED, secure=True)), _trained(grid_of(), SHARED)
    start, _ = first_weights(SHARED)
    apart = norm_of(difference(secure.weights, open_.weights)) / norm_of(difference(open_.weights, start))
    assert 0 < apart < 0.1


def test_under_privacy_a_gradient_is_cut_as_an_update_is(hospitals, tmp_path):
    plan = replace(SHARED, privacy=Privacy("central", 0.01, 1e-6))
    site = Site(site_data("site0", hospitals["site0"]), PHANTOMS, tmp_path)
    start, _ = first_weights(plan)
    whole, cut = (site.train(one, start, 1)[0] for one in (SHARED, plan))
    assert norm_of(whole) > 0.02
    assert norm_of(cut) == pytest.approx(0.01, rel=1e-5)
    assert _furthest(cut, shortened(whole, start, plan)) < 1e-7


def test_a_site_with_fewer_images_than_an_epoch_has_rounds_is_told(grid_of):
    with pytest.raises(TrainingError, match="--rounds-per-epoch"):
        _trained(grid_of(), replace(SHARED, rounds=500, rounds_per_epoch=500))


def test_fedbn_keeps_layers_at_home_and_ends_with_the_mean_of_those_of_the_best_round(hospitals, tmp_path):
    plan = replace(PLAN, model="capsule", strategy="fedbn", rounds=3, changes=("prepare.size=32", "learning_rate=0.02"))
    sites = {name: Site(site_data(name, rows), PHANTOMS, tmp_path) for name, rows in hospitals.items()}
    trained = _trained(inline_grid({name: site_app(site) for name, site in sites.items()}), plan)
    at_home = {name: site.layers_of(trained.best_round) for name, site in sites.items()}
    mean = {layer: np.mean([own[layer] for own in at_home.values()], axis=0) for layer in at_home["site0"]}
    assert _furthest(trained.weights, mean) < 1e-6
    assert _furthest(at_home["site0"], at_home["site1"]) > 1e-3
    whole, first = first_weights(replace(plan, strategy="fedavg"))[0], first_weights(plan)[0]
    assert set(whole) - set(first) == set(mean)
    for name, site in sites.items():
        assert sorted(site.own) == [1, 2, 3], name
        assert _furthest(site.own[3], site.own[1]) > 0


def _nan(learnt, before):
    return {name: part * np.float32("nan") for name, part in learnt.items()}


def _scaled(learnt, before):
    return {name: before[name] + 100 * (learnt[name] - before[name]) for name in learnt}


@pytest.mark.parametrize(("change", "outcome"), [(_nan, "not numbers"), (_scaled, "scaled")])
def test_odd_weights_are_told_apart(grid_of, change, outcome):
    trained = _trained(grid_of({"site2": change}), replace(PLAN, rounds=1))
    seen = {name: one["outcome"] for name, one in trained.history[0]["sites"].items()}
    assert seen == {"site0": "ok", "site1": "ok", "site2": outcome}
    assert all(np.isfinite(part).all() for part in trained.weights.values())


@pytest.mark.parametrize("strategy", ["trimmed", "krum"])
def test_robust_strategies_survive_what_throws_the_mean_off(grid_of, strategy):
    plan = replace(PLAN, rounds=1)
    start, _ = first_weights(plan)
    honest = norm_of(difference(_trained(grid_of(), plan).weights, start))
    thrown = norm_of(difference(_trained(grid_of({"site1": _scaled}), plan).weights, start))
    robust = norm_of(difference(_trained(grid_of({"site1": _scaled}), replace(plan, strategy=strategy)).weights, start))
    assert thrown > 10 * honest
    assert robust < 2 * honest


def test_a_killed_server_goes_on_at_its_round_and_ends_where_it_would_have(plain, grid_of, tmp_path):
    class Killed(Exception):
        pass

    def kill(line, rounds):
        raise Killed

    plan = replace(PLAN, strategy="fedadam")
    whole = _trained(grid_of(), plan)
    with pytest.raises(Killed):
        _trained(grid_of(), plan, run_folder=tmp_path, on_round=kill)
    lines = []
    again = _trained(grid_of(), plan, run_folder=tmp_path, on_round=lambda line, rounds: lines.append(line["round"]))
    assert lines == [2]
    assert _furthest(again.weights, whole.weights) == 0
    with pytest.raises(TrainingError, match="another plan"):
        _trained(grid_of(), replace(plan, random_state=9), run_folder=tmp_path)


def test_privacy_cuts_every_update_and_central_noise_comes_on_top(grid_of):
    start, _ = first_weights(PLAN)
    plan = replace(PLAN, rounds=1, privacy=Privacy("central", 0.01, 1e-6))
    assert norm_of(difference(_trained(grid_of(), plan).weights, start)) <= 0.0101
    cheat = grid_of({"site1": _scaled})  # a site that does not cut is cut by the server
    assert norm_of(difference(_trained(cheat, plan).weights, start)) <= 0.0101
    noisy = replace(plan, privacy=Privacy("local", 0.01, 1.0))
    moved = difference(_trained(grid_of(), noisy).weights, start)
    size = sum(part.size for part in start.values())
    assert norm_of(moved) == pytest.approx(0.01 * np.sqrt(size / 3), rel=0.1)


def test_a_site_that_asks_for_secure_aggregation_answers_nothing_else(grid_of):
    grid = grid_of(policy=replace(PHANTOMS, secure_only=True))
    with pytest.raises(TrainingError, match="secure aggregation alone"):
        _trained(grid, PLAN)


@pytest.mark.peers
def test_the_bundle_is_an_ordinary_one_with_evidence_for_each_site_and_a_card_that_tells(plain, grid_of, tmp_path):
    grid = grid_of(keeps=tmp_path / "at")
    sites, hellos = gather(grid, PLAN, timing=SOON)
    trained = run_rounds(sites, hellos, PLAN, timing=SOON)
    bundle = federated_bundle(trained, sites, out=tmp_path / "bundle", name="together")
    again = load_bundle(tmp_path / "bundle")
    assert {"paper", "screening", "confirm"} <= set(again.operating_points)
    by_source = again.evidence["results"]["test"]["by_source"]
    assert {name: part["n"] for name, part in by_source.items()} == {"site0": 8, "site1": 8, "site2": 8}
    for words in ("3 sites taught", "No differential privacy", "histograms", "the server saw the weights of each site"):
        assert words in again.card
    own = load_bundle(tmp_path / "at" / "site1")
    assert own.id == bundle.id
    theirs = own.evidence["results"]["test"]
    assert by_source["site1"]["confusion"] == theirs["confusion"]  # counts tell decisions exactly
    told = json.dumps(again.evidence) + json.dumps(dict(again.record))
    assert "images/" not in told


@pytest.mark.peers
def test_without_histograms_the_bundle_says_that_nothing_was_chosen(grid_of, tmp_path):
    grid = grid_of(policy=replace(PHANTOMS, leaves="nothing"))
    plan = replace(PLAN, rounds=1)
    sites, hellos = gather(grid, plan, timing=SOON)
    bundle = federated_bundle(
        run_rounds(sites, hellos, plan, timing=SOON), sites, out=tmp_path / "bundle", name="together"
    )
    assert list(bundle.operating_points) == ["paper"]
    assert bundle.operating_points["paper"].sensitivity.value is None
    assert bundle.evidence["results"] == {}
    assert "recalibrate before use" in bundle.operating_points["paper"].chosen_by


def test_fewer_sites_than_the_plan_asks_for_are_told(grid_of):
    with pytest.raises(TrainingError, match="3 of 4 sites"):
        gather(grid_of(), replace(PLAN, sites=4), timing=replace(SOON, sites_s=0.1))


def test_an_error_that_leaves_a_site_names_no_file():
    from secondread.errors import DataInvalid

    assert "film-of-anna" not in said_outside(DataInvalid("'film-of-anna.png' cannot be read"))
    assert said_outside(UsageError("start the server with --secure")) == "start the server with --secure"


def test_noise_in_which_a_network_drowns_ends_the_run_in_words_and_before_all_rounds(grid_of):
    plan = replace(PLAN, rounds=9, privacy=Privacy("central", 1.0, 1e7))
    told = []
    with pytest.raises(TrainingError, match=r"after round 1 .*takes of 3 sites .*--epsilon"):
        _trained(grid_of(), plan, on_round=lambda *line: told.append(line))
    assert not told


def test_whether_a_network_still_answers():
    plan = replace(PLAN, model="lesion-lite0", changes=("prepare.size=64",))
    start, _ = first_weights(plan)
    assert still_answers(plan, start)
    drowned = {name: part - 2 * part if name.endswith("running_var") else part for name, part in start.items()}
    assert not still_answers(plan, drowned)
    noise = np.random.default_rng(0)
    assert not still_answers(plan, spread_kept(noisy(start, 1.5, noise), start))
    assert not still_answers(plan, {**start, "head.bias": np.array([np.nan], np.float32)})
