"""Every system at a hospital that taught it nothing: taught anew, measured there, and kept with its curves."""

import json
from dataclasses import replace

import pytest
from safetensors import safe_open

from secondread.data import load_data
from secondread.errors import TrainingError, UnknownName
from secondread.lab import systems
from secondread.lab.candidates import BundleCandidate, Comparison
from secondread.lab.compare import compare_models
from secondread.lab.contrastive import unlabelled_rows
from secondread.lab.hospitals import hospitals_of
from secondread.lab.leaderboard import best_systems, write_leaderboard
from secondread.lab.left_out import against, area_of, mean_area, mean_difference, names_of
from secondread.lab.results import (
    keep_fingerprints,
    keep_result,
    kept_fingerprints,
    load_result,
    predictions_in,
    write_result,
)
from secondread.reading import load_bundle
from secondread.stats.interval import NOTHING, Interval
from secondread.tasks import load_task
from secondread.training import load_recipe
from secondread.training.optimise import is_flat

TASK = load_task("tuberculosis")
QUICK = {"epochs": 3, "least_epochs": 2, "flat_after": 1, "batch_size": 8, "learning_rate": 0.003}


@pytest.fixture(scope="module")
def manifest(two_hospitals):
    return load_data(two_hospitals, task=TASK)


@pytest.fixture(scope="module", autouse=True)
def quick_systems():
    """Three epochs are enough to see who teaches whom."""
    with pytest.MonkeyPatch.context() as patch:
        own = systems._SYSTEMS
        patch.setattr(
            systems,
            "_SYSTEMS",
            {
                "lenet": replace(own["lenet"], changes={**own["lenet"].changes, **QUICK}),
                "knn": own["knn"],
                "contrastive": replace(
                    own["contrastive"], model="lenet", changes={**own["contrastive"].changes, **QUICK}, pretraining=2
                ),
            },
        )
        yield


def comparison_of(manifest, cache):
    recipe = load_recipe("paper", TASK)
    return Comparison(TASK, manifest, recipe, threads=1, cache_folder=cache, hospitals=hospitals_of(manifest))


ASKED = {"systems": ["lenet", "contrastive"], "seeds": [0], "command": "secondread lab compare …"}


@pytest.fixture(scope="module")
def ground(manifest, tmp_path_factory):
    """A finished comparison, and the folder that it lies in."""
    folder = tmp_path_factory.mktemp("ground")
    comparison, kept = comparison_of(manifest, folder / "cache"), []
    results = compare_models(comparison, folder / "out", ensembles=["mean"], on_result=kept.append, **ASKED)
    results += compare_models(comparison, folder / "out", systems=["knn"], seeds=[0], on_result=kept.append)[1:]
    assert [one["name"] for one in kept] == ["lenet-0", "contrastive-0", "mean-of-2", "lenet-0", "knn-0"]
    return comparison, folder / "out", {result["name"]: result for result in results}


def test_every_kind_of_system_is_measured_at_each_hospital_and_never_on_its_test_rows(ground, manifest):
    _, out, results = ground
    splits = {row.name: (row.source, row.split) for row in manifest.rows}
    for name, result in results.items():
        assert list(result["left_out"]) == ["north", "south"]
        said = predictions_in(result)
        for hospital, table in result["left_out"].items():
            measured, val = (said[key] for key in names_of(hospital))
            assert {splits[row.path] for row in measured} == {(hospital, "train"), (hospital, "val")}
            assert {splits[row.path][0] for row in val} == {"north", "south"} - {hospital}
            assert {splits[row.path][1] for row in val} == {"val"}
            assert (table["n"], table["n_positive"], table["n_train"]) == (36, 18, 28)
            assert table["roc_auc"] == area_of(measured).to_dict()
        assert load_result(out / "results" / f"{name}.json") == json.loads(json.dumps(result))


def test_differences_at_a_hospital_left_out_are_to_the_same_baseline_taught_without_it(ground):
    _, _, results = ground
    for name, result in results.items():
        for hospital, table in result["left_out"].items():
            test = table["against"]
            assert (test["baseline"], test["n"]) == ("lenet-0", 36)
            ours, theirs = (results[one]["left_out"][hospital]["roc_auc"]["value"] for one in (name, "lenet-0"))
            assert test["difference"] == pytest.approx(ours - theirs, abs=2e-6)
            if name == "lenet-0":
                assert (test["difference"], test["low"], test["high"], test["p"]) == (0, 0, 0, 1)


def test_every_curve_is_kept_and_says_whether_the_loss_was_flat(ground):
    _, _, results = ground
    assert set(results["lenet-0"]["curves"]) == {"home", "north left out", "south left out"}
    for name in ("lenet-0", "contrastive-0"):
        result = results[name]
        for key, curve in result["curves"].items():
            assert [line[0] for line in curve] == list(range(1, len(curve) + 1))
            told = result["flat"] if key == "home" else result["left_out"][key.split()[0]]["training"]["flat"]
            assert told is is_flat([line[2] for line in curve])
    assert results["knn-0"]["curves"] == results["mean-of-2"]["curves"] == {}


