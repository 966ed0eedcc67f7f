"""The HTTP API: its contract, its statuses, its description."""

import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from secondread.evidence.measured import rows_at
from secondread.reading import list_bundles, load, load_bundle
from secondread.tasks import list_tasks, load_task
from secondread.testing.phantoms import bone_phantom, brain_phantom, chest_phantom, dicom_bytes, encode
from secondread.web import create_app
from tests.web.conftest import post

CONTRACT = ["path", "task", "bundle", "probability", "score", "decision", "operating_point", "warnings"]
CONTRACT += ["heatmap", "refusal", "next_step"]
BOXES = ["findings"]
MEANING = ["likelihood_ratio", "likelihood_ratio_measured", "local"]
CHEST = encode(chest_phantom((300, 240), random_state=1), "PNG")
PHANTOMS = {
    "tuberculosis": chest_phantom,
    "brain-tumour": brain_phantom,
    "fracture": bone_phantom,
    "tumour-malignancy": brain_phantom,  # with a lesion: without one it is not asked
}
REFUSED = {
    "text": b"not an image",
    "gif": b"GIF89a" + bytes(40),
    "cut": CHEST[: len(CHEST) // 2],
    "blank": encode(np.full((200, 200), 90, np.uint8), "PNG"),
}


@pytest.mark.parametrize("task", list_tasks())
def test_a_reading_has_the_keys_of_the_contract_in_order_and_says_what_the_reader_says(
    client: FlaskClient, task: str
) -> None:
    data = encode(PHANTOMS[task](256, random_state=3, lesion=True), "PNG")
    answer = post(client, ("folder/a b.png", data), task=task)
    assert answer.status_code == 200
    (entry,) = answer.json["readings"]
    assert list(entry) == [*CONTRACT, *MEANING, *BOXES, "display", "id", "stored", "from_store"]
    assert (entry["findings"] is None) == (load_bundle(task).boxes is None)
    assert entry.pop("id") > 0
    assert entry.pop("stored")
    entry.pop("from_store")
    display = entry.pop("display")
    assert entry.pop("local") is None
    assert entry["next_step"]["code"] == f"{task}.{entry['decision']}"
    ratio, measured = entry.pop("likelihood_ratio"), entry.pop("likelihood_ratio_measured")
    assert measured["split"] == "test"
    assert ratio is None or (ratio > 1) == (entry["decision"] == "positive")
    assert entry == load(task, gate=False).read(data).to_dict(path="folder/a b.png", heatmap=entry["heatmap"])
    assert display["decision_text"] == load_task(task).words[entry["decision"]]
    assert (entry["probability"] > display["threshold"]) == (entry["decision"] == "positive")


def test_with_links_an_answer_has_the_addresses_of_the_same_pictures(client: FlaskClient) -> None:
    big = encode(chest_phantom((2400, 1800), random_state=1), "JPEG")
    (inline,) = post(client, ("a.jpg", big), task="tuberculosis").json["readings"]
    (linked,) = post(client, ("a.jpg", big), task="tuberculosis", pictures="links").json["readings"]
    for kind, address in (("image", linked["display"]["image"]), ("heatmap", linked["heatmap"])):
        assert address.startswith(f"/api/v1/readings/{inline['id']}/{kind}")
        drawn = inline["heatmap"] if kind == "heatmap" else inline["display"]["image"]
        shown = cv2.imdecode(np.frombuffer(client.get(address).data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(shown, picture(drawn)), kind
    answer = post(client, ("a.txt", b"text"), ("b.png", REFUSED["blank"]), task="tuberculosis", pictures="links")
    no_image, blank = answer.json["readings"]
    assert no_image["heatmap"] is no_image["display"]["image"] is blank["heatmap"] is None
    assert client.get(blank["display"]["image"]).mimetype == "image/png"
    assert post(client, ("a.jpg", big), task="tuberculosis", pictures="many").status_code == 400


def test_preview_and_heat_map_lie_over_each_other(client: FlaskClient) -> None:
    big = encode(chest_phantom((2400, 1800), random_state=1), "JPEG")
    (entry,) = post(client, ("a.jpg", big), task="tuberculosis").json["readings"]
    preview, heatmap = picture(entry["display"]["image"]), picture(entry["heatmap"])
    assert preview.shape[:2] == (1024, 768)
    assert heatmap.shape == (512, 384, 4)
    assert (entry["display"]["width"], entry["display"]["height"]) == (1800, 2400)


def test_files_are_answered_in_the_order_sent(client: FlaskClient) -> None:
    names = [f"{number}.png" for number in (3, 1, 2)]
    answer = post(client, *((name, CHEST) for name in names), task="tuberculosis")
    assert [entry["path"] for entry in answer.json["readings"]] == names


@pytest.mark.parametrize(
    ("kinds", "status", "codes"),
    [
        (["text"], 415, ["not_an_image"]),
        (["gif"], 415, ["unsupported"]),
        (["text", "gif"], 415, ["not_an_image", "unsupported"]),
        (["cut"], 422, ["truncated"]),
        (["blank"], 422, ["blank"]),
        (["text", "cut"], 422, ["not_an_image", "truncated"]),
    ],
)
def test_status_fits_when_every_file_is_refused(
    client: FlaskClient, kinds: list[str], status: int, codes: list[str]
) -> None:
    answer = post(client, *((f"{kind}.png", REFUSED[kind]) for kind in kinds), task="tuberculosis")
    assert answer.status_code == status
    for entry, code in zip(answer.json["readings"], codes, strict=True):
        assert entry["refusal"]["code"] == code
        assert [key for key in (*CONTRACT, *BOXES) if entry[key] is not None] == ["path", "refusal", "next_step"]


def test_one_refused_file_does_not_stop_the_others(client: FlaskClient) -> None:
    answer = post(client, ("a.png", REFUSED["text"]), ("b.png", CHEST), task="tuberculosis")
    assert answer.status_code == 200
    assert [entry["refusal"] is None for entry in answer.json["readings"]] == [False, True]


def test_too_large_a_file_is_refused_alone() -> None:
    client = create_app({"MAX_FILE_MB": 1}).test_client()
    huge = CHEST + bytes(1_000_000)
    assert post(client, ("a.png", huge), task="tuberculosis").status_code == 413
    answer = post(client, ("a.png", huge), ("b.png", CHEST), task="tuberculosis")
    assert answer.status_code == 200
    assert answer.json["readings"][0]["refusal"]["code"] == "too_large"


def test_too_many_pixels_are_refused() -> None:
    client = create_app({"MAX_MEGAPIXELS": 1}).test_client()
    answer = post(client, ("a.png", encode(chest_phantom(1100, random_state=1), "PNG")), task="tuberculosis")
    assert (answer.status_code, answer.json["readings"][0]["refusal"]["code"]) == (413, "too_large")


def test_a_dicom_file_says_its_own_task_and_others_are_asked_for(client: FlaskClient) -> None:
    film = dicom_bytes(chest_phantom(256, random_state=1), Modality="DX", BodyPartExamined="CHEST")
    by_itself, unknown = post(client, ("a.dcm", film), ("b.png", CHEST)).json["readings"]
    assert by_itself["task"] == "tuberculosis"
    assert by_itself["display"]["modality"] == "DX"
    assert by_itself["display"]["task_title"] == "Tuberculosis"
    assert unknown["refusal"]["code"] == "task_unknown"
    assert unknown["display"]["image"] is not None  # so that a person can see what it is


def test_the_uncertain_band_is_shown() -> None:
    reader = load("tuberculosis", gate=False)
    reader.operating_point = replace(reader.operating_point, low=0.0, high=1.0)
    client = create_app({"READERS": {"tuberculosis": reader}}).test_client()
    (entry,) = post(client, ("a.png", CHEST), task="tuberculosis").json["readings"]
    assert (entry["decision"], entry["display"]["band"]) == ("uncertain", [0.0, 1.0])


@pytest.mark.parametrize("bundle", list_bundles())
def test_a_bundle_and_an_operating_point_can_be_asked_for(client: FlaskClient, bundle: str) -> None:
    task, _, name = bundle.partition("/")
    for point in load(bundle).bundle.operating_points:
        for asked in ({"task": task, "bundle": name}, {"task": task, "bundle": bundle}, {"bundle": bundle}):
            data = encode(PHANTOMS[task](200, random_state=1, lesion=True), "PNG")
            (entry,) = post(client, ("a.png", data), operating_point=point, **asked).json["readings"]
            assert entry["bundle"].startswith(f"{bundle}@")
            assert entry["operating_point"] == point


def test_every_shipped_bundle_is_listed_with_what_was_measured(client: FlaskClient) -> None:
    listed = client.get("/api/v1/bundles").json["bundles"]
    assert sorted(f"{row['task']}/{row['name']}" for row in listed) == list_bundles()
    for row in listed:
        assert sum(point["chosen"] for point in row["operating_points"]) == 1
        assert {"sensitivity", "specificity"} <= {one["measure"] for one in row["measured"]}
        assert all(one["low"] <= one["value"] <= one["high"] and one["n"] > 0 for one in row["measured"])
        assert "predictions" not in (row["evidence"] or {})


def test_every_operating_point_of_a_bundle_is_listed_with_its_promise_and_its_figures(phantom_bundle) -> None:
    reader = load(phantom_bundle)
    client = create_app({"READERS": {"tuberculosis/phantom": reader}}).test_client()
    bundles = client.get("/api/v1/bundles").json["bundles"]
    (listed,) = (row for row in bundles if row["name"] == "phantom")
    points = {row["name"]: row for row in listed["operating_points"]}
    assert list(points) == list(reader.bundle.operating_points)
    assert points["paper"]["guaranteed"] is None
    assert points["screening"]["guaranteed"] is False
    assert points["screening"]["chosen_by"].startswith("sensitivity at least 0.9 with 90 % confidence: not shown; ")
    promised = {row["operating_point"]: row for row in listed["promises"]}
    assert list(promised) == ["screening", "confirm"]
    assert [one["source"] for one in promised["screening"]["sources"]] == ["site0", "site1", "site2"]
    assert {one["split"] for one in promised["screening"]["seen"]} == {"test"}
    assert promised["screening"]["in_words"] in points["screening"]["chosen_by"]
    for name in points:
        found = {(row["split"][:4], row["measure"]) for row in listed["measured"] if row["operating_point"] == name}
        assert {(split, rate) for split in ("val ", "test") for rate in ("sensitivity", "specificity")} <= found


def test_a_band_is_measured_by_both_its_ends_and_by_the_share_inside() -> None:
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    rate = {"value": 0.8, "low": 0.7, "high": 0.9}
    rows = [{"threshold": 0.2, "sensitivity": rate, "specificity": interval}]
    rows += [{"threshold": 0.6, "sensitivity": interval, "specificity": rate}]
    table = {"thresholds": {"rows": rows}, "uncertain": {"triage": interval}, "metrics": {"roc_auc": rate}}
    point = replace(load("tuberculosis").operating_point, name="triage", threshold=0.6, low=0.2, high=0.6)
    assert rows_at(point, table) == {"sensitivity": rate, "specificity": rate, "uncertain": interval, "roc_auc": rate}


def test_every_task_is_listed_with_its_limits(client: FlaskClient) -> None:
    listed = client.get("/api/v1/tasks").json["tasks"]
    assert [row["name"] for row in listed] == list_tasks()
    assert all(row["limits"] and row["intended_use"] for row in listed)


def test_the_description_is_valid_and_answers_keep_to_it(client: FlaskClient) -> None:
    description = client.get("/api/v1/openapi.json").json
    validate(description)
    assert description["openapi"].startswith("3.1")
    film = dicom_bytes(chest_phantom(256, random_state=1))
    answers = {
        "ReadingsOut": post(client, ("a.png", REFUSED["text"]), ("b.png", CHEST), ("c.dcm", film)).json,
        "TasksOut": client.get("/api/v1/tasks").json,
        "BundlesOut": client.get("/api/v1/bundles").json,
        "HealthOut": client.get("/healthz").json,
        "Problem": client.get("/nowhere").json,
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        assert not list(OAS31Validator(schema).iter_errors(answer)), name


def picture(data_uri: str) -> np.ndarray:
    head, _, body = data_uri.partition(",")
    assert head == "data:image/png;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_UNCHANGED)
