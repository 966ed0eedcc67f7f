"""Bundles by their recipe files: each shipped one has its own, and following it makes the bundle."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from secondread.data import load_data
from secondread.errors import UnknownName, UsageError
from secondread.images import PrepareSpec
from secondread.models import list_models
from secondread.reading import list_bundles, load_bundle
from secondread.tasks import first_tasks, load_task
from secondread.testing.phantoms import write_phantom_data
from secondread.training import list_recipes, load_recipe
from secondread.training.build import build_bundle, list_plans, load_plan
from secondread.training.draw import DrawPlan
from secondread.training.recipe import prepare_spec_of
from tests.cli.test_cli import call


def test_every_shipped_bundle_has_a_recipe_file():
    assert set(list_bundles()) <= set(list_plans())


@pytest.mark.parametrize("reference", list_plans())
def test_a_recipe_file_is_followed_to_the_end(reference):
    plan = load_plan(reference)
    assert f"{plan.task.name}/{plan.name}" == reference
    for member in plan.members:
        assert member.model in list_models()
        assert isinstance(prepare_spec_of(plan.task, member.recipe_for(plan.task)), PrepareSpec)


@pytest.mark.parametrize("reference", list_bundles())
def test_a_shipped_bundle_was_made_as_its_recipe_file_says(reference):
    bundle, plan = load_bundle(reference), load_plan(reference)
    made = bundle.members or (bundle,)
    names = [member.model for member in plan.members]
    assert bundle.model.architecture == " + ".join(names) + ("-boxes" if plan.draw else "")
    if bundle.members:
        assert [one.model.architecture for one in bundle.members] == names
    if plan.draw:
        recorded = bundle.record["training"]["boxes"]
        told = json.loads(json.dumps(asdict(plan.draw)))
        told["sources"] = told["sources"] or recorded["sources"]  # none named: all that have boxes, which are recorded
        assert {name: recorded[name] for name in told} == told
    for one, member in zip(made, plan.members, strict=True):
        recipe = json.loads(json.dumps(member.recipe_for(plan.task).to_dict()))
        recorded = {**one.training.recipe, "pretrained": recipe["pretrained"]}
        assert {name: recorded.get(name, recipe[name]) for name in recipe} == recipe
        assert one.training.random_state == member.random_state
    if bundle.members:
        shares = [member.share / sum(other.share for other in plan.members) for member in plan.members]
        assert [one.share or 1 / len(made) for one in bundle.members] == shares


@pytest.mark.parametrize("task", first_tasks())
@pytest.mark.parametrize("name", list_recipes())
def test_recipes_are_what_they_were_in_source(name, task):
    """`recipes.json` was written before the recipes were moved into TOML files."""
    before = json.loads(Path(__file__).with_name("recipes.json").read_text(encoding="utf-8"))[name][task]
    found = json.loads(json.dumps(load_recipe(name, load_task(task)).to_dict()))
    assert found == {**before, "name": name, "summary": list_recipes()[name]}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_phantom_data(tmp_path_factory.mktemp("build"), counts={"train": 16, "val": 12})


OWN = """
task = "tuberculosis"
name = "mine"

[[member]]
name = "one"
model = "lenet"
recipe = "upright"
changes = { epochs = 1, batch_size = 8 }
share = 2

[[member]]
name = "two"
model = "lenet"
recipe = "upright"
random_state = 1
changes = { epochs = 1, batch_size = 8, contrast = [0.9, 1.1] }
"""


def test_a_recipe_file_of_ones_own_makes_a_mean(manifest, tmp_path):
    file, out = tmp_path / "mine.toml", tmp_path / "made"
    file.write_text(OWN)
    given = {"out": out, "cache_folder": manifest.parent / "cache", "measure": False}
    bundle = build_bundle(load_plan(str(file)), load_data(manifest, task=load_task("tuberculosis")), **given)
    assert bundle.name == "mine"
    assert [round(member.share, 3) for member in bundle.members] == [0.667, 0.333]
    assert [member.training.random_state for member in bundle.members] == [0, 1]
    assert {path.name for path in (tmp_path / "made.members").iterdir()} == {"one", "one.run", "two", "two.run"}
    assert bundle.members[1].training.recipe["contrast"] == [0.9, 1.1]


def test_a_recipe_file_says_how_a_bundle_learns_to_draw(tmp_path):
    (tmp_path / "x.toml").write_text(OWN + '\n[draw]\nsources = ["north"]\nepochs = 3\n')
    assert load_plan(str(tmp_path / "x.toml")).draw == DrawPlan(sources=("north",), epochs=3)


MISTAKES = {
    "unknown field of drawing": (OWN + "\n[draw]\nepoch = 3", "unknown fields: epoch; known: batch_size, epochs"),
    "no member": ('task = "fracture"\nname = "x"', "one [[member]] or more"),
    "unknown field": (OWN + "\nepochs = 3", "unknown fields: epochs; known: changes, model"),
    "two of one name": (OWN.replace('"two"', '"one"'), "a `name` of its own"),
    "no TOML": ("task =", "not valid TOML"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_recipe_file_is_named(tmp_path, name):
    text, said = MISTAKES[name]
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        load_plan(str(tmp_path / "x.toml"))


def test_a_wrong_field_of_a_recipe_is_found_before_anything_is_trained(capsys, manifest, tmp_path):
    (tmp_path / "x.toml").write_text(OWN.replace("contrast", "contrats"))
    code, _, error = call(capsys, "build", tmp_path / "x.toml", "--data", manifest, "--out", tmp_path / "out")
    assert code == 2
    assert "did you mean 'contrast'?" in error
    assert not list(tmp_path.glob("out*"))


def test_a_bundle_without_a_recipe_file_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'fracture/best'"):
        load_plan("fracture/bets")
