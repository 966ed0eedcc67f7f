"""Comparisons: fair to all, each test split read once, and nothing done twice."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from secondread.data import load_data
from secondread.errors import DataInvalid, TrainingError, UnknownName, UsageError
from secondread.evidence.evidence import Prediction
from secondread.lab.candidates import Comparison, EnsembleCandidate
from secondread.lab.compare import compare_models
from secondread.lab.latency import measure_latency
from secondread.lab.leaderboard import write_leaderboard
from secondread.lab.results import keep_result, load_result, predictions_in, write_result
from secondread.lab.scoring import measured_splits
from secondread.models import create_model
from secondread.reading import load_bundle
from secondread.stats.metrics import roc_auc
from secondread.stats.thresholds import balanced_threshold
from secondread.tasks import load_task
from secondread.testing.phantoms import chest_phantom, encode, write_phantom_data
from secondread.training import load_recipe

TASK = load_task("tuberculosis")
ASKED = {"models": ["lenet", "knn"], "ensembles": ["mean"], "seeds": [0, 1], "command": "secondread compare …"}


def comparison_of(manifest, *, cache, epochs=3):
    recipe = load_recipe("paper", TASK, epochs=epochs, batch_size=8, learning_rate=0.003)
    return Comparison(TASK, load_data(manifest, task=TASK), recipe, threads=1, cache_folder=cache)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A comparison with an external split, and the folder of one finished comparison."""
    folder = tmp_path_factory.mktemp("ground")
    manifest = write_phantom_data(folder, counts={"train": 48, "val": 24, "test": 24, "external": 16})
    comparison, steps = comparison_of(manifest, cache=folder / "cache"), []
    results = compare_models(comparison, folder / "out", on_start=lambda *step: steps.append(step), **ASKED)
    return comparison, folder / "out", results, steps


@pytest.fixture
def nothing_is_read(monkeypatch):
    """Neither trained, nor fitted, nor read, nor timed: any of it fails."""

    def refuse(*_, **__):
        pytest.fail("done a second time")

    for name in ("making.train_bundle", "scoring.measure_latency", "candidates.predictions_of", "runs.fit"):
        monkeypatch.setattr(f"secondread.lab.{name}", refuse)
    monkeypatch.setattr("secondread.lab.classical.fit_classical", refuse)


def test_all_who_were_asked_are_measured_on_every_split_with_both_classes(ground):
    comparison, out, results, steps = ground
    assert [result["name"] for result in results] == ["lenet-0", "lenet-1", "knn-0", "knn-1", "mean-of-2"]
    assert measured_splits(comparison.manifest) == ["test", "external"]
    for result in results:
        assert list(result["metrics"]) == ["val", "test", "external"]
        assert (result["metrics"]["test"]["n"], result["metrics"]["external"]["n"]) == (24, 16)
        assert set(result["by_source"]["test"]) == {"site0", "site1", "site2"}
        said = predictions_in(result)["test"]
        y_true, scores = [row.label == 1 for row in said], [row.probability for row in said]
        assert result["metrics"]["test"]["roc_auc"]["value"] == pytest.approx(roc_auc(y_true, scores), abs=1e-6)
        assert load_result(out / "results" / f"{result['name']}.json") == result
        assert {"torch", "scikit-learn"} <= set(result["versions"])
        assert (result["command"], result["data"]["fingerprint"]) == (ASKED["command"], comparison.fingerprint)
        assert result["left_out"] == {}, "no hospital was to be left out"
    assert [step for step in steps if step[1] == "trained"] == [("lenet-0", "trained"), ("lenet-1", "trained")]


def test_networks_say_what_they_are_and_cost(ground):
    _, out, results, _ = ground
    bundle = load_bundle(out / "lenet-0")
    assert results[0]["weights_sha256"] == bundle.record["model"]["sha256"]
    assert results[0]["parameters"] == 43661
    assert results[0]["onnx_bytes"] == bundle.model_path.stat().st_size
    assert results[0]["epochs"] == 3
    assert [line[0] for line in results[0]["curves"]["home"]] == [1, 2, 3]
    assert results[0]["flat"] is False, "three epochs cannot show that the loss is flat"
    assert results[2]["curves"] == {}
    assert results[0]["threshold"]["value"] == balanced_threshold(*scores_of(results[0], "val"))
    assert results[4]["parameters"] == 2 * 43661
    assert results[4]["weights"] == {"lenet-0": 0.5, "lenet-1": 0.5}
    assert results[2]["chosen"]["n_neighbors"] in (3, 9, 21)
    assert bundle.evidence is None, "training itself left the test split unread"


