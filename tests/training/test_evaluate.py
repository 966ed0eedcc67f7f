"""Evidence, page and card of an evaluation: one run over phantoms with known lesions."""

import json
import re
from copy import copy, deepcopy
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from secondread.cli.main import run
from secondread.data import load_data
from secondread.evidence.card import load_checklist, write_card
from secondread.evidence.evidence import Prediction, build_evidence, load_evidence
from secondread.evidence.localisation import TOLERANCE
from secondread.evidence.report import WHAT_A_HEAT_MAP_IS_NOT
from secondread.reading import Reader, load_bundle
from secondread.training.measure import evaluate, failures_of, write_evaluation

SIDE = 128
LESION = [SIDE // 5, SIDE // 4, SIDE // 2 - SIDE // 5, SIDE // 4]  # of testing.phantoms.film: x, y, width, height


@pytest.fixture(scope="module")
def boxed_manifest(tmp_path_factory, phantom_manifest):
    """The phantoms with the boxes of their lesions beside the manifest."""
    folder = tmp_path_factory.mktemp("boxed")
    (folder / "images").symlink_to(phantom_manifest.parent / "images")
    (folder / "manifest.csv").write_text(phantom_manifest.read_text())
    rows = load_data(folder / "manifest.csv").rows
    boxes = {row.name: [{"category": "lesion", "bbox": LESION}] for row in rows if row.label}
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def reader(phantom_bundle):
    return Reader.load(phantom_bundle)


@pytest.fixture(scope="module")
def measured(reader, boxed_manifest):
    manifest = load_data(boxed_manifest, task=reader.task)
    return manifest, evaluate(reader.bundle, manifest, ["test", "val"], reader=reader, command="secondread evaluate …")


def schema():
    return json.loads((files("secondread.evidence") / "evidence.schema.json").read_text(encoding="utf-8"))


def test_evidence_keeps_its_published_schema(measured, phantom_bundle):
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    validator.validate(json.loads(json.dumps(measured[1])))
    validator.validate(load_evidence(phantom_bundle / "evidence.json"))


def test_the_schema_refuses_what_is_not_documented(measured):
    table = json.loads(json.dumps(measured[1]))
    table["results"]["test"]["picture"] = "…"
    with pytest.raises(jsonschema.ValidationError, match="picture"):
        jsonschema.validate(table, schema())


def test_every_operating_point_is_measured_on_every_split(measured, reader):
    for result in measured[1]["results"].values():
        rows = {row["name"]: row for row in result["thresholds"]["rows"] if row["name"]}
        for name, point in reader.bundle.operating_points.items():
            if point.low is not None:  # made of two that stand for themselves
                assert set(result["uncertain"]) == {name}
                continue
            assert rows[name]["threshold"] == point.threshold
            for rate in ("sensitivity", "specificity"):
                assert rows[name][rate]["low"] <= rows[name][rate]["value"] <= rows[name][rate]["high"]


def test_the_share_of_uncertain_images_is_measured(reader, boxed_manifest):
    manifest = load_data(boxed_manifest, task=reader.task)
    probabilities = np.array([reader.read(row.path).probability for row in manifest.split("test").rows])
    low, high = np.quantile(probabilities, [0.25, 0.75])
    rows = [Prediction(f"{i}", i % 2, "", f"{i}", float(p)) for i, p in enumerate(probabilities)]
    evidence = build_evidence(
        {"test": rows}, bundle="a/b@00000000", weights_sha256="0" * 64, task="a", data={}, command="", date="",
        operating_point={"name": "screening", "threshold": low}, bands={"triage": (float(low), float(high))},
    )  # fmt: skip
    found = evidence["results"]["test"]["uncertain"]["triage"]
    assert found["value"] == pytest.approx(np.mean((probabilities > low) & (probabilities <= high)))
    assert found["low"] < found["value"] < found["high"]


def test_heat_maps_are_measured_on_every_diseased_image_with_a_lesion(measured):
    table = measured[1]["results"]["test"]["heatmap"]
    assert table["n"] == measured[1]["results"]["test"]["n_positive"] == 12
    assert table["lesions_given_as"] == ["boxes"]
    assert table["tolerance"] == round(TOLERANCE, 6)
    assert table["lesion_share"] == pytest.approx(LESION[2] * LESION[3] / SIDE**2, abs=1e-5)
    uniform = table["measures"]["energy"]["uniform"]
    assert uniform["value"] == pytest.approx(table["lesion_share"], abs=1e-5)
    assert uniform["low"] < uniform["value"] < uniform["high"], "twelve images alike do not prove the next one is"


def test_the_sanity_test_compares_the_same_images_before_and_after(measured):
    table = measured[1]["results"]["test"]["heatmap"]
    test = table["randomised_weights"]
    assert test["n"] == table["n"]
    assert test["energy"] == table["measures"]["energy"]["map"]
    assert abs(test["rank_correlation"]["value"]) < 0.5
    difference = test["energy"]["value"] - test["energy_randomised"]["value"]
    assert test["energy_gain"]["value"] == pytest.approx(difference, abs=1e-5)


def test_the_sanity_test_counts_maps_from_the_bundles_zero_as_they_are_served(measured, reader):
    manifest, _ = measured
    record = deepcopy(reader.bundle.record)
    record["heatmap"]["zero"] = -1.5
    reader_from = copy(reader)
    reader_from.bundle = replace(reader.bundle, record=record)
    again = evaluate(reader_from.bundle, manifest, ["test"], reader=reader_from, command="secondread evaluate …")
    table = again["results"]["test"]["heatmap"]
    assert table["measures"] != measured[1]["results"]["test"]["heatmap"]["measures"]
    test = table["randomised_weights"]
    for name in ("energy", "pointing"):
        assert test[name] == table["measures"][name]["map"]
    assert test["energy_randomised"]["value"] > 0, "a map counted from its lowest place is not empty"


def test_evaluating_twice_gives_the_same_evidence(measured, reader):
    manifest, evidence = measured
    again = evaluate(reader.bundle, manifest, ["test", "val"], reader=reader, command="secondread evaluate …")
    assert again == evidence


def test_subgroups_name_the_sources(measured):
    parts = measured[1]["results"]["test"]["subgroups"]["source"]
    assert [part["value"] for part in parts] == ["site0", "site1", "site2"]


def test_the_page_needs_nothing_from_elsewhere_and_every_link_leads_somewhere(measured, reader, tmp_path):
    manifest, evidence = measured
    gallery = failures_of(reader, manifest, evidence)
    page = write_evaluation(evidence, reader.bundle, tmp_path, gallery=gallery).read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "http" not in re.sub(r'"data:[^"]*"', "", page)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    assert WHAT_A_HEAT_MAP_IS_NOT.replace("'", "&#39;") in page
    assert load_evidence(tmp_path / "evidence.json") == evidence


def test_pictures_of_images_are_in_the_page_alone_and_only_where_wanted(measured, reader, tmp_path):
    manifest, evidence = measured
    strict = {**evidence, "operating_point": {"name": "paper", "threshold": 2.0}}
    reader_at = copy(reader)
    reader_at.operating_point = replace(reader.operating_point, threshold=2.0)  # everything is negative
    gallery = failures_of(reader_at, manifest, strict)
    assert {failure.kind for failure in gallery["test"]} == {"missed"}
    values = [failure.probability for failure in gallery["test"]]
    assert values == sorted(values)
    assert all(failure.outlined for failure in gallery["test"])
    shown = write_evaluation(strict, reader.bundle, tmp_path / "a", gallery=gallery).read_text(encoding="utf-8")
    left_out = write_evaluation(strict, reader.bundle, tmp_path / "b").read_text(encoding="utf-8")
    assert "image/jpeg" in shown
    assert "image/jpeg" not in left_out
    assert "Failures" not in left_out
    for text in ((tmp_path / "a" / "evidence.json").read_text(), write_card(reader.bundle, evidence)):
        assert "base64" not in text
        assert "data:image" not in text


def test_images_that_the_bundle_was_trained_on_are_not_among_its_failures(measured, reader):
    """They were left out of the measurement, so the gallery has fewer images than the split."""
    manifest, evidence = measured
    some = {**evidence, "predictions": {"test": evidence["predictions"]["test"][3:]}}
    paths = {path for path, *_ in some["predictions"]["test"]}
    assert {failure.path for failure in failures_of(reader, manifest, some)["test"]} <= paths


def test_the_card_answers_every_item_of_both_checklists(measured, reader):
    card = write_card(reader.bundle, measured[1])
    titles = set(re.findall(r"^## (.+)$", card, flags=re.MULTILINE))
    for name in ("claim_2024", "tripod_ai"):
        checklist = load_checklist(name)
        rows = re.findall(r"^\| (\w+) \| .*\| (.+) \|$", card.split(f"## {checklist.title}")[1].split("\n## ")[0], re.M)
        assert [number for number, _ in rows if number != "item"] == [item.number for item in checklist.items]
        assert all(said.strip() for _, said in rows)
    anchors = {title.lower().replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]+)\)", card)) <= anchors
    assert "**gap: no other hospital's images of both classes were measured**" in card


