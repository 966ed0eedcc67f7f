"""The augmentation study: its arms, its folds, its resumption, and what its differences say."""

import json

import numpy as np
import pytest

from secondread.data import load_data
from secondread.errors import TrainingError, UsageError
from secondread.lab.folds import folds_of
from secondread.lab.hospitals import hospitals_of
from secondread.lab.runs import Runs
from secondread.lab.study import arms_of, augmentations_of, study, with_augmentations
from secondread.stats.interval import Interval
from secondread.stats.metrics import roc_auc
from secondread.stats.paired import compare_runs
from secondread.tasks import load_task
from secondread.training import load_recipe
from secondread.training.recipe import change_recipe

TASK = load_task("tuberculosis")
PLAIN = load_recipe("paper", TASK, epochs=1, batch_size=16)
TWO = change_recipe(PLAIN, ["augmentations=contrast", "zoom=0.9,1.1", "stretch=1.1"])


@pytest.fixture
def runs(phantom_manifest, tmp_path):
    return Runs(TASK, load_data(phantom_manifest, task=TASK), "lenet", tmp_path / "cache")


def test_arms_are_none_each_alone_all_but_one_and_all():
    arms = arms_of(PLAIN)
    assert len(arms) == 2 * len(PLAIN.augmentations) + 2
    assert with_augmentations(PLAIN, arms["all"]) == PLAIN
    assert with_augmentations(PLAIN, arms["none"]).augmentations == ()
    assert set(arms["all but contrast"]) == set(PLAIN.augmentations) - {"contrast"}


def test_fields_are_augmentations_too_and_the_same_arm_is_there_once():
    assert augmentations_of(TWO) == ("contrast", "zoom")
    assert list(arms_of(TWO)) == ["all", "none", "only contrast", "only zoom"]
    without = with_augmentations(TWO, ("contrast",))
    assert (without.zoom, without.stretch) == (None, 1.0)
    with pytest.raises(UsageError, match="no augmentation"):
        arms_of(with_augmentations(TWO, ()))


def test_every_recipe_has_all_as_itself():
    for name in ("paper", "upright", "transfer", "best"):
        recipe = load_recipe(name, TASK)
        assert with_augmentations(recipe, arms_of(recipe)["all"]) == recipe


def test_folds_divide_no_group_and_measure_every_row_once(phantom_manifest):
    manifest = load_data(phantom_manifest, task=TASK)
    folds = folds_of(manifest, 3)
    groups = dict(zip(manifest.rows, manifest.groups, strict=True))
    pool = [*manifest.split("train").rows, *manifest.split("val").rows]
    assert sorted(row.name for fold in folds for row in fold.val) == sorted(row.name for row in pool)
    for fold in folds:
        assert not {groups[row] for row in fold.train} & {groups[row] for row in fold.val}
        assert len({row.label for row in fold.val}) == 2


def test_a_study_goes_on_without_running_again(runs, tmp_path):
    trained = []
    table = study(runs, TWO, out=tmp_path / "out", seeds=(0, 1), on_epoch=lambda run, *_: trained.append(run))
    assert len(trained) == 4 * 2
    assert all(arm["roc_auc"]["low"] <= arm["roc_auc"]["value"] <= arm["roc_auc"]["high"] for arm in table["arms"])
    (tmp_path / "out" / "runs" / "none.fold1.seed1.json").unlink()
    before, again = list(trained), []
    repeated = study(runs, TWO, out=tmp_path / "out", seeds=(0, 1), on_epoch=lambda run, *_: again.append(run))
    assert again == ["none.fold1.seed1"]
    assert set(again) < set(before)
    assert repeated["arms"] == table["arms"]
    assert json.loads((tmp_path / "out" / "study.json").read_text())["n"] == 24
    assert (tmp_path / "out" / "study.png").read_bytes().startswith(b"\x89PNG")
    assert "| only zoom |" in (tmp_path / "out" / "study.md").read_text()
    with pytest.raises(TrainingError, match="other data or settings"):
        study(runs, change_recipe(TWO, ["epochs=2"]), out=tmp_path / "out", seeds=(0,))


