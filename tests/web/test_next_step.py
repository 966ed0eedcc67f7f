"""What to do now: the page, the report, the API and the command say the same, in the language of whoever asks."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from secondread.cli.read import read
from secondread.service import Actor
from secondread.tasks import load_task
from secondread.testing.phantoms import chest_phantom, encode
from tests.web.conftest import multipart, post

FILM = encode(chest_phantom(128, random_state=4), "PNG")
BLANK = encode(np.full((120, 120), 90, np.uint8), "PNG")


@pytest.mark.parametrize("data", [FILM, BLANK], ids=["answered", "refused"])
def test_page_report_api_and_command_say_the_same(client: FlaskClient, tmp_path: Path, data: bytes) -> None:
    (entry,) = post(client, ("film.png", data), task="tuberculosis").json["readings"]
    step = entry["next_step"]
    assert list(step) == ["code", "action", "message"]
    if entry["decision"]:
        assert step["message"] == load_task("tuberculosis").next_steps[entry["decision"]]
    kept = client.get(f"/api/v1/readings/{entry['id']}").json
    assert kept["next_step"] == step
    listed = client.get("/api/v1/readings.json").json["readings"]
    assert step in [one["next_step"] for one in listed]
    for path in ("", "/report"):
        assert step["message"] in client.get(f"/readings/{entry['id']}{path}").text
    path = tmp_path / "film.png"
    path.write_bytes(data)
    command = ["--no-gate", "--task", "tuberculosis", str(path)]
    said = CliRunner().invoke(read, ["--json", *command])
    assert json.loads(said.output)["next_step"] == step
    assert f"what to do now: {step['message']}" in CliRunner().invoke(read, command).output


def test_the_api_speaks_the_language_that_is_asked_for(client: FlaskClient) -> None:
    hindi = {"Accept-Language": "hi"}
    body, kind = multipart(("film.png", FILM), ("blank.png", BLANK), task="tuberculosis")
    answer = client.post("/api/v1/readings", data=body, content_type=kind, headers=hindi)
    film, blank = answer.json["readings"]
    assert film["next_step"]["code"] == f"tuberculosis.{film['decision']}"
    assert "बलगम" in film["next_step"]["message"]
    assert film["display"]["task_title"] == "क्षय रोग (टीबी)"
    assert (blank["refusal"]["code"], blank["next_step"]["code"]) == ("blank", "blank")
    assert "फ़िल्म" in blank["next_step"]["message"]
    assert "छवि" in blank["refusal"]["message"]
    wrong = client.get("/api/v1/readings/999999", headers=hindi)
    assert (wrong.status_code, wrong.json["code"]) == (404, "not_there")
    assert wrong.json["detail"].startswith("यह अब यहाँ नहीं है")
    assert wrong.headers["Content-Language"] == "hi"
    assert client.get("/api/v1/readings/999999").json["detail"].isascii()


def test_an_image_on_its_way_says_what_to_do(client: FlaskClient) -> None:
    body, kind = multipart(("film.png", FILM), ("note.txt", b"text"), task="tuberculosis")
    number = client.post("/api/v1/batches", data=body, content_type=kind).json["id"]
    waits, refused = client.get(f"/api/v1/batches/{number}").json["items"]
    assert (waits["next_step"]["code"], waits["next_step"]["action"]) == ("queued", "wait")
    assert refused["next_step"]["code"] == refused["code"]
    assert waits["next_step"]["message"] in client.get("/uploads").text


def test_an_answer_that_is_withheld_says_nothing(client: FlaskClient) -> None:
    (entry,) = post(client, ("film.png", FILM), task="tuberculosis").json["readings"]
    kept = client.application.extensions["secondread.service"].readings.get(entry["id"], actor=Actor("anna"))
    assert kept.next_step is not None
    assert kept.withheld().next_step is None


def test_an_address_that_is_not_there_speaks_as_a_page_to_people(client: FlaskClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = client.get("/nowhere", headers=browser)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    main = page.text.split("<main")[1].split("</main>")[0]
    assert "There is nothing here" in main
    assert not [word for word in ("openapi", "/api/", "not_found") if word in main]
    assert "यहाँ कुछ नहीं है" in client.get("/nowhere", headers=browser | {"Accept-Language": "hi"}).text
    assert client.get("/api/v1/nowhere", headers=browser).mimetype == "application/problem+json"
    assert client.get("/nowhere", headers={"Accept": "application/json"}).mimetype == "application/problem+json"
