"""Erasing a person on the page and over the API: looked at first, and never more than was looked at."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from secondread.service.tables import AnswerRow
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from secondread.web import create_app
from tests.web.conftest import multipart, post

CANARY = "Zq7Canary"


def film(number: int, person: str = "4711") -> bytes:
    return dicom_bytes(chest_phantom(160, random_state=number), PatientID=person, PatientName=CANARY)


@pytest.fixture
def client(tmp_path) -> Iterator[FlaskClient]:
    """An application that holds two films of one person and one of another."""
    app = create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path), "DATABASE": ""})
    client = app.test_client()
    for number, person in enumerate(("4711", "4711", "another")):
        answered = post(client, (f"{CANARY}.dcm", film(number, person)), task="tuberculosis")
        assert answered.status_code == 200, answered.json
    yield client
    app.extensions["secondread.service"].close()


def ids(client: FlaskClient) -> list[int]:
    return sorted(row["id"] for row in client.get("/api/v1/readings").json["readings"])


def test_a_person_is_looked_at_and_erased_over_the_api(client: FlaskClient) -> None:
    first, second, other = ids(client)
    found = client.get("/api/v1/erasures", query_string={"reading": first}).json
    assert found["readings"] == [first, second]
    assert len(found["images"]) == 2
    assert client.get(f"/api/v1/readings/{first}").json["path"] == f"{CANARY}.dcm"  # to look erases nothing
    wrong = {"reading": first, "key": "0" * 16}
    assert client.post("/api/v1/erasures", json=wrong).status_code == 409
    assert client.post("/api/v1/erasures", json={"reading": first}).status_code == 400
    done = client.post("/api/v1/erasures", json={"patient": found["patient"], "key": found["key"]})
    assert done.status_code == 200
    assert client.get(f"/api/v1/readings/{first}").json["path"] == ""
    (shown,) = client.get("/read", query_string={"ids": first}).json["readings"]
    assert (shown["display"]["image"], shown["heatmap"]) == (None, None), "no address of a picture that is gone"
    assert client.get(f"/api/v1/readings/{second}/image").status_code == 404
    assert client.get(f"/api/v1/readings/{other}/image").status_code == 200
    assert client.get("/api/v1/erasures", query_string={"reading": first}).status_code == 404


def test_what_was_kept_for_a_repeated_request_goes_too(client: FlaskClient) -> None:
    body, content_type = multipart((f"{CANARY}.dcm", film(0)), task="tuberculosis")

    def again() -> dict[str, Any]:
        sent = {"data": body, "content_type": content_type, "headers": {"Idempotency-Key": "one"}}
        return client.post("/api/v1/readings", **sent).json["readings"][0]

    number = again()["id"]
    assert again()["path"] == f"{CANARY}.dcm"
    found = client.get("/api/v1/erasures", query_string={"reading": number}).json
    client.post("/api/v1/erasures", json={"reading": number, "key": found["key"]})
    with client.application.extensions["secondread.service"].database.reading() as session:
        assert [one for one in session.scalars(select(AnswerRow.body)) if CANARY in one] == []
    assert again()["from_store"] is False  # it is another request now


@pytest.mark.parametrize(
    "query", ["", "patient=Doe", "reading=1&patient=" + "a" * 32, "reading=0", "patient=%2fetc%2fpasswd"]
)
def test_who_is_not_said_is_a_mistake_told(client: FlaskClient, query: str) -> None:
    assert client.get(f"/api/v1/erasures?{query}").status_code == 400


def test_the_page_shows_what_would_go_and_erases_it_once_confirmed(client: FlaskClient) -> None:
    first, second, _ = ids(client)
    assert "Erase a person" in client.get("/trail").text
    shown = client.get("/erase", query_string={"reading": first}).text
    assert "This would go" in shown
    assert f">{second}</a>" in shown
    assert client.get(f"/api/v1/readings/{first}/image").status_code == 200
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown))
    assert fields["key"]
    unasked = client.post("/erase", data={"reading": first})
    assert unasked.status_code == 409
    assert "look again" in unasked.text
    done = client.post("/erase", data=fields)
    assert done.status_code == 200
    assert "Erased: 2 images" in done.text
    assert client.get(f"/api/v1/readings/{first}/image").status_code == 404
    assert client.get("/erase", query_string={"reading": first}).status_code == 404
