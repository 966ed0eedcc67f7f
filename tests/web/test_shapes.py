"""Every shape answered is the shape documented: each address that answers with JSON, held against its own document."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from openapi_schema_validator import OAS31Validator

from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.several import dicom_of, stack
from tests.web.conftest import multipart

OF_SEVERAL_FRAMES = {"frames", "worst_frame"}  # there only for files of several
NOT_ALWAYS = OF_SEVERAL_FRAMES | {"belongs"}  # not in exports
FILM = ("film.png", encode(chest_phantom(64, random_state=1), "PNG"))
PASSWORD, NEXT_PASSWORD = "a long enough password", "another long password"
POINT = {"bundle": "tuberculosis", "threshold": 0.4, "low": 0.2, "prevalence": 0.05}
# operationId → address and what is sent, in an order in which each finds what it needs.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "readImages": ("/api/v1/readings", {"files": True}),
    "listReadings": ("/api/v1/readings", {}),
    "exportReadingsAsJson": ("/api/v1/readings.json", {}),
    "getReading": ("/api/v1/readings/1", {}),
    "getRegions": ("/api/v1/readings/1/regions", {}),
    "getGeometry": ("/api/v1/readings/1/geometry", {}),
    "drawBoxes": ("/api/v1/readings/1/boxes", {"json": {"boxes": [{"box": [1, 2, 30, 20]}]}}),
    "getBoxes": ("/api/v1/readings/1/boxes", {}),
    "typePatientLine": ("/api/v1/readings/1/patient-line", {"json": {"patient": "Doe, Jane"}}),
    "getPatientLine": ("/api/v1/readings/1/patient-line", {}),
    "addUser": ("/api/v1/users", {"json": {"name": "chief", "role": "administrator", "password": PASSWORD}}),
    "listUsers": ("/api/v1/users", {}),
    "getUser": ("/api/v1/users/chief", {}),
    "changeUser": ("/api/v1/users/chief", {"json": {"disabled": False}}),
    "setPassword": ("/api/v1/users/chief/password", {"json": {"password": PASSWORD}}),
    "addToken": ("/api/v1/tokens", {"json": {"user": "chief", "name": "a program", "scopes": ["review"]}}),
    "listTokens": ("/api/v1/tokens", {}),
    "addReview": ("/api/v1/readings/1/reviews", {"json": {"verdict": "unsure"}}),
    "adjudicate": ("/api/v1/readings/1/adjudication", {"json": {"finding": 1}, "with_token": True}),
    "listReviews": ("/api/v1/readings/1/reviews", {}),
    "agreement": ("/api/v1/agreement", {}),
    "drift": ("/api/v1/drift?bundle=tuberculosis&windows=2", {}),
    "thresholds": ("/api/v1/thresholds?bundle=tuberculosis", {}),
    "setPrevalence": ("/api/v1/prevalences/tuberculosis", {"json": {"prevalence": 0.02, "note": "screening, 2026"}}),
    "listPrevalences": ("/api/v1/prevalences", {}),
    "chooseOperatingPoint": ("/api/v1/operating-points", {"json": POINT}),
    "listOperatingPoints": ("/api/v1/operating-points?bundle=tuberculosis", {}),
    "revertOperatingPoint": ("/api/v1/operating-points/revert", {"json": {"bundle": "tuberculosis"}}),
    "listTasks": ("/api/v1/tasks", {}),
    "listBundles": ("/api/v1/bundles", {}),
    "listSettings": ("/api/v1/settings", {}),
    "subgroups": ("/api/v1/subgroups?bundle=tuberculosis", {}),
    "beginShadow": ("/api/v1/models/tuberculosis/shadow", {"json": {"bundle": "tuberculosis/paper"}}),
    "listModels": ("/api/v1/models", {}),
    "endShadow": ("/api/v1/models/tuberculosis/shadow", {}),
    "switchBundle": ("/api/v1/models/tuberculosis/switch", {"json": {"bundle": "tuberculosis/paper"}}),
    "switchBack": ("/api/v1/models/tuberculosis/switch", {}),
    "submitBatch": ("/api/v1/batches", {"files": True}),
    "listBatches": ("/api/v1/batches", {}),
    "getBatch": ("/api/v1/batches/1", {}),
    "cancelBatch": ("/api/v1/batches/1/cancel", {}),
    "retryBatch": ("/api/v1/batches/1/retry", {}),
    "deleteReading": ("/api/v1/readings/1", {}),
    "restoreReading": ("/api/v1/readings/1/restore", {}),
    "listTrail": ("/api/v1/trail", {}),
    "verifyTrail": ("/api/v1/trail/verify", {}),
    "checkpointTrail": ("/api/v1/trail/checkpoint", {}),
    "health": ("/healthz", {}),
    "readiness": ("/readyz", {}),
    "lookAtErasure": ("/api/v1/erasures?reading=1", {}),
    "erasePerson": ("/api/v1/erasures", {"json": {"reading": 1}, "with_key": True}),
    "revokeToken": ("/api/v1/tokens/1", {}),
    "endSessionsOfUser": ("/api/v1/users/chief/sessions", {}),
    "logIn": ("/api/v1/session", {"json": {"name": "chief", "password": PASSWORD}}),
    "whoAmI": ("/api/v1/session", {}),
    "changePassword": ("/api/v1/session/password", {"json": {"old": PASSWORD, "new": NEXT_PASSWORD}}),
    "listSessions": ("/api/v1/sessions", {}),
    "endOtherSessions": ("/api/v1/session/others", {}),
    "logOut": ("/api/v1/session", {}),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = str(tmp_path_factory.mktemp("shapes"))
    app = create_app({"DATA_FOLDER": folder, "GATE": "off", "LOGIN": "off", "PATIENT_LINE": "typed"})
    yield app
    app.extensions["secondread.service"].close()


def test_every_shape_answered_is_the_shape_documented(app: Flask) -> None:
    client = app.test_client()
    document = closed(client.get("/api/v1/openapi.json").json)
    operations = {found["operationId"]: found for found in answering_json(document)}
    assert set(operations) == set(CALLS), "give each new address its call here"
    token, key = "", ""
    for name, (address, sent) in CALLS.items():
        sent = dict(sent)
        headers = {"X-CSRF-Token": client.get("/api/v1/session").json["csrf_token"] or ""}
        if sent.pop("files", False):
            sent["data"], sent["content_type"] = multipart(FILM, task="tuberculosis")
        if sent.pop("with_token", False):
            headers["Authorization"] = f"Bearer {token}"
        if sent.pop("with_key", False):
            sent["json"] |= {"key": key}
        answer = client.open(address, method=operations[name]["method"], headers=headers, **sent)
        assert answer.status_code in (200, 201), f"{name}: {answer.text}"
        token = answer.json["token"] if name == "addToken" else token
        key = answer.json["key"] if name == "lookAtErasure" else key
        content = operations[name]["responses"][str(answer.status_code)]["content"]
        schema = {"components": document["components"], **content["application/json"]["schema"]}
        wrong = [
            f"{name} {list(error.path)}: {error.message}" for error in OAS31Validator(schema).iter_errors(answer.json)
        ]
        assert wrong == []


def test_files_of_several_frames_are_answered_in_the_shape_documented(app: Flask) -> None:
    client = app.test_client()
    document = closed(client.get("/api/v1/openapi.json").json)
    operations = {found["operationId"]: found for found in answering_json(document)}
    headers = {"X-CSRF-Token": client.get("/api/v1/session").json["csrf_token"] or ""}
    body, content_type = multipart(("film.dcm", dicom_of(stack())), task="tuberculosis")
    made = client.post("/api/v1/readings", data=body, content_type=content_type, headers=headers)
    number = made.json["readings"][0]["id"]
    for name, answer in {
        "readImages": made,
        "getReading": client.get(f"/api/v1/readings/{number}"),
        "listReadings": client.get("/api/v1/readings"),
    }.items():
        content = operations[name]["responses"]["200"]["content"]
        schema = {"components": document["components"], **content["application/json"]["schema"]}
        assert [error.message for error in OAS31Validator(schema).iter_errors(answer.json)] == []
        row = answer.json["readings"][0] if "readings" in answer.json else answer.json
        assert set(row) >= OF_SEVERAL_FRAMES


def answering_json(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The operations whose answer is JSON, each with its method."""
    found = []
    for operations in document["paths"].values():
        for method, operation in operations.items():
            answers = operation.get("responses", {}) if isinstance(operation, dict) else {}
            if any("application/json" in answers.get(status, {}).get("content", {}) for status in ("200", "201")):
                found.append(operation | {"method": method.upper()})
    return found


def closed(schema: Any) -> Any:
    """The same, with every object of named members holding these and no others."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {name: closed(one) for name, one in schema.items()}
    shut = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    always = [name for name in schema["properties"] if name not in NOT_ALWAYS] if shut else []
    return inside | {"additionalProperties": False, "required": always} if shut else inside
