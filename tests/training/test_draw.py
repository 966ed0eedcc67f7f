"""A bundle that learns to draw: its answers stay, its boxes are where the spots are, and what cannot draw says so."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from secondread.data import Manifest, Row
from secondread.data.split import validation_share
from secondread.errors import UsageError
from secondread.models import create_model
from secondread.models.finder import Finder
from secondread.models.lesion_lite import without_finder
from secondread.reading import Reader, load_bundle, write_bundle
from secondread.tasks import load_task
from secondread.training.boxes import boxes_for
from secondread.training.draw import DrawPlan, draw_bundle, known_rows, steepest, teaching_rows
from secondread.training.export import WithScaling, export_onnx, run_onnx
from secondread.training.fit import fit
from secondread.training.graft import SEEN, grafted, tapped
from secondread.training.merge import merge_bundles
from secondread.training.merge_onnx import merge_models
from secondread.training.prepare import lesion_maps, new_network
from secondread.training.recipe import load_recipe, prepare_spec_of
from secondread.training.train import Progress, prepared_part, train_bundle
from tests.boxed import spotted_manifest

TASK = load_task("fracture")
NETWORK = "tests.models.small:lesion_lite"
SIZE = 96
SPLITS = {"train": 32, "val": 12, "test": 8, "localisation": 20}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    return spotted_manifest(tmp_path_factory.mktemp("spots"), SPLITS, sources=("north", "south"))


@pytest.fixture(scope="module")
def trained(manifest, tmp_path_factory):
    """Makes bundles without boxes, of one small network that has learnt a little."""

    def train(name, **changes):
        prepare = {"size": SIZE, "channels": 1, "aspect": "pad"}
        changes = {"epochs": 2, "batch_size": 8, "lesion_weight": 1.0, "prepare": prepare} | changes
        recipe, out = load_recipe("upright", TASK, **changes), tmp_path_factory.mktemp(name) / name
        return train_bundle(TASK, manifest, recipe, model_name=NETWORK, out=out, name=name, measure=False)

    return train


@pytest.fixture(scope="module")
def reads(trained):
    """A bundle of one network that also has an operating point for series."""
    made = trained("best")
    series = {**load_bundle("brain-tumour/best").record["series"], "weights_sha256": made.model.sha256}
    return write_bundle(made.folder, record={**made.record, "series": series}, model=made.model_path.read_bytes())


@pytest.fixture(scope="module")
def mean(reads, trained, manifest, tmp_path_factory):
    """A bundle of two networks, one of which also reads the mirror image and learnt from a shared collection."""
    other = trained("other", mirrored=True, lesions_from=("localisation",))
    out = tmp_path_factory.mktemp("mean") / "mean"
    return merge_bundles([reads, other], manifest, out=out, name="mean", measure=False)


PLAN = DrawPlan(epochs=6, views=3, batch_size=8)


@pytest.fixture(scope="module")
def views(reads, trained, manifest, tmp_path_factory):
    """A bundle of a network that sees whole images and of one that sees what are their lungs, or lie where these do."""
    prepare = {"size": SIZE, "channels": 1, "aspect": "pad", "field": "lungs"}
    out = tmp_path_factory.mktemp("views") / "views"
    return merge_bundles([trained("lungs", prepare=prepare), reads], manifest, out=out, name="views", measure=False)


@pytest.fixture(scope="module", params=["reads", "mean", "views"])
def learnt(request, manifest, tmp_path_factory):
    """The bundle before, the bundle that draws, and the losses."""
    before = request.getfixturevalue(request.param)
    losses = []
    told = lambda epoch, epochs, loss: losses.append(loss)  # noqa: E731
    out = tmp_path_factory.mktemp("draws") / "best"
    made = draw_bundle(before, manifest, PLAN, out=out, command="test", measure=False, on_epoch=told)
    return before, made, losses


def test_a_bundle_that_has_learnt_to_draw_answers_as_before(learnt, manifest):
    bundle, made, losses = learnt
    assert losses[-1] < losses[0]
    before, after = (Reader.load(one.folder, gate=False) for one in (bundle, made))
    for row in manifest.split("test").rows:
        one, other = before.read(row.path), after.read(row.path)
        assert (one.probability, one.decision) == (other.probability, other.decision)
        assert one.to_dict().get("findings") is None
        assert other.findings is not None
        found = other.to_dict()["findings"]
        assert bool(found) == (other.decision == "positive")
        assert not found or found[0]["score"] == other.probability


def test_its_record_says_what_stayed_who_taught_and_how_good_the_boxes_are(learnt, manifest):
    bundle, made, losses = learnt
    assert (made.data, made.members, made.calibration) == (bundle.data, bundle.members, bundle.calibration)
    assert made.training.command == bundle.training.command
    assert made.model.architecture == f"{bundle.model.architecture}-boxes"
    assert made.model.parameters > bundle.model.parameters
    assert (made.series is None) == (bundle.series is None)
    thresholds = [{name: one.threshold for name, one in each.operating_points.items()} for each in (bundle, made)]
    assert thresholds[0] == thresholds[1]
    shared = validation_share(manifest, "localisation").rows if bundle.name == "mean" else ()
    said = made.record["training"]["boxes"]
    assert said["sources"] == ["north", "south"]
    assert said["n_boxes"] >= SPLITS["train"] // 2
    assert said["logit_difference_from_before"] == 0
    assert said["val"]["n"] == SPLITS["val"] + len(shared)
    assert 0 <= said["val"]["ap50"]["value"] <= 1
    assert said["loss"] == [round(loss, 5) for loss in losses]
    assert made.heatmap.extent == (0, 0, 1, 1)


def test_only_the_hospitals_that_are_named_teach(manifest):
    rows = teaching_rows(manifest, DrawPlan(sources=("north",), healthy=1.0))
    assert {row.source for row in rows} == {"north"}
    assert {row.split for row in rows} == {"train"}
    assert sum(row.label for row in rows) == len(rows) / 2
    with pytest.raises(UsageError, match="they are known of north, south"):
        teaching_rows(manifest, DrawPlan(sources=("east",)))


def test_boxes_are_not_judged_on_diseased_films_whose_lesions_nobody_drew(manifest, tmp_path):
    (undrawn,) = spotted_manifest(tmp_path, {"val": 1}).rows
    sick = Row(path=undrawn.path, name="sick.png", label=1, source="north", split="val")
    val = Manifest((*manifest.split("val").rows, sick), manifest.folder)
    spec = prepare_spec_of(TASK, load_recipe("upright", TASK, prepare={"size": 32, "channels": 1}))
    judged = known_rows(prepared_part(val, "val", spec, tmp_path, Progress()), manifest)
    assert judged.rows == manifest.split("val").rows
    assert len(judged.images) == len(judged.labels) == SPLITS["val"]


def test_boxes_are_judged_at_the_hospitals_whose_boxes_teach(manifest, tmp_path):
    spec = prepare_spec_of(TASK, load_recipe("upright", TASK, prepare={"size": 32, "channels": 1}))
    val = prepared_part(manifest.split("val"), "val", spec, tmp_path, Progress())
    assert {row.source for row in known_rows(val, manifest, ("north",)).rows} == {"north"}
    assert known_rows(val, manifest, ("east",)).rows == known_rows(val, manifest).rows  # none of theirs validates


def test_what_draws_already_and_other_networks_are_told_apart(learnt, mean, manifest, tmp_path):
    with pytest.raises(UsageError, match="draws boxes already"):
        draw_bundle(learnt[1], manifest, DrawPlan(), out=tmp_path / "again")
    with pytest.raises(UsageError, match="trained on other data"):
        draw_bundle(Reader.load("fracture/paper").bundle, manifest, DrawPlan(), out=tmp_path / "paper")
    small = {**dict(mean.record["members"][0]), "prepare": {"size": SIZE // 2}}
    of_sizes = replace(mean, record={**mean.record, "members": [small, mean.record["members"][1]]})
    with pytest.raises(UsageError, match="at several sizes"):
        draw_bundle(of_sizes, manifest, DrawPlan(), out=tmp_path / "sizes")
    assert not any(tmp_path.iterdir())
    with pytest.raises(UsageError, match="no lesion-lite0, 1 or 2"):
        tapped(Reader.load("fracture/paper").bundle.model_path.read_bytes())


def networks(n: int, **how) -> tuple[list[torch.nn.Module], list[bytes]]:
    """Small networks, drawn at random, and their files."""
    torch.manual_seed(3)
    models = [create_model(NETWORK, in_chans=1, input_size=SIZE).eval() for _ in range(n)]
    return models, [export_onnx(model, size=SIZE, channels=1, **how).model for model in models]


def films(n: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, SIZE, SIZE, 1), dtype=np.uint8)


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_a_mean_sees_is_what_its_networks_see_of_the_image_itself(mirrored):
    models, data = networks(2, mirrored=mirrored)
    merged = merge_models(data, sizes=[SIZE] * 2, weights=[0.3, 0.7], mapped=[True] * 2)
    seen = dict(zip(SEEN, run_onnx(tapped(merged), films(), outputs=SEEN), strict=True))
    for name, before in zip(("cells", "logit"), run_onnx(merged, films(), outputs=["cam", "logit"]), strict=True):
        np.testing.assert_array_equal(seen[name], before)
    with torch.inference_mode():
        x = torch.from_numpy(films()).permute(0, 3, 1, 2) / 255
        pyramids = zip(*(model.backbone.pyramid(x) for model in models), strict=True)
        for name, parts in zip(SEEN, pyramids, strict=False):
            np.testing.assert_allclose(seen[name], torch.cat(parts, dim=1), atol=1e-3)


def test_what_is_grafted_draws_as_torch_does_and_leaves_the_answer():
    (model,), (data,) = networks(1)
    seen = run_onnx(tapped(data), films(), outputs=SEEN)
    finder = Finder(*(part.shape[1] for part in seen[:3])).eval()
    torch.nn.init.normal_(finder.head.weight, std=0.3)
    finder.steepness.fill_(3.0)
    both = grafted(data, finder, films())
    onnx.checker.check_model(onnx.load_from_string(both), full_check=True)
    logit, cam, box = run_onnx(both, films(), outputs=["logit", "cam", "box"])
    np.testing.assert_array_equal(logit, run_onnx(data, films(), outputs=["logit"])[0])
    with torch.inference_mode():
        scores, reach = finder(*map(torch.from_numpy, seen))
        away, _ = WithScaling(model)(torch.from_numpy(films()))
    np.testing.assert_allclose(cam, scores, atol=0.05)  # weights of 16 bits
    np.testing.assert_allclose(box, reach, rtol=0.02)
    np.testing.assert_allclose(logit, away, atol=1e-3)


def test_the_strongest_box_is_the_answer_and_which_place_is_first_does_not_change():
    torch.manual_seed(3)
    finder = Finder(8, 16, 24).eval()
    torch.nn.init.normal_(finder.head.weight)
    seen = torch.randn(4, 8, 12, 12), torch.randn(4, 16, 6, 6), torch.randn(4, 24, 3, 3), torch.randn(4, 6, 6)
    logit = torch.tensor([-9.0, -1.0, 0.5, 30.0])
    with torch.no_grad():
        local, sides = finder.draw(*seen)
        for steepness in (1.0, 4.0):
            finder.steepness.fill_(steepness)
            scores, reach = finder(*seen, logit)
            assert torch.equal(scores.amax(dim=(1, 2)), logit)
            below = (scores - logit[:, None, None]) / steepness
            torch.testing.assert_close(below, local - local.amax(dim=(1, 2), keepdim=True), atol=1e-4, rtol=0)
            assert torch.equal(reach, sides)
    assert (reach > 0).all()


@pytest.fixture(scope="module")
def beside(trained):
    """A bundle whose network learnt beside a part that draws, and what it answers on the same validation films."""
    return trained("beside", draw_weight=1.0, draw_from=("north",))


def test_learning_beside_a_part_that_draws_changes_what_a_network_sees_and_not_what_is_kept(reads, beside, manifest):
    assert beside.boxes is None
    assert beside.model.parameters == reads.model.parameters
    assert beside.training.recipe["draw_from"] == ["north"]
    val = prepared_part(manifest.split("val"), "val", beside.prepare_spec, None, Progress())
    fine, other = (
        run_onnx(tapped(one.model_path.read_bytes()), val.images, outputs=["fine"])[0] for one in (reads, beside)
    )
    assert np.abs(fine - other).max() > 0.01


def test_it_then_draws_as_any_other(beside, manifest, tmp_path):
    drawn = draw_bundle(beside, manifest, PLAN, out=tmp_path / "drawn", measure=False)
    assert drawn.boxes is not None
    assert drawn.record["training"]["boxes"]["logit_difference_from_before"] < 1e-3


def test_a_part_that_draws_starts_beside_the_same_network_and_learns(manifest):
    prepare = {"size": SIZE, "channels": 1, "aspect": "pad"}
    recipe = load_recipe("upright", TASK, epochs=1, batch_size=8, lesion_weight=1.0, draw_weight=1.0, prepare=prepare)
    spec = prepare_spec_of(TASK, recipe)
    alone = new_network(NETWORK, spec, replace(recipe, draw_weight=0.0), random_state=3)
    model = new_network(NETWORK, spec, recipe, random_state=3)
    same = {name: torch.equal(tensor, model.state_dict()[name]) for name, tensor in alone.state_dict().items()}
    assert all(same.values())
    before = model.finder.head.weight.clone()
    train = prepared_part(manifest.split("train"), "train", spec, None, Progress())
    val = prepared_part(manifest.split("val"), "val", spec, None, Progress())
    boxes = boxes_for(recipe, manifest, train.rows, spec)
    fit(model, train, val, recipe, lesions=lesion_maps(manifest, train.rows, spec), boxes=boxes)
    assert not torch.equal(model.finder.head.weight, before)
    assert without_finder(model).finder is None


def test_boxes_of_sources_that_are_not_named_do_not_teach(manifest):
    recipe = load_recipe("upright", TASK, draw_weight=1.0, draw_from=("south",))
    spec, rows = prepare_spec_of(TASK, recipe), manifest.split("train").rows
    told = boxes_for(recipe, manifest, rows, spec)
    assert {row.source for row, known in zip(rows, told.known, strict=True) if known} == {"south"}
    assert boxes_for(replace(recipe, draw_weight=0.0), manifest, rows, spec) is None


@pytest.mark.parametrize(
    ("precision", "found"),
    [
        ({1.0: 0.508, 2.0: 0.510, 3.0: 0.503, 4.0: 0.487}, 3.0),
        ({1.0: 0.10, 6.0: 0.13, 8.0: 0.105}, 6.0),
        ({1.0: 0.0, 12.0: 0.0}, 12.0),
    ],
)
def test_of_what_is_as_good_the_fewest_boxes_are_drawn(precision, found):
    assert steepest(precision) == found