def scores_of(result, split):
    said = predictions_in(result)[split]
    return np.array([row.label == 1 for row in said]), np.array([row.probability for row in said])


def test_the_baseline_does_not_differ_from_itself(ground):
    _, _, results, _ = ground
    baseline = results[0]["against"]
    assert (baseline["difference"], baseline["low"], baseline["high"], baseline["p"]) == (0, 0, 0, 1)
    assert (baseline["n"], baseline["n_groups"]) == (24, 6)
    assert results[0]["latency"]["network_ratio"] == results[0]["latency"]["whole_ratio"] == 1
    for result in results:
        assert result["against"]["baseline"] == "lenet-0"
        latency = result["latency"]
        assert 0 < latency["network_ms"] < latency["whole_ms"], "whole counts decoding and preparing too"
        aucs = [table["metrics"]["test"]["roc_auc"]["value"] for table in (result, results[0])]
        assert result["against"]["difference"] == pytest.approx(aucs[0] - aucs[1], abs=2e-6)


def test_given_again_nothing_is_done_twice(ground, nothing_is_read):
    comparison, out, results, _ = ground
    assert compare_models(comparison, out, **ASKED) == results


def test_other_weights_are_measured_anew_and_others_kept(ground, tmp_path):
    comparison, out, results, _ = ground
    own = tmp_path / "out"
    shutil.copytree(out, own)
    shutil.rmtree(own / "lenet-1")
    shutil.copytree(out / "lenet-0", own / "lenet-1")  # the wrong seed
    with pytest.raises(TrainingError, match="other data or settings"):
        compare_models(comparison, own, **ASKED)
    steps = []
    stale = load_result(own / "results" / "knn-0.json")
    write_result(stale | {"key": {**stale["key"], "random_state": 9}}, own / "results" / "knn-0.json")
    found = compare_models(comparison, own, models=["knn"], on_start=lambda *step: steps.append(step))
    assert ("knn-0", "read") in steps
    assert ("lenet-0", "read") not in steps
    assert found[1]["predictions"] == results[2]["predictions"], "the same seed gives the same learner"


def test_other_settings_in_the_same_folder_are_refused(ground):
    comparison, out, _, _ = ground
    other = comparison_of(comparison.manifest.folder / "manifest.csv", cache=comparison.cache_folder, epochs=4)
    with pytest.raises(TrainingError, match="another --out"):
        compare_models(other, out, models=["lenet"])


def test_a_bundles_own_evidence_stands_for_another_reading_of_the_test_split(
    phantom_bundle, phantom_manifest, tmp_path, monkeypatch
):
    from secondread.lab import candidates

    read, predictions_of = [], candidates.predictions_of

    def noted(reader, part):
        read.append({row.split for row in part.rows})
        return predictions_of(reader, part)

    monkeypatch.setattr(candidates, "predictions_of", noted)
    comparison = comparison_of(phantom_manifest, cache=tmp_path)
    (result,) = compare_models(
        comparison, tmp_path / "out", bundles=[str(phantom_bundle)], baseline=str(phantom_bundle)
    )
    assert read == [{"val"}]
    assert result["from_evidence"] == ["test"]
    assert (result["kind"], result["name"]) == ("bundle", "phantom")
    expected = load_bundle(phantom_bundle).evidence["results"]["test"]["metrics"]["roc_auc"]
    assert result["metrics"]["test"]["roc_auc"] == expected


def test_an_ensemble_refuses_what_a_member_refused(ground):
    comparison, _, results, _ = ground
    said = [predictions_in(result) for result in results[:2]]
    first = said[1]["test"][0]
    said[1]["test"][0] = Prediction(first.path, first.label, first.source, first.group, None, "blank")

    class Member:
        name = "member"

    found = EnsembleCandidate("mean", [Member(), Member()], said, comparison).predictions("test")
    assert [row.probability is None for row in found] == [True] + 23 * [False]


@pytest.mark.parametrize("random_state", range(5))
def test_no_threshold_is_better_balanced(random_state):
    rng = np.random.default_rng(random_state)
    y_true = rng.random(60) < 0.3
    scores = np.round(rng.random(60) * 0.6 + 0.3 * y_true, 1)  # with ties

    def balance(threshold):
        return (scores > threshold)[y_true].mean() + (scores <= threshold)[~y_true].mean()

    best = balance(balanced_threshold(y_true, scores))
    assert best == pytest.approx(max(balance(threshold) for threshold in np.linspace(-0.05, 1, 106)))


