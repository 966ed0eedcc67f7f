"""The search: resumable, as good as its best trial, honest about what it measures on."""

import json

import pytest

from secondread.data import load_data
from secondread.errors import DataInvalid, TrainingError
from secondread.lab.hospitals import hospitals_of
from secondread.lab.runs import Runs
from secondread.lab.search import parts_of, recipe_of, search, search_space, start_of
from secondread.models import create_model
from secondread.tasks import load_task
from secondread.training import load_recipe
from secondread.training.recipe import change_recipe

TASK = load_task("tuberculosis")
RECIPE = load_recipe("paper", TASK, epochs=2, batch_size=16)


class Stopped(Exception):
    """The process ends in the middle of a trial."""


@pytest.fixture(scope="module")
def runs(phantom_manifest, tmp_path_factory):
    return Runs(TASK, load_data(phantom_manifest, task=TASK), "lenet", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return search(runs, RECIPE, out=out, n_trials=7, command="secondread search …"), out


def test_best_is_the_greatest_value_of_all_whole_trials(whole):
    table, out = whole
    values = [trial["value"] for trial in table["trials"] if trial["state"] == "complete"]
    assert table["n_trials"] == len(table["trials"]) == 7
    assert table["best"]["value"] == max(values)
    area = table["best"]["areas"]["val"]
    assert area["low"] <= area["value"] <= area["high"]
    assert area["n"] == 24
    assert json.loads((out / "search.json").read_text()) == json.loads(json.dumps(table))
    assert (out / "search.png").read_bytes().startswith(b"\x89PNG")
    assert f"--set {table['best']['set'][0]}" in (out / "search.md").read_text()


def test_what_a_search_found_is_held_against_what_it_began_with_at_hospitals_left_out(two_hospitals, tmp_path):
    manifest = load_data(two_hospitals, task=TASK)
    runs = Runs(TASK, manifest, "lenet", tmp_path / "cache")
    options = {"out": tmp_path / "out", "n_trials": 2, "hospitals": hospitals_of(manifest), "seeds": (0, 1)}
    table = search(runs, RECIPE, **options)
    assert table["left_out"]["seeds"] == [0, 1]
    for name in ("as it was", "best"):
        row = table["left_out"][name]
        areas = [one["roc_auc"]["value"] for one in row["hospitals"].values()]
        assert row["mean"]["roc_auc"]["value"] == pytest.approx(sum(areas) / 2, abs=1e-6)
    assert table["left_out"]["as it was"]["mean"]["roc_auc_difference"]["value"] is None
    page = (tmp_path / "out" / "search.md").read_text()
    assert "| recipe | mean ROC AUC | difference | north (n = 36)" in page
    assert search(runs, RECIPE, **options)["left_out"] == table["left_out"]


def test_the_options_of_a_trial_are_its_recipe(whole):
    for trial in whole[0]["trials"]:
        assert change_recipe(RECIPE, trial["set"]) == recipe_of(RECIPE, trial["params"])


def test_a_search_that_was_stopped_ends_as_one_that_was_not(runs, whole, tmp_path):
    def stop(trial, epoch, epochs):
        if trial == 3 and epoch.epoch == 1:
            raise Stopped

    with pytest.raises(Stopped):
        search(runs, RECIPE, out=tmp_path, n_trials=7, on_epoch=stop)
    seen = set()
    table = search(runs, RECIPE, out=tmp_path, n_trials=7, on_epoch=lambda trial, *_: seen.add(trial))
    assert min(seen) == 4, "three whole trials are kept; the one cut off is done again under a new number"
    assert table["trials"] == whole[0]["trials"]
    with pytest.raises(TrainingError, match="other data or settings"):
        search(runs, change_recipe(RECIPE, ["epochs=3"]), out=tmp_path, n_trials=8)


def test_no_trial_starts_after_the_timeout(runs, tmp_path):
    table = search(runs, RECIPE, out=tmp_path, n_trials=50, timeout_minutes=1e-9)
    assert (table["n_trials"], table["best"]) == (0, None)


def test_a_source_that_is_left_out_teaches_nothing(phantom_manifest):
    manifest = load_data(phantom_manifest, task=TASK)
    assert [part.name for part in parts_of(manifest, leave_source_out=False)] == ["val"]
    with pytest.raises(DataInvalid, match="0 of the sources"):  # here every patient has images of all sources
        parts_of(manifest, leave_source_out=True)


@pytest.fixture
def two_sources(phantom_manifest, tmp_path):
    """Whole patients of one source each."""
    path = tmp_path / "manifest.csv"
    header, *lines = phantom_manifest.read_text().splitlines()
    cells = [line.split(",") for line in lines]
    for number, row in enumerate(cells):
        row[0], row[2] = str(phantom_manifest.parent / row[0]), f"site{number // 4 % 2}"
    path.write_text("\n".join([header, *(",".join(row) for row in cells)]) + "\n")
    return load_data(path, task=TASK)


def test_the_mean_over_sources_left_out_is_the_value(two_sources, tmp_path):
    parts = parts_of(two_sources, leave_source_out=True)
    assert [part.name for part in parts] == ["site0", "site1"]
    for part in parts:
        assert {row.source for row in part.measured} == {part.name}
        assert part.name not in {row.source for row in (*part.train, *part.val)}
        assert "test" not in {row.split for row in (*part.train, *part.val, *part.measured)}
    runs = Runs(TASK, two_sources, "lenet", tmp_path / "cache")
    table = search(runs, RECIPE, out=tmp_path / "out", n_trials=1, leave_source_out=True)
    areas = [area["value"] for area in table["best"]["areas"].values()]
    assert table["best"]["value"] == pytest.approx(sum(areas) / 2, abs=1e-6)


@pytest.mark.parametrize(("name", "more"), [("lenet", set()), ("unet", {"lesion_weight"})])
def test_the_space_holds_what_the_network_and_recipe_use(name, more):
    model = create_model(name, in_chans=1, input_size=64)
    assert set(search_space(RECIPE, model)) == more | {
        "learning_rate", "weight_decay", "label_smoothing", "mixup", "zoom", "gamma", "noise"
    }  # fmt: skip
    transfer = search_space(load_recipe("transfer", TASK), model)
    assert {"stage_decay", "frozen_stages"} <= set(transfer)


def test_the_first_trial_is_near_the_recipe():
    recipe = load_recipe("transfer", TASK)
    space = search_space(recipe, create_model("unet", in_chans=1, input_size=64))
    first = recipe_of(recipe, start_of(recipe, space))
    assert first.learning_rate == recipe.learning_rate
    assert (first.zoom, first.gamma) == ((0.8333, 1.2), (0.7143, 1.4))
    assert recipe_of(RECIPE, start_of(RECIPE, search_space(RECIPE, create_model("lenet", in_chans=1)))).zoom is None