def test_a_study_in_folds_measures_train_and_val(runs, tmp_path):
    recipe = change_recipe(PLAIN, ["augmentations=contrast"])
    table = study(runs, recipe, out=tmp_path / "out", n_folds=2, seeds=(0,))
    assert [arm["name"] for arm in table["arms"]] == ["all", "none"]
    assert table["n"] == 72


def test_a_study_also_says_what_carries_over_to_hospitals_left_out(two_hospitals, tmp_path):
    manifest = load_data(two_hospitals, task=TASK)
    recipe, trained = change_recipe(PLAIN, ["augmentations=contrast"]), []
    options = {"out": tmp_path / "out", "hospitals": hospitals_of(manifest), "seeds": (0, 1)}
    runs = Runs(TASK, manifest, "lenet", tmp_path / "cache")
    table = study(runs, recipe, on_epoch=lambda run, *_: trained.append(run), **options)
    assert len(trained) == 2 * 2 * (1 + 2), "arms × seeds × (validation and two hospitals)"
    for arm in table["arms"]:
        carried = arm["left_out"]
        assert list(carried["hospitals"]) == ["north", "south"]
        areas = [one["roc_auc"]["value"] for one in carried["hospitals"].values()]
        assert carried["mean"]["roc_auc"]["value"] == pytest.approx(np.mean(areas), abs=1e-6)
        for hospital, one in carried["hospitals"].items():
            assert one["n"] == 36
            for seed in (0, 1):
                name = f"{arm['name']}.without-{hospital}.seed{seed}.json"
                names = json.loads((tmp_path / "out" / "runs" / name).read_text())["names"]
                rows = {row.name: row for row in manifest.rows}
                assert {(rows[path].source, rows[path].split) for path in names} == {
                    (hospital, "train"),
                    (hospital, "val"),
                }
    assert table["arms"][0]["left_out"]["mean"]["roc_auc_difference"]["value"] is None
    assert table["arms"][1]["left_out"]["mean"]["roc_auc_difference"]["value"] is not None
    assert "| augmentations | mean ROC AUC | less all's | north (n = 36)" in (tmp_path / "out/study.md").read_text()
    again = study(runs, recipe, on_epoch=lambda *_: pytest.fail("trained a second time"), **options)
    assert again["arms"] == table["arms"]


def noisy(y_true, spread, seeds, rng):
    return np.stack([2 * y_true - 1 + spread * rng.standard_normal(len(y_true)) for _ in range(seeds)])


def test_differences_are_paired_and_the_reference_differs_from_itself_by_nothing():
    rng = np.random.default_rng(0)
    y_true = rng.random(300) < 0.4
    good, bad = noisy(y_true, 1.0, 3, rng), noisy(y_true, 4.0, 3, rng)
    groups = [f"g{number // 2}" for number in range(300)]
    same, worse = compare_runs(y_true, np.stack([good, bad]), groups=groups, reference=0)
    assert same["roc_auc_difference"] == Interval(None)
    assert same["roc_auc"].value == pytest.approx(np.mean([roc_auc(y_true, one) for one in good]), abs=1e-6)
    assert worse["roc_auc_difference"].high < 0 < worse["log_loss_difference"].low
    losses = np.logaddexp(0, np.where(y_true, -bad, bad))
    assert worse["log_loss"].value == pytest.approx(losses.mean(), abs=1e-6)


def test_areas_are_taken_within_folds():
    """Two networks whose scores have no common scale rank perfectly, each its own images."""
    y_true, folds = np.array([False, True, False, True]), np.array([0, 0, 1, 1])
    logits = np.array([[[-9.0, -8.0, 5.0, 6.0]]])
    (found,) = compare_runs(y_true, logits, groups=list("abcd"), folds=folds, reference=0, n_resamples=50)
    assert found["roc_auc"].value == 1.0
