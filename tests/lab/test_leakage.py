"""The split that leaks on purpose: what it holds, that it leaks, and that the honest test stays out of it."""

import json
from collections import Counter

import numpy as np
import pytest

from secondread.cli.main import run
from secondread.data import load_data
from secondread.errors import UsageError
from secondread.images import decode
from secondread.lab.leakage import leaking_manifest, share_leaked, unseen_folds
from secondread.lab.pages import comparison_page
from secondread.stats.metrics import METRICS


@pytest.fixture
def honest(phantom_manifest):
    return load_data(phantom_manifest)


@pytest.fixture
def leaking(honest, tmp_path):
    return leaking_manifest(honest, copies=3, random_state=0, folder=tmp_path / "copies")


def test_every_training_image_is_there_with_its_copies(honest, leaking):
    train = honest.split("train")
    assert Counter(row.note for row in leaking.rows) == {row.name: 4 for row in train.rows}
    labels = {row.name: row.label for row in train.rows}
    assert all(row.label == labels[row.note] for row in leaking.rows)
    assert len({row.path for row in leaking.rows}) == len(leaking)


def test_no_image_of_another_split_is_in_it(honest, leaking):
    others = {row.name for row in honest.rows if row.split != "train"}
    assert not others & {row.note for row in leaking.rows}


def test_it_leaks_and_says_nothing_of_it(leaking):
    assert share_leaked(leaking) > 0.9
    assert not leaking.divided("group")  # each image claims to stand alone, as in such collections
    assert {name: round(count / len(leaking), 1) for name, count in leaking.splits().items()} == {
        "train": 0.7,
        "val": 0.1,
        "test": 0.2,
    }


def test_unseen_folds_hold_the_leaking_test_images_once_and_never_train_on_their_group(honest, leaking):
    groups = {row.name: group for row, group in zip(honest.rows, honest.groups, strict=True)}
    tested = []
    for fold in unseen_folds(leaking, groups, folds=4, random_state=0):
        test = fold.split("test").rows
        learnt = {groups[row.note] for row in fold.rows if row.split != "test"}
        assert not learnt & {groups[row.note] for row in test}
        assert len(fold.split("train")) <= len(leaking.split("train"))
        assert not {row.name for row in fold.split("train").rows} & {row.name for row in fold.split("val").rows}
        tested += [row.name for row in test]
    assert sorted(tested) == sorted(row.name for row in leaking.split("test").rows)


def test_copies_are_other_files_and_the_original_is_kept(honest, leaking):
    first = honest.split("train").rows[0]
    pictures = {row.name: decode(row.path.read_bytes()).pixels for row in leaking.rows if row.note == first.name}
    original = next(pixels for name, pixels in pictures.items() if name.endswith("-original.png"))
    assert np.array_equal(original, decode(first.path.read_bytes()).pixels)
    assert sum(np.array_equal(original, pixels) for pixels in pictures.values()) == 1


def test_the_random_state_decides_all(honest, tmp_path):
    one, again, other = (
        leaking_manifest(honest, copies=2, random_state=state, folder=tmp_path / name)
        for state, name in ((0, "a"), (0, "b"), (1, "c"))
    )
    assert [(row.name, row.split) for row in one.rows] == [(row.name, row.split) for row in again.rows]
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("copies", [0, 8])
def test_a_number_of_copies_that_cannot_be_made_is_refused(honest, tmp_path, copies):
    with pytest.raises(UsageError, match="give 1 to 7"):
        leaking_manifest(honest, copies=copies, random_state=0, folder=tmp_path)


def test_the_command_writes_table_and_page_and_keeps_other_tasks(capsys, phantom_manifest, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tuberculosis").symlink_to(phantom_manifest.parent)
    for random_state in ("0", "1"):
        with pytest.raises(SystemExit) as stop:
            run(["compare-paper", "--data", str(tmp_path / "data"), "--epochs", "2", "--copies", "2", "--folds", "2",
                 "--random-state", random_state, "--out", str(tmp_path / "out")])  # fmt: skip
        assert stop.value.code == 0
    table = json.loads((tmp_path / "out" / "paper-comparison.json").read_text())
    found = table["tuberculosis"]
    assert found["random_state"] == 1
    assert found["honest"]["n"] == found["leaking_on_honest_test"]["n"] == 24
    assert found["unseen"]["n"] == found["leaking"]["n"]
    assert found["leaking"]["n_groups"] <= 12  # copies are no further patients
    accuracy = [found[run]["metrics"]["accuracy"]["value"] for run in ("leaking", "unseen")]
    assert found["lift"]["accuracy"]["value"] == pytest.approx(accuracy[0] - accuracy[1], abs=1e-5)
    assert found["n_train"] == {"honest": 48, "leaking": 101}
    page = (tmp_path / "out" / "paper-comparison.md").read_text(encoding="utf-8")
    assert "93.6" in page
    assert "Leakage alone moves accuracy by" in page
    assert not list((tmp_path / "out").glob("*.png"))
    kept = {key: value for key, value in found.items() if key != "best"}
    (tmp_path / "out" / "paper-comparison.md").unlink()
    again = ["compare-paper", "--bundle-only", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        run(again)
    assert stop.value.code == 0
    table = json.loads((tmp_path / "out" / "paper-comparison.json").read_text())
    assert {key: value for key, value in table["tuberculosis"].items() if key != "best"} == kept
    assert (tmp_path / "out" / "paper-comparison.md").is_file()
    with pytest.raises(SystemExit) as stop:
        run([*again, "--task", "fracture"])
    assert stop.value.code == 2, "nothing is held of that task"


def test_the_page_shows_the_shipped_bundle_beside_the_rest():
    cells = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in (*METRICS, "roc_auc")}
    run_of = {"n": 8, "metrics": cells, "confusion": {"tp": 1, "fn": 2, "tn": 3, "fp": 2}}
    names = ("honest", "leaking", "unseen", "leaking_on_honest_test", "leaking_on_its_training_images")
    table = {
        "task": "tuberculosis", "claims": None, "lift": {"accuracy": cells["f1"], "roc_auc": cells["f1"]},
        "share_leaked": 1, "copies": 2, "model": "lenet", "recipe": {"name": "paper", "epochs": 1}, "random_state": 0,
        "threshold": 0.7, "n_train": {"honest": 1, "leaking": 2}, "date": "", "command": "",
        **dict.fromkeys(names, run_of),
    }  # fmt: skip
    assert "(n = 61)" not in comparison_page({"tuberculosis": table | {"best": None}})
    best = {"bundle": "tuberculosis/best@0", "paper": run_of | {"n": 61}, "screening": run_of | {"n": 62}}
    page = comparison_page({"tuberculosis": table | {"best": best}})
    assert "bundle best at 0.7, honest split (n = 61)" in page
    assert page.count("1, 2, 3, 2") == 6
