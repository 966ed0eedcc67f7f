"""The pages without a browser: what forms answer, what stays hidden, what is written in the trail."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from secondread.web import create_app
from tests.phantoms import chest_phantom, encode
from tests.web.conftest import post

FILM = encode(chest_phantom((120, 100), random_state=3, lesion=True), "PNG")
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = create_app({"DATA_FOLDER": str(tmp_path), "GATE": "off"})
    yield app
    app.extensions["secondread.service"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def reading(client: FlaskClient) -> int:
    answer = post(client, ("<b>film</b>.png", FILM), task="tuberculosis")
    return int(answer.json["readings"][0]["id"])  # type: ignore[index]


def test_a_file_is_never_called_by_markup(client: FlaskClient, reading: int) -> None:
    for path in ("/worklist", f"/readings/{reading}", f"/readings/{reading}/compare"):
        text = client.get(path).text
        assert "<b>film" not in text
        assert "&lt;b&gt;film" in text


def test_no_page_holds_a_script_or_style_of_its_own(client: FlaskClient, reading: int) -> None:
    paths = ["/", "/worklist", "/uploads", "/statistics", "/thresholds", "/account", "/accounts", "/trail"]
    for path in [*paths, f"/readings/{reading}", f"/readings/{reading}/report"]:
        text = client.get(path).text
        assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", text) == [], path


def test_a_hidden_answer_is_not_in_the_page(client: FlaskClient, reading: int) -> None:
    shown, hidden = client.get(f"/readings/{reading}").text, client.get(f"/readings/{reading}?blind=1").text
    answer = client.get(f"/api/v1/readings/{reading}").json
    told = re.compile(rf"{answer['decision']}|score {answer['score']}|data-heat|card-answer|Opinions", re.IGNORECASE)  # type: ignore[index]
    assert told.search(shown)
    assert told.findall(re.sub(r"<svg class=.sprite.*?</svg>", "", hidden, flags=re.DOTALL)) == []


def test_the_answer_is_shown_once_an_opinion_was_given_with_it(client: FlaskClient, reading: int) -> None:
    client.post(f"/readings/{reading}/review", data={"verdict": "agree", "saw_answer": "1"})
    assert "card-answer" in client.get(f"/readings/{reading}?blind=1").text


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"saw_answer": "1"}, "say whether you agree"),
        ({"verdict": "perhaps", "saw_answer": "1"}, "unknown verdict"),
        ({"verdict": "agree", "saw_answer": "1", "note": "a" * 4001}, "at most 4000 characters"),
        ({"saw_answer": "0"}, "or what you find"),
    ],
)
def test_an_opinion_that_cannot_be_is_told_beside_the_form(
    client: FlaskClient, reading: int, form: dict[str, str], sentence: str
) -> None:
    answer = client.post(f"/readings/{reading}/review", data=form)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert ("card-answer" in answer.text) == (form["saw_answer"] == "1")


def test_saving_goes_on_to_the_next_in_the_same_list(client: FlaskClient, reading: int) -> None:
    form = {"verdict": "agree", "saw_answer": "1", "then": "41"}
    answer = client.post(f"/readings/{reading}/review?order=newest&blind=1", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/readings/41?order=newest")


def test_only_a_dispute_is_settled(client: FlaskClient, reading: int) -> None:
    answer = client.post(f"/readings/{reading}/adjudication", data={"finding": "1"})
    assert answer.status_code == 409
    assert "only a reading on which reviewers differ" in answer.text


def test_another_bundle_reads_the_same_image_once(client: FlaskClient, reading: int) -> None:
    first = client.post(f"/readings/{reading}/compare", data={"bundle": "tuberculosis/paper"})
    second = client.post(f"/readings/{reading}/compare", data={"bundle": "tuberculosis/paper"})
    assert first.headers["Location"] == second.headers["Location"]
    assert client.get(first.headers["Location"]).text.count('class="side-by-side"') == 2
    wrong = client.post(f"/readings/{reading}/compare", data={"bundle": "../../etc"})
    assert wrong.status_code == 400


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "choose a bundle first"),
        ({"bundle": "tuberculosis/best"}, "choose a threshold first"),
        ({"bundle": "tuberculosis/best", "threshold": "much"}, "is no number"),
        ({"bundle": "tuberculosis/best", "threshold": "1.5"}, "a threshold lies from 0"),
        ({"bundle": "tuberculosis/best", "threshold": "0.5", "prevalence": "0"}, "is no share"),
        ({"bundle": "tuberculosis/none", "threshold": "0.5"}, "unknown bundle"),
    ],
)
def test_a_threshold_that_cannot_be_is_told(client: FlaskClient, form: dict[str, str], sentence: str) -> None:
    answer = client.post("/thresholds", data=form)
    assert answer.status_code == 400
    assert sentence in answer.text


def test_an_address_that_is_not_there_is_a_page_for_people_and_a_problem_for_programs(client: FlaskClient) -> None:
    assert client.get("/readings/999", headers=BROWSER).mimetype == "text/html"
    assert client.get("/nowhere", headers=BROWSER).status_code == 404
    assert client.get("/readings/999").mimetype == "application/problem+json"
    assert client.get("/api/v1/readings/999", headers=BROWSER).mimetype == "application/problem+json"


def test_looking_and_printing_are_in_the_trail(client: FlaskClient, reading: int) -> None:
    client.get(f"/readings/{reading}")
    client.get(f"/readings/{reading}/report")
    lines = client.get(f"/trail?subject=reading:{reading}").text
    assert "reading.seen" in lines
    assert "report.made" in lines
    assert "The trail is whole" in client.post("/trail/verify").text
    assert client.post("/trail/verify", data={"checkpoint": "nonsense"}).status_code == 400
    assert client.post("/trail/verify", data={"checkpoint": "3:" + "0" * 64}).status_code == 409


def test_the_first_account_is_an_administrators_and_is_logged_in(client: FlaskClient) -> None:
    form = {"name": "anna", "password": "a long enough password", "role": "reader"}
    assert client.post("/accounts", data=form).status_code == 409
    assert client.post("/accounts", data=form | {"role": "administrator", "password": "short"}).status_code == 400
    assert client.post("/accounts", data=form | {"role": "administrator"}).status_code == 303
    page = client.get("/accounts")
    assert page.status_code == 200
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    assert client.post("/accounts", data=form | {"name": "bo"}).status_code == 403  # without the page's token
    assert client.post("/accounts", data=form | {"name": "bo", "csrf_token": token[1]}).status_code == 303
    alone = client.post("/accounts/anna", data={"do": "disable", "csrf_token": token[1]})
    assert alone.status_code == 403
    assert "by another administrator" in alone.text
