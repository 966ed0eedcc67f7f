"""Readings that last: answered from the store, listed, shown, exported, deleted and brought back."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from secondread.testing.phantoms import brain_phantom, chest_phantom, dicom_bytes, encode
from secondread.web import create_app
from secondread.web.reading_shapes import ReadingsOut
from tests.several import dicom_of, stack
from tests.web.conftest import post

FILMS = [encode(chest_phantom((90, 80), random_state=number, lesion=bool(number % 2)), "PNG") for number in range(5)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, module_database: str) -> Iterator[FlaskClient]:
    """An application with five readings of its own, on both databases."""
    folder = str(tmp_path_factory.mktemp("readings"))
    app = create_app({"GATE": "off", "DATA_FOLDER": folder, "DATABASE": module_database})
    client = app.test_client()
    answer = post(client, *((f"={at}.png", film) for at, film in enumerate(FILMS)), task="tuberculosis", source="A")
    assert [row["id"] for row in answer.json["readings"]] == [1, 2, 3, 4, 5]
    yield client
    app.extensions["secondread.service"].close()


def trail(client: FlaskClient) -> list[tuple[str, str]]:
    lines = client.application.extensions["secondread.service"].trail.lines()
    return [(line["action"], line["subject"]) for line in lines]


def test_the_same_image_is_answered_from_the_store_with_the_same_answer(client: FlaskClient) -> None:
    film = encode(chest_phantom((700, 600), random_state=7, lesion=True), "PNG")
    (first,) = post(client, ("a.png", film), task="tuberculosis").json["readings"]
    (again,) = post(client, ("b.png", film), task="tuberculosis").json["readings"]
    assert (first.pop("from_store"), again.pop("from_store")) == (False, True)
    assert (first.pop("path"), again.pop("path")) == ("a.png", "b.png")
    assert first == again
    assert ("reading.answered_from_store", f"reading:{first['id']}") in trail(client)


def test_another_operating_point_or_another_image_is_read_anew(client: FlaskClient) -> None:
    (paper,) = post(client, ("a.png", FILMS[0]), task="tuberculosis", operating_point="paper").json["readings"]
    (again,) = post(client, ("a.png", FILMS[0]), task="tuberculosis").json["readings"]
    assert paper["id"] != again["id"] or paper["operating_point"] == again["operating_point"]


def test_places_are_told_where_the_bundle_scores_places(client: FlaskClient) -> None:
    brain = encode(brain_phantom(256, random_state=0, lesion=True), "PNG")
    (entry,) = post(client, ("brain.png", brain), task="brain-tumour").json["readings"]
    found = client.get(f"/api/v1/readings/{entry['id']}/regions").json
    assert (entry["decision"], found["given"]) == ("positive", True)
    x, y, wide, high = found["regions"][0]["box"]
    assert 0 <= x < x + wide <= 256
    assert 0 <= y < y + high <= 256
    assert ("heat_map.seen", f"image:{hashlib.sha256(brain).hexdigest()}") in trail(client)
    (other,) = post(client, ("a.png", brain), task="brain-tumour", bundle="brain-tumour/paper").json["readings"]
    assert client.get(f"/api/v1/readings/{other['id']}/regions").json == {"given": False, "regions": []}


def test_a_dicom_film_is_kept_without_its_names(client: FlaskClient) -> None:
    film = dicom_bytes(chest_phantom(128, random_state=1), Modality="DX", BodyPartExamined="CHEST", PatientName="Doe^J")
    (entry,) = post(client, ("a.dcm", film)).json["readings"]
    kept = client.get(f"/api/v1/readings/{entry['id']}/file")
    assert kept.status_code == 200
    assert kept.data[128:132] == b"DICM"
    assert b"Doe" not in kept.data
    assert "attachment" in kept.headers["Content-Disposition"]


@pytest.mark.parametrize("pictures", ["links", "inline"])
def test_an_answer_is_what_its_schema_makes_of_it(client: FlaskClient, pictures: str) -> None:
    """It is written without the schema, which the document and every client go by."""
    dicom = dicom_bytes(chest_phantom(128, random_state=1), Modality="DX", BodyPartExamined="CHEST")
    several = dicom_of(stack(2, suspicious=[2]))
    files = (("a.png", FILMS[0]), ("a.dcm", dicom), ("b.dcm", several), ("c.png", b"no image"), ("d.png", blank()))
    answer = post(client, *files, task="tuberculosis", pictures=pictures).json
    assert {bool(one["refusal"]) for one in answer["readings"]} == {True, False}
    assert any("frames" in one for one in answer["readings"])
    assert json.dumps(ReadingsOut().dump(answer)) == json.dumps(answer)


def blank() -> bytes:
    return encode(np.zeros((64, 64), np.uint8), "PNG")


def test_what_is_no_image_is_not_kept(client: FlaskClient) -> None:
    (entry,) = post(client, ("a.png", b"text"), task="tuberculosis").json["readings"]
    assert (entry["id"], entry["stored"]) == (None, False)


def test_pages_of_the_worklist_follow_one_another(client: FlaskClient) -> None:
    seen, after = [], None
    while True:
        query = {"order": "oldest", "limit": 2, "source": "A"} | ({"after": after} if after else {})
        page = client.get("/api/v1/readings", query_string=query).json
        seen += [row["id"] for row in page["readings"]]
        if (after := page["next"]) is None:
            break
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"order": "best"}, 400),
        ({"limit": 0}, 400),
        ({"limit": 501}, 400),
        ({"after": "x"}, 400),
        ({"decision": "maybe"}, 400),
        ({"since": "yesterday"}, 400),
        ({"since": "2026-03-01T00:00:00"}, 200),
        ({"since": "0001-01-01T00:00:00+14:00"}, 400),
        ({"batch": 2**70}, 400),
        ({"text": "=1"}, 200),
        ({"text": "a\0b"}, 200),
    ],
)
def test_filters_are_checked(client: FlaskClient, query: dict[str, object], status: int) -> None:
    assert client.get("/api/v1/readings", query_string=query).status_code == status


def test_the_list_is_exported_whole(client: FlaskClient) -> None:
    rows = list(csv.DictReader(io.StringIO(client.get("/api/v1/readings.csv?source=A&order=oldest").text)))
    listed = json.loads(client.get("/api/v1/readings.json?source=A&order=oldest").data)["readings"]
    assert [row["id"] for row in rows] == [str(row["id"]) for row in listed] == ["1", "2", "3", "4", "5"]
    assert rows[0]["path"] == "'=0.png"  # no formula in a spreadsheet
    assert json.loads(rows[0]["facts"]) == listed[0]["facts"]


def test_pictures_lie_over_each_other_and_every_look_is_in_the_trail(client: FlaskClient) -> None:
    assert pixels(client.get("/api/v1/readings/1/image")).shape[:2] == (90, 80)
    assert pixels(client.get("/api/v1/readings/1/image?longest_side=45")).shape[:2] == (45, 40)
    assert pixels(client.get("/api/v1/readings/1/thumbnail")).shape[:2] == (90, 80)
    assert pixels(client.get("/api/v1/readings/1/heatmap")).shape == (90, 80)
    assert pixels(client.get("/api/v1/readings/1/heatmap?colours=inferno")).shape == (90, 80, 4)
    assert {"image.seen", "heat_map.seen", "thumbnails.seen", "reading.seen"} <= {action for action, _ in trail(client)}


@pytest.mark.parametrize("what", ["", "/image", "/file", "/thumbnail", "/heatmap"])
@pytest.mark.parametrize("number", [999, 2**31, 2**80])
def test_what_is_not_there_is_told(client: FlaskClient, what: str, number: int) -> None:
    assert client.get(f"/api/v1/readings/{number}{what}").status_code == 404


def test_a_deleted_reading_comes_back(client: FlaskClient) -> None:
    assert client.delete("/api/v1/readings/2").json["deleted"]
    assert client.get("/api/v1/readings/2").status_code == 404
    assert client.delete("/api/v1/readings/2").status_code == 404
    assert [row["id"] for row in client.get("/api/v1/readings?deleted=true").json["readings"]] == [2]
    assert not client.post("/api/v1/readings/2/restore").json["deleted"]
    assert client.get("/api/v1/readings/2").status_code == 200


def pixels(answer: TestResponse) -> np.ndarray:
    assert answer.status_code == 200
    assert answer.content_type == "image/png"
    return cv2.imdecode(np.frombuffer(answer.data, np.uint8), cv2.IMREAD_UNCHANGED)
