"""A reading told in FHIR and in DICOM: valid, complete, always the same, and of nobody."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydicom import dcmread

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")
pytest.importorskip("fhir.resources.R4B", reason="fhir.resources is not installed")

from fhir.resources.R4B import get_fhir_model_class

from secondread.dicom.results import make_file
from secondread.service import LOCAL, Draft, Service
from secondread.tasks import list_tasks, load_task
from secondread.web import create_app
from tests.dicom.answered import BOXES, WHO, answer, answered, sent
from tests.service.stubs import draft, image_bytes, stage

ANSWERS = {
    "positive": answer(0.91, warnings=("the film is turned",), findings=BOXES),
    "negative": answer(0.1),
    "uncertain": answer(0.4, low=0.3),
    "refused": answer(refusal="too_small"),
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """An empty one."""
    opened = Service.open({"DATA_FOLDER": str(tmp_path)})
    yield opened
    opened.close()


@pytest.fixture
def client(service: Service) -> FlaskClient:
    """Of an application that can make DICOM objects."""
    return create_app({"SERVICE": service, "RESULTS": make_file}).test_client()


def told(client: FlaskClient, number: int) -> dict[str, Any]:
    """The resources by their kinds."""
    answer = client.get(f"/api/v1/readings/{number}/fhir")
    assert answer.status_code == 200
    assert answer.content_type == "application/fhir+json"
    bundle = get_fhir_model_class("Bundle").model_validate_json(answer.data)
    assert bundle.type == "collection"
    return {one["resource"]["resourceType"]: one["resource"] for one in json.loads(answer.data)["entry"]}


@pytest.mark.parametrize("found", ANSWERS.values(), ids=ANSWERS)
def test_every_answer_is_valid(service: Service, client: FlaskClient, found: Draft) -> None:
    resources = told(client, answered(service, found))
    assert set(resources) == {"DiagnosticReport", "Observation", "Device"}
    for kind, resource in resources.items():
        get_fhir_model_class(kind).model_validate(resource)


def test_it_says_what_the_reading_says(service: Service, client: FlaskClient) -> None:
    observation = told(client, answered(service, ANSWERS["positive"]))["Observation"]
    parts = {one["code"]["text"]: one for one in observation["component"]}
    assert observation["status"] == "preliminary"
    assert observation["code"]["coding"][0]["code"] == "154283005"
    assert observation["valueCodeableConcept"]["coding"][0]["display"] == "Positive"
    assert observation["interpretation"][0]["coding"][0]["code"] == "POS"
    assert parts["probability"]["valueQuantity"]["value"] == 0.91
    assert parts["threshold"]["valueQuantity"]["value"] == 0.5
    assert parts["operating point"]["valueString"] == "screening"
    assert {"text": "the film is turned"} in observation["note"]
    boxes = [one["valueString"] for one in observation["component"] if one["code"]["text"].startswith("box:")]
    assert boxes == ["60, 80, 70, 80 (score 0.8)", "20, 180.5, 50, 80 (score 0.6)"]


def test_a_refusal_has_no_value_and_says_why(service: Service, client: FlaskClient) -> None:
    resources = told(client, answered(service, ANSWERS["refused"]))
    assert resources["Observation"]["status"] == resources["DiagnosticReport"]["status"] == "cancelled"
    assert "valueCodeableConcept" not in resources["Observation"]
    assert "too_small" in resources["Observation"]["dataAbsentReason"]["text"]


def test_references_point_at_what_is_there(service: Service, client: FlaskClient) -> None:
    number = answered(service, ANSWERS["positive"])
    entries = client.get(f"/api/v1/readings/{number}/fhir").json["entry"]
    named = {one["resource"]["resourceType"]: one["fullUrl"] for one in entries}
    resources = told(client, number)
    assert resources["DiagnosticReport"]["result"] == [{"reference": named["Observation"]}]
    assert resources["Observation"]["device"] == {"reference": named["Device"]}


def test_the_same_answer_is_told_in_the_same_words(service: Service, client: FlaskClient) -> None:
    number = answered(service, ANSWERS["positive"])
    assert client.get(f"/api/v1/readings/{number}/fhir").data == client.get(f"/api/v1/readings/{number}/fhir").data


def test_nobody_learns_over_the_network_whose_it_is(service: Service, client: FlaskClient) -> None:
    number = answered(service, ANSWERS["positive"])
    subject = told(client, number)["DiagnosticReport"]["subject"]["identifier"]["value"]
    for path in ("fhir", "dicom?kind=sr", "dicom?kind=capture"):
        data = client.get(f"/api/v1/readings/{number}/{path}").data
        for word in ("Jane", "P-123", "ACC-1", WHO["StudyInstanceUID"], WHO["SOPInstanceUID"], "19700101"):
            assert word.encode() not in data
    ds = dcmread(BytesIO(client.get(f"/api/v1/readings/{number}/dicom").data))
    assert subject.upper().startswith(ds.PatientID)
    assert len(ds.PatientID) == 16
    study = told(client, number)["DiagnosticReport"]["imagingStudy"][0]["identifier"]["value"]
    assert study == f"urn:oid:{ds.StudyInstanceUID}"


def test_two_studies_of_a_person_are_known_as_one_person(service: Service, client: FlaskClient) -> None:
    first = answered(service, ANSWERS["positive"])
    other = {"SOPInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5", "StudyInstanceUID": "1.2.3.6"}
    second = answered(service, ANSWERS["positive"], data=sent(**other))
    one, two = (told(client, number)["DiagnosticReport"] for number in (first, second))
    assert one["subject"] == two["subject"]
    assert one["imagingStudy"] != two["imagingStudy"]


def test_an_image_that_is_no_dicom_object_has_no_dicom_result_but_is_told_in_fhir(
    service: Service, client: FlaskClient
) -> None:
    kept, _ = service.readings.add(draft(), image_sha256=stage(service, image_bytes(0)), name="a.png", actor=LOCAL)
    assert client.get(f"/api/v1/readings/{kept.id}/dicom").status_code == 409
    assert "subject" not in told(client, kept.id)["DiagnosticReport"]


def test_without_what_makes_them_there_are_no_dicom_results(service: Service) -> None:
    client = create_app({"SERVICE": service}).test_client()
    answer_ = client.get(f"/api/v1/readings/{answered(service, ANSWERS['positive'])}/dicom")
    assert answer_.status_code == 400
    assert "secondread[dicom]" in answer_.json["detail"]


def test_every_task_that_is_shipped_has_a_code() -> None:
    assert {name: load_task(name).coded[1:2] for name in list_tasks()} == dict.fromkeys(list_tasks(), ("SCT",))
