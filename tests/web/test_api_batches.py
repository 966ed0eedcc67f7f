"""Uploads of many files over HTTP: queued, read in the background, followed, cancelled."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from secondread.service import Service
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.web.conftest import multipart

FILMS = [encode(chest_phantom(64, random_state=number), "PNG") for number in range(4)]


@pytest.fixture
def client(tmp_path, database_url: str) -> Iterator[FlaskClient]:
    """An application with an empty store, without workers; on both databases."""
    app = create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path), "DATABASE": database_url, "EVENT_SECONDS": 1})
    yield app.test_client()
    app.extensions["secondread.service"].close()


def submit(client: FlaskClient, *files: tuple[str, bytes], key: str = "", **form: str):
    body, content_type = multipart(*files, **({"task": "tuberculosis"} | form))
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/api/v1/batches", data=body, content_type=content_type, headers=headers)


def work(client: FlaskClient) -> int:
    service: Service = client.application.extensions["secondread.service"]
    return service.worker(client.application.extensions["secondread"].get).run_until_empty()


def test_an_upload_is_queued_and_read_in_the_background(client: FlaskClient) -> None:
    sent = submit(client, *((f"{at}.png", film) for at, film in enumerate(FILMS[:3])), ("no.txt", b"text"))
    assert sent.status_code == 201
    assert sent.json["counts"]["queued"] == 3
    assert sent.json["counts"]["refused"] == 1
    assert work(client) == 3
    shown = client.get(sent.headers["Location"]).json
    assert shown["finished"]
    assert [item["state"] for item in shown["items"]] == ["done", "done", "done", "refused"]
    listed = client.get("/api/v1/readings", query_string={"batch": shown["id"]}).json["readings"]
    assert sorted(row["path"] for row in listed) == ["0.png", "1.png", "2.png"]
    assert [row["id"] for row in client.get("/api/v1/batches").json["batches"]] == [shown["id"]]


def test_an_archive_is_unpacked(client: FlaskClient) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for at, film in enumerate(FILMS):
            archive.writestr(f"folder/{at}.png", film)
    assert submit(client, ("films.zip", packed.getvalue())).json["n"] == 4


def test_more_files_than_a_reading_request_holds_are_taken(client: FlaskClient) -> None:
    assert submit(client, *((f"{at}.txt", b"text") for at in range(120))).json["n"] == 120


def test_the_same_key_gives_the_same_upload(client: FlaskClient) -> None:
    first = submit(client, ("a.png", FILMS[0]), key="one")
    again = submit(client, ("a.png", FILMS[0]), key="one")
    other = submit(client, ("a.png", FILMS[0]), key="two")
    assert first.json["id"] == again.json["id"] != other.json["id"]
    assert submit(client, ("a.png", FILMS[0]), key="k" * 101).status_code == 400


def test_what_waits_is_cancelled_and_put_back(client: FlaskClient) -> None:
    number = submit(client, *((f"{at}.png", film) for at, film in enumerate(FILMS))).json["id"]
    assert client.post(f"/api/v1/batches/{number}/cancel").json["counts"]["cancelled"] == 4
    assert client.post(f"/api/v1/batches/{number}/retry").json["counts"]["queued"] == 4
    assert work(client) == 4


@pytest.mark.parametrize(
    ("form", "status"), [({"task": "tb"}, 400), ({"bundle": "nope"}, 400), ({"operating_point": "nope"}, 400)]
)
def test_a_wrong_name_is_told_before_anything_is_taken(client: FlaskClient, form: dict[str, str], status: int) -> None:
    assert submit(client, ("a.png", FILMS[0]), **form).status_code == status
    assert client.get("/api/v1/batches").json["batches"] == []


def test_progress_is_told_until_the_end(client: FlaskClient) -> None:
    number = submit(client, ("a.png", FILMS[0])).json["id"]
    reading = threading.Timer(0.2, work, [client])
    reading.start()
    for _ in range(60):  # a stream ends after a while, and the browser asks again
        events = client.get(f"/api/v1/batches/{number}/events")
        assert events.mimetype == "text/event-stream"
        told = [block.split("\n") for block in events.text.split("\n\n") if block]
        if told[-1][0] == "event: done":
            break
    reading.join()
    assert told[0] == ["retry: 2000"]
    assert told[1][0] == "event: progress"
    assert told[-1][0] == "event: done"
    assert json.loads(told[-1][1].removeprefix("data: "))["counts"]["done"] == 1
    assert client.get("/api/v1/batches/99/events").status_code == 404


def test_where_many_follow_the_others_are_told_once(tmp_path) -> None:
    client = create_app({"DATA_FOLDER": str(tmp_path), "EVENT_STREAMS": 0, "GATE": "off"}).test_client()
    number = submit(client, ("a.png", FILMS[0])).json["id"]
    assert client.get(f"/api/v1/batches/{number}/events").text.count("event: progress") == 1
