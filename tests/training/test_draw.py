"""A bundle that learns to draw: its answers stay, its boxes are where the spots are, and what cannot draw says so."""

import numpy as np
import pytest
import torch

from secondread.data import Manifest
from secondread.errors import TrainingError, UsageError
from secondread.models import create_model
from secondread.reading import Reader
from secondread.tasks import load_task
from secondread.training.draw import DrawPlan, draw_bundle, teaching_rows
from secondread.training.export import export_onnx, run_onnx
from secondread.training.recipe import load_recipe
from secondread.training.served import take_weights
from secondread.training.train import train_bundle
from tests.boxed import spotted_manifest

TASK = load_task("fracture")
SIZE = 96
SPLITS = {"train": 32, "val": 12, "test": 8}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    return spotted_manifest(tmp_path_factory.mktemp("spots"), SPLITS, sources=("north", "south"))


@pytest.fixture(scope="module")
def reads(manifest, tmp_path_factory):
    """A bundle without boxes, of one lesion-lite0 that has learnt a little."""
    prepare = {"size": SIZE, "channels": 1, "aspect": "pad"}
    recipe = load_recipe("upright", TASK, epochs=2, batch_size=8, lesion_weight=1.0, prepare=prepare)
    out = tmp_path_factory.mktemp("reads") / "best"
    return train_bundle(TASK, manifest, recipe, model_name="lesion-lite0", out=out, name="best", measure=False)


@pytest.fixture(scope="module")
def draws(reads, manifest, tmp_path_factory):
    out = tmp_path_factory.mktemp("draws") / "best"
    losses = []
    plan = DrawPlan(epochs=12, batch_size=8)
    told = lambda epoch, epochs, loss: losses.append(loss)  # noqa: E731
    made = draw_bundle(reads, manifest, plan, out=out, command="test", measure=False, on_epoch=told)
    return made, losses


def test_a_bundle_that_has_learnt_to_draw_answers_as_before(reads, draws, manifest):
    made, losses = draws
    assert losses[-1] < losses[0]
    before, after = (Reader.load(bundle.folder, gate=False) for bundle in (reads, made))
    for row in manifest.split("test").rows:
        one, other = before.read(row.path), after.read(row.path)
        assert one.probability == pytest.approx(other.probability, abs=2e-3)
        assert one.to_dict().get("findings") is None
        assert other.findings is not None
        found = other.to_dict()["findings"]
        assert bool(found) == (other.decision == "positive")
        assert not found or found[0]["score"] == other.probability
    assert made.data == reads.data
    assert made.training.command == reads.training.command


def test_its_record_says_who_taught_and_how_good_the_boxes_are(draws):
    said = draws[0].record["training"]["boxes"]
    assert said["sources"] == ["north", "south"]
    assert said["n_boxes"] >= SPLITS["train"] // 2
    assert said["val"]["n"] == SPLITS["val"]
    assert 0 <= said["val"]["ap50"]["value"] <= 1
    assert len(said["loss"]) == 12


def test_only_the_hospitals_that_are_named_teach(manifest):
    rows = teaching_rows(manifest, DrawPlan(sources=("north",), healthy=1.0))
    assert {row.source for row in rows} == {"north"}
    assert {row.split for row in rows} == {"train"}
    assert sum(row.label for row in rows) == len(rows) / 2
    with pytest.raises(UsageError, match="they are known of north, south"):
        teaching_rows(manifest, DrawPlan(sources=("east",)))


def test_what_draws_already_and_other_networks_are_told_apart(draws, manifest, tmp_path):
    with pytest.raises(UsageError, match="draws boxes already"):
        draw_bundle(draws[0], manifest, DrawPlan(), out=tmp_path / "again")
    with pytest.raises(UsageError, match="can learn to draw"):
        draw_bundle(Reader.load("fracture/paper").bundle, manifest, DrawPlan(), out=tmp_path / "paper")
    assert not any(tmp_path.iterdir())


def test_weights_come_back_from_a_bundle(reads):
    model = create_model("lesion-lite0", in_chans=1, input_size=SIZE)
    data = reads.model_path.read_bytes()
    take_weights(model, data, size=SIZE, channels=1)
    again = export_onnx(model, size=SIZE, channels=1).model
    noise = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE, 1), dtype=np.uint8)
    for one, other in zip(*(run_onnx(file, noise, outputs=["logit", "cam"]) for file in (data, again)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "said"), [("lesion-lite2", "another network"), ("lesion-lite1", "away from the file")]
)
def test_weights_of_another_network_are_refused(reads, name, said):
    model = create_model(name, in_chans=1, input_size=SIZE)
    with pytest.raises(TrainingError, match=said):
        take_weights(model, reads.model_path.read_bytes(), size=SIZE, channels=1)


def test_the_strongest_box_is_the_answer_of_the_network_that_reads():
    torch.manual_seed(3)
    model = create_model("lesion-lite0-boxes", in_chans=1, input_size=SIZE).eval()
    with torch.no_grad():
        model.head.weight.normal_(std=1.0)
        model.finder["head"].weight.normal_(std=1.0)
        films = torch.rand(4, 1, SIZE, SIZE)
        logit, scores, reach = model.forward_boxes(films)
        assert torch.equal(logit, scores.amax(dim=(1, 2)))
        assert torch.equal(model(films)[:, 0], logit)
        assert scores.shape == (4, SIZE // 8, SIZE // 8)
        assert (reach > 0).all()
        local, sides = model.draw(*model.frozen(films))
    assert torch.equal(sides, reach)
    shift = scores - local
    assert torch.allclose(shift, shift[:, :1, :1].expand_as(shift), atol=1e-4)  # which place is first does not change