def test_pretraining_has_not_seen_the_hospital_left_out(ground, manifest):
    _, out, results = ground
    seen = {"": unlabelled_rows(manifest)}
    for hospital in hospitals_of(manifest):
        seen[f"left-out/{hospital.name}"] = unlabelled_rows(hospital.elsewhere)
        assert hospital.name not in {row.source for row in seen[f"left-out/{hospital.name}"].rows}
    for folder, rows in seen.items():
        with safe_open(out / folder / "contrastive-0.safetensors", "pt") as file:
            header = json.loads(file.metadata()["secondread"])
        assert header["data_fingerprint"] == rows.fingerprint()
    assert results["contrastive-0"]["training_seconds"] >= header["seconds"] > 0
    assert load_bundle(out / "contrastive-0").training.recipe["weights"] == "contrastive-0.safetensors"


def test_an_ensemble_of_one_says_what_its_member_says_of_a_hospital_left_out(ground, tmp_path):
    comparison, out, _ = ground
    *_, alone = compare_models(comparison, out, systems=["lenet"], ensembles=["mean"], seeds=[0])
    member = load_result(out / "results" / "lenet-0.json")
    for hospital in ("north", "south"):
        assert alone["left_out"][hospital]["roc_auc"] == member["left_out"][hospital]["roc_auc"]


def test_given_again_nothing_is_trained_and_nothing_is_left_lying(ground, monkeypatch):
    comparison, out, results = ground
    for name in ("making.train_bundle", "scoring.measure_latency", "candidates.predictions_of", "runs.fit"):
        monkeypatch.setattr(f"secondread.lab.{name}", lambda *_, **__: pytest.fail("done a second time"))
    again = compare_models(comparison, out, **ASKED)
    assert [one["name"] for one in again] == ["lenet-0", "contrastive-0"]
    assert all(one == json.loads(json.dumps(results[one["name"]])) for one in again)
    assert not list(out.rglob("checkpoint.pt")), "states of trainings take gigabytes"


def test_what_was_measured_before_an_interruption_is_not_measured_again(ground, tmp_path, monkeypatch):
    comparison, _, results = ground
    done, without = [], BundleCandidate.without

    def interrupted(self, hospital):
        if hospital.name == "south" and "interrupted" not in done:
            done.append("interrupted")
            raise KeyboardInterrupt
        done.append(hospital.name)
        return without(self, hospital)

    monkeypatch.setattr(BundleCandidate, "without", interrupted)
    options = {"systems": ["lenet"], "seeds": [0]}
    with pytest.raises(KeyboardInterrupt):
        compare_models(comparison, tmp_path / "out", **options)
    (found,) = compare_models(comparison, tmp_path / "out", **options)
    assert done == ["north", "interrupted", "south"]
    assert found["predictions"] == results["lenet-0"]["predictions"], "the same seed gives the same networks"


def test_weights_of_other_images_are_refused(ground, tmp_path):
    comparison, out, _ = ground
    (tmp_path / "contrastive-0.safetensors").write_bytes(
        (out / "left-out/north/contrastive-0.safetensors").read_bytes()
    )
    with pytest.raises(TrainingError, match="pretrained with other data"):
        compare_models(comparison, tmp_path, systems=["contrastive"], baseline="knn", seeds=[0])


