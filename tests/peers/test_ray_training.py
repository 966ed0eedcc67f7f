"""Training and search on a Ray cluster here: the same bundle, and a search that goes on with either engine."""

import json

import pytest

from secondread.data import load_data
from secondread.errors import TrainingError
from secondread.tasks import load_task

pytest.importorskip("ray", reason="ray is not installed")
pytest.importorskip("torch", reason="torch is not installed")

from secondread.lab.runs import Runs
from secondread.lab.search import search
from secondread.lab.search_on_ray import on_ray
from secondread.lab.train_on_ray import train_on_ray
from secondread.screening.cluster import connected
from secondread.training import load_recipe
from secondread.training.recipe import change_recipe
from secondread.training.train import Progress, train_bundle

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]

TASK = load_task("tuberculosis")
RECIPE = load_recipe("paper", TASK, epochs=2, batch_size=16)


@pytest.fixture(scope="module")
def cluster():
    """Of two cores, in a folder of its own, for all that follows."""
    with connected(None, workers=2) as here:
        yield here


@pytest.fixture(scope="module")
def manifest(phantom_manifest):
    return load_data(phantom_manifest, task=TASK)


def record_of(bundle):
    """What bundle.json says, but for how long it took, and its own hash."""
    record = json.loads((bundle.folder / "bundle.json").read_text())
    del record["sha256"]
    del record["training"]["seconds"]
    return record


def test_one_worker_trains_the_bundle_that_is_trained_here(cluster, manifest, tmp_path):
    asked = {"task": TASK, "manifest": manifest, "recipe": RECIPE, "model_name": "lenet", "name": "x", "measure": False}
    here = train_bundle(**asked, out=tmp_path / "here" / "x", cache_folder=tmp_path / "cache")
    epochs = []
    progress = Progress(on_epoch=lambda epoch, of: epochs.append((epoch.epoch, of)))
    there = train_on_ray(**asked, out=tmp_path / "there" / "x", cache_folder=tmp_path / "cache", progress=progress)
    assert (there.folder / "model.onnx").read_bytes() == (here.folder / "model.onnx").read_bytes()
    assert record_of(there) == record_of(here)
    assert epochs == [(1, 2), (2, 2)]


def test_a_mistake_is_told_as_it_is_here(cluster, manifest, tmp_path):
    one_class = type(manifest)(tuple(row for row in manifest.rows if row.label == 0), manifest.folder)
    asked = {"task": TASK, "manifest": one_class, "recipe": RECIPE, "model_name": "lenet", "name": "x"}
    with pytest.raises(TrainingError) as here:
        train_bundle(**asked, out=tmp_path / "here" / "x")
    with pytest.raises(TrainingError) as there:
        train_on_ray(**asked, out=tmp_path / "there" / "x")
    assert str(there.value) == str(here.value)


def test_a_search_goes_on_with_either_engine(cluster, manifest, tmp_path):
    runs = Runs(TASK, manifest, "lenet", tmp_path / "cache")
    recipe = change_recipe(RECIPE, ["epochs=2"])
    seen = set()
    table = search(
        runs,
        recipe,
        out=tmp_path / "out",
        n_trials=3,
        run=on_ray(workers=2),
        on_epoch=lambda trial, *_: seen.add(trial),
    )
    assert seen == {0, 1, 2}
    assert [trial["state"] for trial in table["trials"]] == ["complete"] * 3
    alone = search(runs, recipe, out=tmp_path / "alone", n_trials=1)
    assert table["trials"][0] == alone["trials"][0], "the first trial is the recipe itself, and says what it says here"
    more = search(runs, recipe, out=tmp_path / "out", n_trials=4)
    assert more["trials"][:3] == table["trials"]
    assert more["n_trials"] == 4
