"""Merged bundles: one file that says what its members' mean would say."""

import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from secondread.data import load_data
from secondread.errors import UsageError
from secondread.models import create_model
from secondread.reading import Reader, load_bundle
from secondread.tasks import load_task
from secondread.testing.phantoms import write_phantom_data
from secondread.training import load_recipe
from secondread.training.export import export_onnx, run_onnx
from secondread.training.merge import merge_bundles
from secondread.training.merge_onnx import merge_models
from secondread.training.train import train_bundle
from tests.cli.test_cli import call

TASK = load_task("tuberculosis")


def train(manifest, out, *, seed, calibration="temperature", **prepare):
    recipe = load_recipe("paper", TASK, epochs=2, batch_size=8, learning_rate=0.003, prepare=prepare)
    return train_bundle(
        TASK, load_data(manifest, task=TASK), recipe, model_name="lenet", out=out, name=out.name, random_state=seed,
        cache_folder=manifest.parent / "cache", measure=False, calibration=calibration,
    )  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_phantom_data(tmp_path_factory.mktemp("merge"), counts={"train": 24, "val": 16, "test": 8})


@pytest.fixture(scope="module")
def members(manifest):
    return [train(manifest, manifest.parent / f"member{seed}", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def merged(members, manifest):
    return merge_bundles(
        members, load_data(manifest, task=TASK), out=manifest.parent / "both", name="both", command="secondread merge …"
    )


def test_the_merged_answer_is_the_mean_of_the_members_calibrated_logits(members, merged, manifest):
    pictures = [row.path for row in load_data(manifest, task=TASK).split("test").rows]
    own = [[Reader.load(bundle.folder).read(picture).probability for picture in pictures] for bundle in members]
    expected = np.mean([np.log(p / (1 - p)) for p in np.array(own)], axis=0) / merged.record["temperature"]
    found = np.array([Reader.load(merged.folder).read(picture).probability for picture in pictures])
    np.testing.assert_allclose(np.log(found / (1 - found)), expected, atol=1e-3)


def test_members_count_by_their_shares(members, manifest, tmp_path):
    data = load_data(manifest, task=TASK)
    merged = merge_bundles(members, data, out=tmp_path / "uneven", name="uneven", shares=[3, 1], measure=False)
    assert [member["share"] for member in merged.record["members"]] == [0.75, 0.25]
    images = np.random.default_rng(7).integers(0, 256, (4, 128, 128, 1), dtype=np.uint8)
    own = [run_onnx(one.model_path.read_bytes(), images, outputs=["logit"])[0] for one in members]
    warm = [logits / one.record["temperature"] for logits, one in zip(own, members, strict=True)]
    (found,) = run_onnx(merged.model_path.read_bytes(), images, outputs=["logit"])
    np.testing.assert_allclose(found, 0.75 * warm[0] + 0.25 * warm[1], atol=1e-4)
    for shares in ([1], [1, 0], [1, float("nan")]):
        with pytest.raises(UsageError, match="2 shares, each above 0"):
            merge_bundles(members, data, out=tmp_path / "never", name="never", shares=shares, measure=False)
    assert not (tmp_path / "never").exists()


def test_a_merged_bundle_has_thresholds_evidence_and_a_card_of_its_own(members, merged):
    assert merged.operating_points["screening"].weights_sha256 == merged.record["model"]["sha256"]
    assert merged.evidence["results"]["test"]["n"] == 8
    assert [member["bundle"] for member in merged.record["members"]] == [bundle.id for bundle in members]
    assert merged.record["model"]["parameters"] == 2 * members[0].record["model"]["parameters"]
    assert "2 convolutional neural networks in one file" in merged.card
    assert "random state 0" in merged.card
    assert "random state 1" in merged.card


def test_a_merged_bundle_can_be_merged_again(members, merged, manifest):
    again = merge_bundles(
        [merged, members[0]], load_data(manifest, task=TASK), out=manifest.parent / "again", name="again", measure=False
    )
    assert load_bundle(again.folder).record["members"][0]["bundle"] == merged.id


@pytest.mark.parametrize("bundles", ["one", "another task", "another size of tile", "isotonic", "another manifest"])
def test_bundles_that_cannot_be_one_are_refused(bundles, members, manifest, tmp_path):
    data = load_data(manifest, task=TASK)
    others = {
        "one": [],
        "another task": [load_bundle("fracture/paper")],
        "another size of tile": [members[1], "prepare"],
        "isotonic": [members[1], "isotonic"],
        "another manifest": [members[1]],
    }[bundles]
    said = {
        "one": "two bundles or more",
        "another task": "different tasks",
        "another size of tile": "size and field alone",
        "isotonic": "more than a temperature",
        "another manifest": "other data",
    }[bundles]
    if "prepare" in others:
        others = [train(manifest, tmp_path / "clahe", seed=1, clahe=2.0)]
    if "isotonic" in others:
        others = [train(manifest, tmp_path / "isotonic", seed=1, calibration="isotonic")]
    if bundles == "another manifest":
        copied = shutil.copytree(manifest.parent, tmp_path / "other", ignore=shutil.ignore_patterns("member*", "both*"))
        lines = manifest.read_text().splitlines()
        (copied / manifest.name).write_text("\n".join(lines[:-1]) + "\n")
        data = load_data(copied / manifest.name, task=TASK)
    with pytest.raises(UsageError, match=said):
        merge_bundles([members[0], *others], data, out=tmp_path / "never", name="never", measure=False)
    assert not (tmp_path / "never").exists()


def test_a_smaller_member_sees_the_image_shrunk_and_its_map_enlarged():
    torch.manual_seed(3)
    models = [
        export_onnx(create_model("lenet", in_chans=1, input_size=size), size=size, channels=1).model
        for size in (128, 96)
    ]
    data = merge_models(models, sizes=[128, 96], weights=[0.25, 0.5], mapped=[True, True])
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    coarse = np.random.default_rng(4).integers(0, 256, (3, 4, 4, 1)).repeat(32, 1).repeat(32, 2).astype(np.uint8)
    shrunk = np.ascontiguousarray(coarse[:, ::4, ::4].repeat(3, 1).repeat(3, 2))  # alike but at the tiles' edges
    (large, fine), (small, rough) = (
        run_onnx(model, images, outputs=["logit", "cam"])
        for model, images in zip(models, (coarse, shrunk), strict=True)
    )
    logit, cam = run_onnx(data, coarse, outputs=["logit", "cam"])
    spread = np.std(0.25 * large + 0.5 * small)
    np.testing.assert_allclose(logit, 0.25 * large + 0.5 * small, atol=max(0.02, spread))
    assert cam.shape == fine.shape
    assert np.corrcoef(cam.ravel(), fine.ravel())[0, 1] > 0.5
    assert rough.shape[1] < fine.shape[1]


def test_only_maps_that_count_are_shown_and_stand_on_the_scale_of_the_logit(members):
    models = [bundle.model_path.read_bytes() for bundle in members]
    data = merge_models(models, sizes=[128, 128], weights=[0.5, 0.25], mapped=[True, False])
    images = np.random.default_rng(6).integers(0, 256, (2, 128, 128, 1), dtype=np.uint8)
    (large, fine), (small, _) = (run_onnx(model, images, outputs=["logit", "cam"]) for model in models)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    logit, cam = session.run(["logit", "cam"], {"image": images})
    np.testing.assert_allclose(logit, 0.5 * large + 0.25 * small, atol=1e-5)
    np.testing.assert_allclose(cam, 0.75 * fine, atol=1e-5)


def test_of_members_that_see_whole_films_and_lungs_each_is_shown_its_own_view(members, manifest, tmp_path):
    data = load_data(manifest, task=TASK)
    lungs = train(manifest, tmp_path / "lungs", seed=2, field="lungs")
    both = merge_bundles([lungs, members[0]], data, out=tmp_path / "views", name="views", command="x")
    assert (both.prepare_spec.field, both.prepare_spec.depth) == ("whole and lungs", 2)
    pictures = [row.path for row in data.split("test").rows]
    own = [[Reader.load(one.folder).read(picture).probability for picture in pictures] for one in (lungs, members[0])]
    expected = np.mean([np.log(p / (1 - p)) for p in np.array(own)], axis=0) / both.record["temperature"]
    reader = Reader.load(both.folder)
    read = [reader.read(picture) for picture in pictures]
    found = np.array([one.probability for one in read])
    np.testing.assert_allclose(np.log(found / (1 - found)), expected, atol=1e-3)
    whole = Reader.load(members[0].folder).read(pictures[0]).heatmap
    assert read[0].heatmap.box == whole.box  # the map shown is of the whole film
    assert np.corrcoef(read[0].heatmap.values.ravel(), whole.values.ravel())[0, 1] > 0.999
    assert both.evidence["results"]["test"]["n"] == 8
    assert "field whole and lungs" in both.card
    with pytest.raises(UsageError, match="already reads two views"):
        merge_bundles([both, members[0]], data, out=tmp_path / "never", name="never", measure=False)


def test_one_network_sees_one_view(manifest, tmp_path):
    with pytest.raises(UsageError, match="train one for each and merge them"):
        train(manifest, tmp_path / "never", seed=0, field="whole and lungs")
    assert not (tmp_path / "never").exists()


def test_the_command_writes_a_bundle_and_keeps_its_members(capsys, members, manifest, tmp_path):
    folders = [str(bundle.folder) for bundle in members]
    code, said, _ = call(capsys, "merge", *folders, "--data", manifest, "--out", tmp_path / "both", "--no-measure")
    assert code == 0
    assert load_bundle(tmp_path / "both").id in said
    again = [*folders, "--data", manifest, "--out", tmp_path / "both", "--no-measure", "--shares"]
    assert call(capsys, "merge", *again, "2,1")[0] == 0
    assert [member["share"] for member in load_bundle(tmp_path / "both").record["members"]] == [0.666667, 0.333333]
    code, _, error = call(capsys, "merge", *again, "much,little")
    assert code == 2
    assert "not numbers" in error
    code, _, error = call(capsys, "merge", *folders, "--data", manifest, "--out", folders[0], "--no-measure")
    assert code == 2
    assert "is one of the bundles" in error
    assert load_bundle(folders[0]).id == members[0].id
