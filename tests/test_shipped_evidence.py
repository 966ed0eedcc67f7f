"""The numbers that ship with a bundle are what the command line gives today, image by image."""

import json

import pytest
from benchmarks.release import manifest_of

from secondread.cli.main import run
from secondread.data import load_data
from secondread.evidence.evidence import Prediction, summarise
from secondread.reading import default_bundles, load_bundle
from secondread.tasks import list_tasks, load_task

pytestmark = pytest.mark.data

_ROUNDING = 1e-3  # of a probability: another processor sums in another order and rounds a resized pixel otherwise
_EVERY = 20  # image of a split is read in `make test`; all are in `make test-peers`


def read_again(task, capsys, *, every=1):
    """The bundle that answers by itself, and what it says of every so many images of its test split today.

    Source by source: a collection that joined the data since has no figures in the evidence yet.
    """
    bundle = load_bundle(f"{task}/{default_bundles()[task]}")
    stated = bundle.evidence["predictions"]["test"]
    measured = {path.split("/")[1] for path, *_ in stated}
    whole = load_data(manifest_of(task), task=bundle.task).split("test")
    kept = [n for n, row in enumerate(whole.rows) if row.name.split("/")[1] in measured]
    assert [whole.rows[n].name for n in kept] == [path for path, *_ in stated]
    kept, stated = kept[::every], stated[::every]
    paths = [str(whole.rows[n].path) for n in kept]
    with pytest.raises(SystemExit) as stop:
        run(["read", "--task", task, "--json", *paths])
    assert stop.value.code == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["path"] for row in rows] == paths
    assert all(row["bundle"] == bundle.id for row in rows if row["refusal"] is None)
    predictions = [
        Prediction(row.name, row.label, row.source, group, read["probability"], (read["refusal"] or {}).get("code"))
        for row, group, read in zip((whole.rows[n] for n in kept), (whole.groups[n] for n in kept), rows, strict=True)
    ]
    assert [[p.path, p.label, p.refusal] for p in predictions] == [[p[0], p[1], p[3]] for p in stated]
    assert [p.probability for p in predictions] == [pytest.approx(p[2], abs=_ROUNDING) for p in stated]
    return bundle, predictions


@pytest.mark.parametrize("task", list_tasks())
def test_read_json_over_some_of_the_test_split_says_what_the_shipped_evidence_says(task, data_folder, capsys):
    _, predictions = read_again(task, capsys, every=_EVERY)
    assert len(predictions) >= 5


@pytest.mark.peers
@pytest.mark.timeout(900)
@pytest.mark.parametrize("task", list_tasks())
def test_read_json_over_the_test_split_reproduces_the_shipped_evidence(task, data_folder, capsys):
    bundle, predictions = read_again(task, capsys)
    shipped = bundle.evidence
    found, figures = summarise(predictions, shipped["operating_point"]["threshold"]), shipped["results"]["test"]
    assert found["confusion"] == figures["confusion"]
    assert found["metrics"]["roc_auc"]["value"] == pytest.approx(figures["metrics"]["roc_auc"]["value"], abs=_ROUNDING)
    assert shipped["data"]["splits"]["test"] == len(predictions)


def test_the_shipped_weights_never_saw_the_measured_images(data_folder):
    """No group of the training or validation split is in a measured one."""
    for task in list_tasks():
        manifest = load_data(manifest_of(task), task=load_task(task))
        groups = {name: set(manifest.split(name).groups) for name in manifest.splits()}
        seen = groups["train"] | groups["val"]
        assert all(not seen & measured for name, measured in groups.items() if name not in ("train", "val"))


@pytest.mark.parametrize("task", ["brain-tumour", "fracture", "tuberculosis"])
def test_the_sanity_test_of_heat_maps_looked_at_the_maps_that_are_served(task):
    results = load_bundle(f"{task}/best").evidence["results"]
    tables = [result["heatmap"] for result in results.values() if (result.get("heatmap") or {}).get("n")]
    assert tables
    for table in tables:
        test = table["randomised_weights"]
        assert test["energy_gain"]["low"] > 0
        assert test["energy_randomised"]["value"] > 0, "shuffled maps show something, or there is nothing to beat"
        if test["n"] == table["n"]:
            assert test["pointing"] == table["measures"]["pointing"]["map"]
