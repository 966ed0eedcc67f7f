"""Bundles that find boxes: measured as they are served, and merged into one that still answers with its best box."""

import json
from importlib.resources import files

import jsonschema
import numpy as np
import onnxruntime
import pytest

from secondread.data import Manifest
from secondread.errors import UsageError
from secondread.evidence import detection
from secondread.evidence.card import write_card
from secondread.reading import Reader
from secondread.training.measure import evaluate, write_evaluation
from secondread.training.merge import merge_bundles
from secondread.training.merge_onnx import merge_models
from tests.boxed import CELLS, SIZE, boxed_bundle, boxed_network, spotted, spotted_manifest

SPLITS = {"train": 8, "val": 16, "test": 16}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    return spotted_manifest(tmp_path_factory.mktemp("spots"), SPLITS)


@pytest.fixture(scope="module")
def evidence_and_bundle(manifest, tmp_path_factory):
    bundle = boxed_bundle(tmp_path_factory.mktemp("bundle") / "boxes")
    return evaluate(bundle, manifest, ["test"], reader=Reader.load(bundle), command="test"), bundle


def test_boxes_of_a_bundle_that_has_them_are_measured_where_lesions_are_known(evidence_and_bundle):
    evidence, _ = evidence_and_bundle
    table = evidence["results"]["test"]["boxes"]
    schema = files("secondread.evidence") / "evidence.schema.json"
    jsonschema.validate(json.loads(json.dumps(evidence)), json.loads(schema.read_text(encoding="utf-8")))
    assert table["n"] == SPLITS["test"]
    assert table["n_boxes"] == sum(1 + number % 3 for number in range(1, 16, 2))
    assert table["ap50"]["value"] > 0.5
    assert table["ap"]["value"] <= table["ap50"]["value"]
    assert set(table["froc"]["0.5"]) == {f"{rate:g}" for rate in detection.RATES}
    assert table["by_size"]["medium"]["n_boxes"] == table["n_boxes"]
    heatmap = evidence["results"]["test"]["heatmap"]["measures"]
    assert heatmap["pointing"]["map"]["value"] > 0.9  # the map's peak is the strongest box's cell
    assert heatmap["energy"]["map"]["value"] > heatmap["energy"]["body"]["value"]


def test_card_and_page_say_what_was_measured_of_boxes(evidence_and_bundle, tmp_path):
    evidence, bundle = evidence_and_bundle
    ap50 = f"{evidence['results']['test']['boxes']['ap50']['value']:.2f}"
    card = write_card(bundle, evidence)
    page = write_evaluation(evidence, bundle, tmp_path).read_text(encoding="utf-8")
    for text in (card, page):
        assert f"(AP50) is {ap50}" in text
    assert "## Boxes" in card
    assert "(FROC)" in page
    assert 'href="#test-boxes"' in page


def test_a_bundle_without_boxes_is_measured_without(manifest, tmp_path):
    without = boxed_bundle(tmp_path / "plain", boxes=None)
    evidence = evaluate(without, manifest, ["test"], reader=Reader.load(without), command="test")
    assert "boxes" not in evidence["results"]["test"]
    assert "## Boxes" not in write_card(without, evidence)


def run(model: bytes, images: np.ndarray, *names: str) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(list(names), {"image": images})


def test_merged_networks_answer_with_the_best_of_their_common_boxes():
    models = [boxed_network(steep=24.0), boxed_network(steep=10.0), boxed_network(steep=5.0, boxes=False)]
    images = np.stack([spotted((32, 32, 250), size=(SIZE, SIZE)), spotted(size=(SIZE, SIZE))])[..., None]
    merged = merge_models(
        models, sizes=[SIZE] * 3, weights=[0.5, 0.3, 0.2], mapped=[True] * 3, boxed=[True, True, False]
    )
    logit, cam, box = run(merged, images, "logit", "cam", "box")
    (_, first), (_, second), (third, _) = (run(model, images, "logit", "cam") for model in models)
    np.testing.assert_allclose(cam, 0.5 * first + 0.3 * second + 0.2 * third[:, None, None], rtol=1e-5)
    assert (logit == cam.max(axis=(1, 2))).all()
    assert box.shape == (2, 4, CELLS, CELLS)
    np.testing.assert_allclose(box, run(models[0], images, "box")[0], rtol=1e-5)  # both have the same sides


def test_a_box_of_a_smaller_member_is_as_large_on_the_merged_input():
    small = boxed_network(size=SIZE // 2)
    with_large = merge_models(
        [small, boxed_network(boxes=False)], sizes=[SIZE // 2, SIZE], weights=[0.5, 0.5], mapped=[True, True],
        boxed=[True, False],
    )  # fmt: skip
    images = np.zeros((1, SIZE, SIZE, 1), np.uint8)
    (own,), (box,) = run(small, np.ascontiguousarray(images[:, ::2, ::2]), "box"), run(with_large, images, "box")
    np.testing.assert_allclose(box, 2 * own, rtol=1e-5)


@pytest.fixture(scope="module")
def members(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    data = {"fingerprint": manifest.fingerprint(), "splits": manifest.splits()}
    networks = {"steep": boxed_network(), "flat": boxed_network(steep=12.0)}
    return [boxed_bundle(folder / name, name=name, model=model, data=data) for name, model in networks.items()]


def test_a_merged_bundle_has_boxes_and_is_positive_exactly_where_one_of_them_is(members, manifest, tmp_path):
    merged = merge_bundles(members, manifest, out=tmp_path / "both", name="both", measure=False)
    assert merged.boxes == members[0].boxes
    reader = Reader.load(merged)
    for number in range(4):
        reading = reader.read(manifest.rows[number].path)
        threshold = reader.operating_point.threshold
        assert (reading.decision == "positive") == any(one.score > threshold for one in reading.findings)
        assert (reading.decision == "positive") == (reading.probability > threshold)


def test_boxes_of_other_cells_cannot_be_merged(members, manifest, tmp_path):
    prepare = dict(members[0].record["prepare"]) | {"size": SIZE // 2}
    data = dict(members[0].record["data"])
    small = boxed_bundle(tmp_path / "s", name="s", model=boxed_network(size=SIZE // 2), prepare=prepare, data=data)
    with pytest.raises(UsageError, match="at one input size alone"):
        merge_bundles([members[0], small], manifest, out=tmp_path / "both", name="both")