def test_mistakes_are_found_before_anything_is_trained(ground, tmp_path, nothing_is_read):
    comparison = ground[0]
    with pytest.raises(UnknownName, match="did you mean 'decision-tree'"):
        compare_models(comparison, tmp_path, models=["lenet", "decision-tre"])
    with pytest.raises(UnknownName, match="ensemble"):
        compare_models(comparison, tmp_path, models=["lenet"], ensembles=["median"])
    with pytest.raises(DataInvalid, match="not of the task"):
        compare_models(comparison, tmp_path, baseline="fracture/paper")


def test_time_is_taken_in_turns_and_whole_counts_decoding(tmp_path):
    class Waits:
        def __init__(self, log, name):
            self.log, self.name = log, name

        def prepare(self, image):
            return image.pixels.shape

        def run(self, prepared):
            self.log.append(self.name)

    log = []
    first, second = Waits(log, "a"), Waits(log, "b")
    film = tmp_path / "film.png"
    film.write_bytes(encode(chest_phantom(64, random_state=0), "PNG"))
    (network, whole), _ = measure_latency([first, second], [film], n=5)
    assert log == ["a", "b"] * 7, "two are for warming up"
    assert 0 < network < whole


def test_the_page_shows_every_kept_result_best_by_validation_first(ground, tmp_path):
    _, _, results, _ = ground
    for result in results:
        keep_result(result, tmp_path / "kept")
    assert (tmp_path / "kept" / "tuberculosis" / "lenet-0-paper.json").is_file()
    page = tmp_path / "docs" / "leaderboard.md"
    assert write_leaderboard(tmp_path / "kept", page).n == 5
    text = page.read_text()
    assert not list((tmp_path / "docs").glob("*.png")), "nothing was measured at a hospital left out"
    lines = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(lines) == 3 * 3, "two seeds share a line, in each of three tables"
    assert any("(n = 2)" in line for line in lines)
    assert text.count("secondread compare …") == 1, "one command made them all"
    assert "nothing yet, as no system was measured with a hospital left out" in text
    by_model = {(result["model"], result["random_state"]): result for result in results if result["kind"] != "ensemble"}
    means = {
        model: np.mean([by_model[model, seed]["metrics"]["val"]["roc_auc"]["value"] for seed in (0, 1)])
        for model in ("lenet", "knn")
    }
    places = {model: next(i for i, line in enumerate(lines[:3]) if f"`{model}`" in line) for model in means}
    assert (places["lenet"] < places["knn"]) == (means["lenet"] >= means["knn"])
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) <= 3, "every line of a table has as many cells as its head"


def test_a_page_of_nothing_or_of_other_files_is_refused(tmp_path):
    with pytest.raises(DataInvalid, match="holds no results"):
        write_leaderboard(tmp_path, tmp_path / "page.md")
    (tmp_path / "fracture").mkdir()
    (tmp_path / "fracture" / "x.json").write_text("{}")
    with pytest.raises(DataInvalid, match="not a result"):
        write_leaderboard(tmp_path, tmp_path / "page.md")


def test_a_network_without_weights_starts_from_scratch_and_spares_no_stage():
    from secondread.training.train import recipe_for

    recipe = load_recipe("transfer", TASK)
    assert recipe_for(recipe, "efficientnet-lite0") == recipe
    scratch = recipe_for(recipe, "resnet18")
    assert (scratch.pretrained, scratch.frozen_stages, scratch.stage_decay) == (False, 0, 1.0)
    assert scratch.name == "transfer"


def a_network_of_ones_own(*, num_classes=1, in_chans, input_size=128, **options):
    """The paper's, as somebody's own module has it."""
    return create_model("lenet", num_classes=num_classes, in_chans=in_chans, input_size=input_size, **options)


def test_a_network_of_ones_own_takes_part(ground, tmp_path):
    comparison, *_ = ground
    one = replace(comparison, recipe=replace(comparison.recipe, epochs=1))
    own = "tests.lab.test_compare:a_network_of_ones_own"
    results = compare_models(one, tmp_path, models=[own], ensembles=[], seeds=[0], command="c")
    assert [result["name"] for result in results] == ["lenet-0", "a_network_of_ones_own-0"]


def test_a_bundle_that_refuses_what_is_compared_is_named(ground, tmp_path):
    comparison, *_ = ground
    with pytest.raises(UsageError, match="'best' reads 0 of 24 validation images"):
        compare_models(comparison, tmp_path, bundles=["tuberculosis/best"], models=["lenet"], ensembles=[], seeds=[0],
                       command="c")  # fmt: skip
