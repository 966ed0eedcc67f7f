"""Bodies and parameters that are no honest ones: 400 or 413, never 500, and never in full in memory."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from secondread.web import create_app
from secondread.web.bodies import MOST_BYTES, UPLOADS, strict_json

DEEP = b"[" * 100_000 + b"]" * 100_000
BODIES = {
    "100,000 lists": DEEP,
    "an unclosed list": b"[" * 100_000,
    "objects without end": b'{"note": ' * 21 + b"1" + b"}" * 21,
    "no number": b'{"prevalence": NaN}',
    "infinity": b'{"prevalence": -Infinity}',
    "a number larger than any": b'{"prevalence": 1e999}',
    "a number of 5,000 digits": b'{"prevalence": ' + b"9" * 5000 + b"}",
    "half a letter": b'{"note": "\\ud800"}',
    "half a letter for a name": b'{"\\udc00": 1}',
    "no UTF-8": b'{"note": "\xff"}',
    "NUL": b"\0",
    "nothing": b"",
    "words": b"prevalence",
}
FITTING = {"a list": b"[]", "null": b"null", "a word": b'"x"', "a wrong type": b'{"prevalence": [1]}', "none": b"{}"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, module_database: str) -> Iterator[FlaskClient]:
    """On this machine, without login; on both databases."""
    folder = tmp_path_factory.mktemp("bodies")
    app = create_app({"GATE": "off", "DATA_FOLDER": str(folder), "DATABASE": module_database, "LOGIN": "off"})
    yield app.test_client()
    app.extensions["secondread.service"].close()


@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_honest_json_is_refused_with_a_reason(client: FlaskClient, name: str) -> None:
    for path in ("/api/v1/prevalences/fracture", "/api/v1/users/anna/password"):
        answer = client.put(path, data=BODIES[name], content_type="application/json")
        assert (answer.status_code, answer.json["code"]) == (400, "bad_json"), answer.json
        assert len(answer.json["detail"]) < 200


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
def test_json_that_is_not_called_so_is_told(client: FlaskClient, kind: str | None) -> None:
    answer = client.put("/api/v1/prevalences/fracture", data=b'{"prevalence": 0.1}', content_type=kind)
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json["detail"]
    form = client.put("/api/v1/prevalences/fracture", data=b"prevalence=0.1", content_type=kind)
    assert form.status_code == 400


@pytest.mark.parametrize("name", ["a list", "null", "a word"])
def test_json_that_is_no_object_is_told(client: FlaskClient, name: str) -> None:
    answer = client.put("/api/v1/prevalences/fracture", data=FITTING[name], content_type="application/json")
    assert "JSON object" in answer.json["detail"]


@pytest.mark.parametrize("path", ["readings", "readings.csv", "readings.json", "agreement", "reviews/manifest.zip"])
def test_a_misspelt_filter_is_told_and_not_left_out(client: FlaskClient, path: str) -> None:
    asked = {"decison": "positive", "task": "tuberculosis"}
    answer = client.get(f"/api/v1/{path}", query_string=asked)
    assert answer.status_code == 400
    assert "decison: Unknown field" in answer.json["detail"]
    of_a_list = {"order": "newest", "task": "tuberculosis"}
    assert "order" not in str(client.get(f"/api/v1/{path}", query_string=of_a_list).get_json(silent=True) or {}).split()


@pytest.mark.parametrize("name", FITTING)
def test_json_that_does_not_fit_is_refused_by_its_schema(client: FlaskClient, name: str) -> None:
    answer = client.put("/api/v1/prevalences/fracture", data=FITTING[name], content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_a_body_is_bounded_where_no_images_are_taken(client: FlaskClient) -> None:
    large = b'{"prevalence": 0.1, "note": "' + b"a" * MOST_BYTES + b'"}'
    stated = client.put("/api/v1/prevalences/fracture", data=large, content_type="application/json")
    assert (stated.status_code, stated.json["code"]) == (413, "body_too_large")
    assert "1 MB" in stated.json["detail"]
    form = client.post("/thresholds", data=b"note=" + b"a" * MOST_BYTES, content_type="multipart/form-data; boundary=x")
    assert form.status_code == 413
    fits = b'{"prevalence": 0.1, "note": "fits"}' + b" " * (MOST_BYTES - 100)
    assert client.put("/api/v1/prevalences/fracture", data=fits, content_type="application/json").status_code == 200


def test_the_bound_knows_every_address_that_takes_images(client: FlaskClient) -> None:
    spec = client.get("/api/v1/openapi.json").json
    takes = {
        operation["operationId"]
        for operations in spec["paths"].values()
        for operation in operations.values()
        if isinstance(operation, dict) and "multipart/form-data" in operation.get("requestBody", {}).get("content", {})
    }
    assert takes == {"readImages", "submitBatch"}
    assert set(client.application.view_functions) >= UPLOADS


def _cursor(value: object) -> str:
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode()


CURSORS = {
    "a moment without a zone": ("newest", ["newest", "2026-01-01T00:00:00", 5]),
    "a number for a moment": ("newest", ["newest", 1.0, 3]),
    "a moment for a number": ("triage", ["triage", "2026-01-01T00:00:00Z", 3]),
    "no number": ("triage", b'["triage", NaN, 3]'),
    "infinity": ("lowest", b'["lowest", Infinity, 3]'),
    "a number without end": ("triage", b'["triage", ' + b"9" * 150 + b", 3]"),
    "a list": ("triage", ["triage", [1], 3]),
    "an object": ("triage", ["triage", {"a": 1}, 3]),
    "a truth": ("highest", ["highest", True, 1]),
    "half a row": ("triage", ["triage", 1, 3.5]),
    "a truth for a row": ("triage", ["triage", 1, True]),
    "a row beyond the table": ("triage", ["triage", 1, 2**31]),
    "the end of time": ("newest", ["newest", "9999-12-31T23:59:59-14:00", 1]),
    "its beginning": ("oldest", ["oldest", "0001-01-01T00:00:00+14:00", 1]),
    "a word": ("triage", "triage"),
    "nothing": ("triage", None),
    "5,000 lists": ("triage", b"[" * 5000),
}


@pytest.mark.parametrize("name", CURSORS)
def test_a_cursor_that_no_page_gave_is_refused(client: FlaskClient, name: str) -> None:
    order, value = CURSORS[name]
    for path in ("/api/v1/readings", "/worklist"):
        answer = client.get(path, query_string={"order": order, "after": _cursor(value)})
        assert answer.status_code == 400


@pytest.mark.parametrize("seq", ["²", "٣", "-1", "1_0", "1.0", "", str(10**30)])
def test_a_checkpoint_of_odd_numbers_is_refused(client: FlaskClient, seq: str) -> None:
    for given in (f"{seq}:{'a' * 64}", f"{seq}:{'0' * 64}"):
        assert client.get("/api/v1/trail/verify", query_string={"checkpoint": given}).status_code in (400, 409)
        assert client.post("/trail/verify", data={"checkpoint": given}).status_code in (400, 409)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Accept-Language", "x;q=nan"),
        ("Accept-Language", "²;q=²,;;,*"),
        ("Range", "bytes=99999999999999999999-"),
        ("Range", "bytes=²-"),
        ("If-Modified-Since", "Thu, 99 Foo 99999 99:99:99 GMT"),
        ("Content-Type", "application/json; charset=rot13"),
        ("Cookie", "secondread=.e30.; language=\xff"),
        ("Referer", "http://["),
    ],
)
def test_odd_headers_are_no_fault_of_the_server(client: FlaskClient, name: str, value: str) -> None:
    for path in ("/worklist", "/api/v1/readings", "/fonts/devanagari.ttf", "/static/style.css"):
        answer = client.get(path, headers={name: value})
        answer.close()
        assert answer.status_code < 500


@pytest.mark.parametrize("number", ["9" * 5000, "99999999999", "٣", "-1", "1e3", "²"])
def test_odd_numbers_in_an_address_lead_nowhere(client: FlaskClient, number: str) -> None:
    for path in ("/api/v1/readings/{}", "/api/v1/batches/{}", "/readings/{}", "/api/v1/readings/{}/image"):
        assert client.get(path.format(number)).status_code == 404
    assert client.delete(f"/api/v1/tokens/{number}").status_code == 404


def test_strict_json_reads_what_json_is() -> None:
    text = '{"a": [1, -2.5, true, null, "\\ud83d\\ude00", "é"]}'
    assert strict_json(text) == json.loads(text)


def test_a_form_with_fields_twice_or_in_no_utf_8_is_no_fault_of_the_server(client: FlaskClient) -> None:
    for body in (b"bundle=a&bundle=b&score=1&score=nan", b"%ff=%fe&bundle=%ed%a0%80&note=\xff", b"&" * 5000):
        for path in ("/thresholds", "/thresholds/prevalence", "/login", "/trail/verify"):
            answer = client.post(path, data=body, content_type="application/x-www-form-urlencoded")
            assert answer.status_code < 500


def test_nothing_was_kept_of_any_of_it(client: FlaskClient) -> None:
    folder = Path(client.application.config["DATA_FOLDER"])
    assert not any((folder / "images").rglob("*.bin"))
    assert client.get("/api/v1/batches").json == {"batches": []}
