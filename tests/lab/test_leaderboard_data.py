"""The leaderboard of the project against the benchmark data at hand: figures of other images are never shown as if of
these."""

import json
import re
from pathlib import Path

import pytest

from secondread.data import load_data
from secondread.lab.leaderboard import write_leaderboard
from secondread.lab.results import kept_fingerprints, kept_results, write_result
from secondread.lab.systems import ENSEMBLED, list_systems, load_system
from secondread.models import list_models
from secondread.tasks import first_tasks, load_task

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "results" / "leaderboard"
PAGE = ROOT / "docs" / "reference" / "leaderboard.md"


@pytest.fixture(scope="module")
def results():
    return kept_results(KEPT)


@pytest.mark.data
@pytest.mark.parametrize("task", first_tasks())
def test_the_leaderboard_knows_the_data_at_hand(data_folder, task):
    """`secondread lab compare --page docs/reference/leaderboard.md --kit $SECONDREAD_DATA` takes note of new data."""
    at_hand = load_data(data_folder / task / "manifest.csv", task=load_task(task)).fingerprint()
    noted = json.loads((KEPT / "data.json").read_text(encoding="utf-8"))
    assert noted[task]["fingerprint"] == at_hand, f"the results of {task} are of other images, and the page is silent"


@pytest.mark.parametrize("task", first_tasks())
def test_what_is_of_other_images_is_ranked_nowhere_and_named(results, task):
    own, stale = [], []
    wanted = kept_fingerprints(KEPT, results)[task]
    for result in results:
        if result["task"] == task:
            (own if result["data"]["fingerprint"] == wanted else stale).append(result)
    part = PAGE.read_text(encoding="utf-8").split(f"\n## {load_task(task).title}\n")[1].split("\n## ")[0]
    ranked, _, named = part.partition("**Stale**")
    lines = {f"`{result['data']['fingerprint'][:12]}` | {result['date']}" for result in stale}
    assert named.count("\n| ") - 2 * bool(named) == len(stale)
    for line in lines:
        assert line in named
        assert line.partition(" ")[0] not in ranked
    if own:
        assert f"Data `{wanted[:12]}`" in ranked
    else:
        assert "No system has been measured on the data at hand" in ranked
        assert not re.search(r"^\| \d+ \|", ranked, re.M)


def test_every_result_of_the_data_at_hand_can_be_made_again(results):
    for result in results:
        if result["data"]["fingerprint"] != kept_fingerprints(KEPT, results)[result["task"]]:
            continue
        name = f"{result['task']}/{result['name']}"
        assert {"date", "command", "versions", "left_out"} <= set(result), name
        assert result["command"].startswith("secondread lab compare"), name
        if result["kind"] == "network":
            assert {"home", *(f"{hospital} left out" for hospital in result["left_out"])} == set(result["curves"]), name


def test_every_system_that_the_paper_names_has_one_here():
    classical = {"svm", "decision-tree", "knn", "random-forest", "cnn-svm"}
    for name in list_systems():
        system = load_system(name)
        assert system.model in (list_models() if system.recipe else classical)
        if system.recipe:
            recipe = system.recipe_for(load_task("tuberculosis"))
            assert recipe.scheduler == "plateau", f"{name} may stop before its loss is flat"
            assert recipe.pretrained or recipe.least_epochs >= 30, name
    asked = {"lenet", "vgg16", "resnet50", "densenet121", "efficientnet-lite0", "vit", "cbam", "multiscale", "capsule"}
    assert asked | {"unet", "contrastive", "detector"} | classical <= set(list_systems())
    assert set(ENSEMBLED) <= set(list_systems())


def test_a_collection_of_a_hospital_that_has_taught_is_not_called_another(results, tmp_path):
    """veda's films are of MURA's hospital; New Delhi's of none that Shenzhen's are."""
    (kept,) = (one for one in results if one["task"] == "tuberculosis" and one["name"] == "knn-0")
    area = kept["metrics"]["test"]["roc_auc"]
    left = dict(zip(("fracatlas", "veda"), kept["left_out"].values(), strict=True))
    places = {"external": {"mura": {"roc_auc": area}, "other": {"roc_auc": area}}}
    write_result({**kept, "task": "fracture", "left_out": left, "by_source": places}, tmp_path / "fracture" / "a.json")
    write_leaderboard(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| external: mura † | external: other |" in page
    assert "† Other patients of a hospital that has taught" in page
    write_result({**kept, "by_source": places}, tmp_path / "fracture" / "a.json")
    write_leaderboard(tmp_path, tmp_path / "page.md")
    assert "†" not in (tmp_path / "page.md").read_text(encoding="utf-8")