def test_an_unknown_system_is_named_before_anything_is_trained(ground, tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'contrastive'"):
        compare_models(ground[0], tmp_path, systems=["contrastiv"])
    assert not list(tmp_path.iterdir())


def test_a_bundle_tells_what_its_evidence_knows_of_these_hospitals(phantom_bundle, manifest, tmp_path, monkeypatch):
    bundle = load_bundle(str(phantom_bundle))
    comparison = comparison_of(manifest, tmp_path)
    hospital = comparison.hospitals[0]
    row = {
        "hospital": "north",
        "seed": 0,
        "n": 36,
        "n_positive": 18,
        "roc_auc": {"value": 0.7, "low": 0.5, "high": 0.8},
    }
    section = {"fingerprint": comparison.fingerprint, "recipe": "`x`", "date": "", "command": "", "rows": [row]}
    for change, known in (({}, True), ({"fingerprint": "of other images"}, False)):
        told = {**bundle.evidence, "held_out": {**section, **change}}
        monkeypatch.setitem(vars(bundle), "evidence", told)
        found = BundleCandidate("phantom", bundle, comparison, trained_here=False).without(hospital)
        assert (found is not None) is known
        if known:
            assert (found.area.value, found.measured, found.training["from_evidence"]) == (0.7, [], True)


def test_the_mean_over_hospitals_is_surer_than_one_and_one_is_itself():
    one, two = Interval(0.8, 0.7, 0.88), Interval(0.6, 0.5, 0.7)
    assert mean_area([one]) == Interval(0.8, pytest.approx(0.7), pytest.approx(0.88))
    both = mean_area([one, two])
    assert both.value == pytest.approx(0.7)
    assert both.high - both.low < two.high - two.low
    assert mean_area([one, Interval(None)]) == mean_area([]) == NOTHING


def test_the_mean_difference_adds_what_chance_does_at_each():
    test = {"difference": 0.1, "error": 0.04, "freedom": None}
    alone, twice = mean_difference([test]), mean_difference([test, test])
    assert alone["p"] == pytest.approx(0.01242, abs=1e-4)
    assert twice["difference"] == alone["difference"] == 0.1
    assert twice["p"] < alone["p"]
    assert (alone["low"], alone["high"]) == (pytest.approx(0.0216, abs=1e-4), pytest.approx(0.1784, abs=1e-4))
    few = mean_difference([test, {**test, "freedom": 4}])
    assert few["p"] > twice["p"], "of few groups one is less sure"
    nothing = {"difference": 0.0, "error": 0.0, "freedom": None}
    assert mean_difference([nothing])["p"] == 1


def test_one_hospitals_mean_difference_is_delongs(ground):
    _, _, results = ground
    said = [predictions_in(results[name])["north left out"] for name in ("knn-0", "lenet-0")]
    test = against(*said)
    mean = mean_difference([test])
    assert [mean[key] for key in ("difference", "low", "high", "p")] == pytest.approx(
        [test[key] for key in ("difference", "low", "high", "p")], abs=1e-4
    )


@pytest.fixture
def board(ground, tmp_path):
    """Kept results, one of which is of other images."""
    comparison, _, results = ground
    for result in results.values():
        keep_result(result, tmp_path / "kept")
    keep_fingerprints({"tuberculosis": comparison.fingerprint}, tmp_path / "kept")
    old = json.loads(json.dumps(results["knn-0"]))
    old |= {"name": "svm-0", "model": "svm", "system": "svm", "date": "2020-01-01"}
    old["data"] = {**old["data"], "fingerprint": "f" * 64}
    for later in ("left_out", "curves", "versions", "system"):  # as results were before hospitals were left out
        del old[later]
    write_result(old, tmp_path / "kept" / "tuberculosis" / "classical-svm-0.json")
    return tmp_path


def test_the_page_begins_with_the_hospital_left_out_and_names_what_is_stale(board, ground):
    page = board / "leaderboard.md"
    written = write_leaderboard(board / "kept", page)
    text = page.read_text()
    assert written.stale == ("tuberculosis/svm-0 (2020-01-01)",)
    assert written.missing == ()
    ranked, _, stale = text.partition("**Stale**")
    assert "`svm`" not in ranked.partition("## ")[2]
    assert "| `svm` | – | `ffffffffffff` | 2020-01-01 |" in stale
    assert ranked.index("At a hospital left out:") < ranked.index("\nAt home")
    lines = [line for line in ranked.splitlines() if line.startswith("| ")]
    head = next(line for line in lines if "| mean AUC |" in line)
    assert "| north | south | long enough, epochs |" in head
    shown = [line for line in lines if line.count("|") == head.count("|") and line[2].isdigit()]
    means = [float(line.split("|")[3].split()[0]) for line in shown]
    assert len(shown) == 4
    assert means == sorted(means, reverse=True)
    assert "**What to take from it.**" in text
    assert "the paper's network has" in text
    assert (board / "leaderboard-tuberculosis.png").stat().st_size > 5000
    assert "![Mean AUC at hospitals left out" in text


def test_a_network_that_stopped_too_soon_is_marked(board, ground):
    path = board / "kept" / "tuberculosis" / "lenet-0-paper.json"
    result = load_result(path)
    for flat, mark in ((True, "| yes, 3 |"), (False, "| **no**, 3 |")):
        result["flat"] = True
        for one in result["left_out"].values():
            one["training"]["flat"] = flat
        write_result(result, path)
        write_leaderboard(board / "kept", board / "page.md")
        (line,) = [
            line
            for line in (board / "page.md").read_text().splitlines()
            if "| `lenet` |" in line and ("yes" in line or "no**" in line)
        ]
        assert line.endswith(mark)


def test_the_five_best_are_networks_of_the_data_at_hand(board):
    assert best_systems(board / "kept", "tuberculosis", 5) == ["contrastive"]
    assert best_systems(board / "kept", "tuberculosis", 5, beside="contrastive") == ["lenet"]
    assert best_systems(board / "kept", "fracture", 5) == []
    keep_fingerprints({"tuberculosis": "0" * 64}, board / "kept")
    assert best_systems(board / "kept", "tuberculosis", 5) == [], "all is stale now"


def test_which_data_results_ought_to_be_of_is_noted_or_else_the_latest(board, ground):
    comparison, *_ = ground
    old = {"task": "tuberculosis", "date": "2020-01-01", "data": {"fingerprint": "old"}}
    new = {**old, "date": "2021-01-01", "data": {"fingerprint": "new"}}
    assert kept_fingerprints(board / "nothing", [new, old]) == {"tuberculosis": "new"}
    assert kept_fingerprints(board / "kept", [new, old]) == {"tuberculosis": comparison.fingerprint}
