"""The administrator's page of the DICOM node."""

from datetime import date

from flask.testing import FlaskClient

from secondread.service import Actor, Arrival, Facts
from secondread.web import create_app


def open_client(folder: object) -> FlaskClient:
    """Of an application on a folder of its own."""
    return create_app({"DATA_FOLDER": str(folder)}).test_client()


def test_without_a_node_the_page_says_how_to_start_one(tmp_path: object) -> None:
    assert "secondread dicom listen" in open_client(tmp_path).get("/dicom").text


def test_it_shows_what_the_node_runs_with_who_called_and_what_became_of_objects(tmp_path: object) -> None:
    client = open_client(tmp_path)
    service = client.application.extensions["secondread.service"]
    node = Actor("node", "dicom")
    told = {"aet": "READER", "host": "0.0.0.0", "port": 104, "tls": False, "callers": ["XRAY1"], "networks": []}
    rules = ["adults: modality CR: read as tuberculosis"]
    service.trail.record(node, "dicom.started", "node:READER", **told, send_to=["PACS@host:104"], rules=rules)
    facts = Facts("2.25.1", "1.2", calling_aet="XRAY1", state="refused", reason="no task", rule="all", modality="CT")
    service.dicom.put(Arrival(facts), actor=node)
    caller = Actor("dicom:XRAY1", "dicom", "10.0.0.7")
    service.trail.record(
        caller, "dicom.association", "node:READER", ended="released", called="READER", bytes=7, refused=1
    )
    service.trail.record(Actor("dicom"), "dicom.association", "node:READER", n=12, ended="rejected: stranger")
    text = client.get("/dicom").text
    for shown in ("READER", "port 104", "without TLS", "PACS@host:104", rules[0], "no task", "10.0.0.7", "refused 1"):
        assert shown in text
    assert "rejected: stranger × 12" in text
    assert list(service.trail.lines(action="dicom.seen"))


def test_it_shows_archives_that_are_asked_and_why_one_cannot_be(tmp_path: object) -> None:
    client = open_client(tmp_path)
    service = client.application.extensions["secondread.service"]
    service.trail.record(Actor("node", "dicom"), "dicom.started", "node:READER", aet="READER", host="h", port=1)
    pull = service.dicom_pulls.begin("PACS@10.0.0.5:104", "Modality=CR")
    service.dicom_pulls.note(pull, fetched=17, mark=date(2026, 3, 4))
    service.dicom_pulls.end(pull, "PACS does not answer")
    text = client.get("/dicom").text
    for shown in ("PACS@10.0.0.5:104", "Modality=CR", "2026-03-04", "17", "PACS does not answer"):
        assert shown in text
