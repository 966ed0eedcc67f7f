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
    own = "tests.lab.test_compare:a_network_of_ones_own"
    results = compare_models(one, tmp_path, models=[own], ensembles=[], seeds=[0], command="c")
    assert [result["name"] for result in results] == ["lenet-0", "a_network_of_ones_own-0"]


def test_a_bundle_that_refuses_what_is_compared_is_named(ground, tmp_path):
    comparison, *_ = ground
    with pytest.raises(UsageError, match="'best' reads 0 of 24 validation images"):
        compare_models(comparison, tmp_path, bundles=["tuberculosis/best"], models=["lenet"], ensembles=[], seeds=[0],
                       command="c")  # fmt: skip
