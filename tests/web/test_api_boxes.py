"""Boxes over HTTP: in answers, of frames, saved by people; in the document, the client, the report and the export."""

import io
import json
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
from flask.testing import FlaskClient

from secondread.reading import use_own_bundles
from secondread.service import LOCAL, Actor
from secondread.testing.phantoms import dicom_bytes, encode
from secondread.web import create_app
from tests.boxed import boxed_bundle, spotted
from tests.web.conftest import logged_in, post

SPOTS = ((48, 64, 255), (160, 144, 194))
FILM = encode(spotted(*SPOTS), "PNG")
ASKED = {"task": "fracture", "bundle": "fracture/boxes", "pictures": "links"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("own")
    boxed_bundle(folder / "fracture" / "boxes")
    settings = {"GATE": "off", "BUNDLES": str(folder), "DATA_FOLDER": str(tmp_path_factory.mktemp("data"))}
    yield create_app(settings).test_client()
    use_own_bundles(None)


@pytest.fixture(scope="module")
def entry(client: FlaskClient) -> dict:
    (found,) = post(client, ("film.png", FILM), **ASKED).json["readings"]
    return found


def test_an_answer_has_its_boxes_and_one_of_a_bundle_without_has_null(client, entry) -> None:
    assert [one["box"] for one in entry["findings"]] == [[48, 64, 48, 48], [160, 144, 48, 48]]
    assert entry["findings"][0]["score"] == entry["probability"]
    assert client.get(f"/api/v1/readings/{entry['id']}").json["findings"] == entry["findings"]
    (other,) = post(client, ("film.png", FILM), task="fracture", bundle="fracture/paper").json["readings"]
    assert other["findings"] is None
    (refused,) = post(client, ("note.png", b"a note"), **ASKED).json["readings"]
    assert refused.keys() == entry.keys()
    assert refused["findings"] is None
    assert client.get(f"/api/v1/readings/{other['id']}/boxes").json == {"given": False, "found": [], "drawn": []}


def test_the_document_names_them(client) -> None:
    shapes = client.get("/api/v1/openapi.json").json["components"]["schemas"]
    assert shapes["FindingOut"]["properties"].keys() == {"box", "score", "label"}
    assert "findings" in shapes["AnswerOut"]["required"]
    assert shapes["MarkRow"]["properties"]["line"]["enum"] == ["solid", "dotted"]


def test_each_frame_has_boxes_of_its_own(client) -> None:
    film = dicom_bytes(np.stack([spotted(), *(spotted(*SPOTS),) * 2]), multi_frame=True, BodyPartExamined="HAND")
    (found,) = post(client, ("film.dcm", film), **ASKED).json["readings"]
    assert [len(one["findings"]) for one in found["frames"]] == [0, 2, 2]
    numbers = [
        len(client.get(f"/api/v1/readings/{found['id']}/boxes?frame={frame}").json["found"]) for frame in (1, 2, 3)
    ]
    assert numbers == [0, 2, 2]
    assert client.get(f"/api/v1/readings/{found['id']}/boxes?frame=4").status_code == 404


def test_a_person_deletes_moves_and_adds_and_the_networks_boxes_stay(client, entry) -> None:
    address = f"/api/v1/readings/{entry['id']}/boxes"
    before = client.get(address).json
    assert [(one["number"], one["line"]) for one in before["found"]] == [(1, "solid"), (2, "dotted")]
    mine = [{"box": [50, 64, 48, 48], "of": 1}, {"box": [10, 10, 20, 30]}]
    answer = client.post(address, json={"boxes": mine})
    assert (answer.status_code, answer.headers["Location"]) == (201, address)
    made = answer.json
    assert {name: made[name] for name in ("kept", "moved", "deleted", "added")} == {
        "kept": 0, "moved": 1, "deleted": 1, "added": 1,
    }  # fmt: skip
    after = client.get(address).json
    assert after["found"] == before["found"]
    assert after["drawn"] == [made]


@pytest.mark.parametrize(
    "boxes",
    [
        [{"box": [1, 2, 3]}],
        [{"box": [1, 2, 3, "wide"]}],
        [{"box": [1, 2, 30, 30], "of": 9}],
        [{"box": [300, 2, 30, 30]}],
        [{"box": [0, 0, 9, 9]}] * 51,
        "all",
    ],
)
def test_boxes_that_cannot_be_are_told_why(client, entry, boxes) -> None:
    answer = client.post(f"/api/v1/readings/{entry['id']}/boxes", json={"boxes": boxes})
    assert answer.status_code in (400, 422)
    assert answer.json["detail"]


def test_reviewed_boxes_leave_with_their_images(client, entry) -> None:
    client.post(f"/api/v1/readings/{entry['id']}/reviews", json={"verdict": "agree"})
    packed = client.get("/api/v1/reviews/manifest.zip?task=fracture").data
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        boxes = json.loads(archive.read("boxes.json"))
    ((name, (first, second)),) = boxes.items()
    assert name.startswith("images/")
    assert first == {"category": "fractured", "bbox": [50, 64, 48, 48]}
    assert second["bbox"] == [10, 10, 20, 30]


def test_pages_draw_and_list_them(client, entry) -> None:
    room = client.get(f"/readings/{entry['id']}").text
    assert "Box 1: score 100 of 100, sure" in room
    assert "in doubt" in room
    assert 'class="boxes"' in room
    assert "Boxes as you see them" in room
    report = client.get(f"/readings/{entry['id']}/report").text
    assert "Box 1: score 100 of 100, sure" in report
    assert "dotted ones where it is in doubt" in report
    assert client.get(f"/readings/{entry['id']}/report.pdf").data.startswith(b"%PDF-")
    (healthy,) = post(client, ("healthy.png", encode(spotted(), "PNG")), **ASKED).json["readings"]
    assert healthy["findings"] == []
    assert "No box: no place reaches an operating point." in client.get(f"/readings/{healthy['id']}").text


def test_a_withheld_answer_shows_no_box(client) -> None:
    film = encode(spotted(*SPOTS, random_state=9), "PNG")
    (entry,) = post(client, ("film.png", film), **ASKED).json["readings"]
    accounts = client.application.extensions["secondread.service"].accounts
    for name, role in (("chief", "administrator"), ("carl", "reviewer")):
        accounts.add(name, role=role, password="a long enough password", actor=LOCAL)
    accounts.set_opinion_first(True, actor=Actor("carl", "session"))
    own = client.application.test_client()
    token = logged_in(own, "carl")
    assert own.get(f"/api/v1/readings/{entry['id']}").json["hidden"]
    assert own.get(f"/api/v1/readings/{entry['id']}").json["findings"] is None
    assert own.get(f"/api/v1/readings/{entry['id']}/boxes").status_code == 403
    said = own.post(f"/api/v1/readings/{entry['id']}/boxes", json={"boxes": []}, headers={"X-CSRF-Token": token})
    assert said.status_code == 403
    assert "Box 1" not in own.get(f"/readings/{entry['id']}").text