def test_sections_that_checklists_name_are_sections_of_a_card(measured, reader):
    """But for `external`, which not every manifest has, and the seed paper, which has no claim for every task."""
    card = write_card(reader.bundle, measured[1])
    titles = set(re.findall(r"^## (.+)$", card, flags=re.MULTILINE))
    items = [item for name in ("claim_2024", "tripod_ai") for item in load_checklist(name).items]
    named = {place for item in items for place in item.where}
    assert {place for place in named if "/" not in place and not place.isupper()} <= titles | {"Measured on external"}


def test_the_command_writes_page_and_evidence_at_a_chosen_prevalence(capsys, boxed_manifest, phantom_bundle, tmp_path):
    with pytest.raises(SystemExit) as stop:
        run(["evaluate", "--data", str(boxed_manifest), "--split", "test", "--bundle", str(phantom_bundle),
             "--prevalence", "0.02", "--no-gallery", "--out", str(tmp_path)])  # fmt: skip
    assert stop.value.code == 0
    table = load_evidence(tmp_path / "evidence.json")["results"]["test"]["thresholds"]
    assert (table["prevalence"], table["prevalence_is"]) == (0.02, "as given")
    assert "as was asked" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "image/jpeg" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_split_that_is_refused_throughout_still_has_evidence_and_page(reader, tmp_path):
    (tmp_path / "a.png").write_text("no image")
    (tmp_path / "manifest.csv").write_text("path,label,split\na.png,1,test\n")
    manifest = load_data(tmp_path / "manifest.csv", task=reader.task)
    evidence = evaluate(reader.bundle, manifest, ["test"], reader=reader, command="…")
    result = evidence["results"]["test"]
    assert (result["n"], result["n_refused"], result["refusals"]) == (0, 1, {"not_an_image": 1})
    jsonschema.validate(json.loads(json.dumps(evidence)), schema())
    assert "not_an_image" in write_evaluation(evidence, reader.bundle, tmp_path / "out").read_text(encoding="utf-8")
    assert "no image was read" in write_card(load_bundle(reader.bundle.folder), evidence)
    assert np.isfinite(result["thresholds"]["prevalence"])
