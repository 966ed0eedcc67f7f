"""The pages without a browser: what forms answer, what stays hidden, what is written in the trail."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete

from secondread.errors import UnknownName
from secondread.evidence.promises import guarantees_of
from secondread.reading import load_bundle
from secondread.service.tables import ShownRow
from secondread.stats.scale import marks
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
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


@pytest.fixture
def unseen(app: Flask, reading: int) -> int:
    """A reading whose answer nobody has been shown, as one that came in through the queue."""
    with app.extensions["secondread.service"].database.begin() as session:
        session.execute(delete(ShownRow))
    return reading


def test_a_hidden_answer_is_not_in_the_page_nor_behind_it(client: FlaskClient, unseen: int) -> None:
    hidden = client.get(f"/readings/{unseen}?blind=1").text
    behind = [f"/readings/{unseen}/report", f"/readings/{unseen}/compare", f"/api/v1/readings/{unseen}/heatmap"]
    behind += [f"/api/v1/readings/{unseen}/reviews", f"/api/v1/readings/{unseen}/report.pdf"]
    for path in behind:
        assert client.get(f"{path}?blind=1").status_code == 403, path
    assert client.get(f"/api/v1/readings/{unseen}/image").status_code == 200
    shown = client.get(f"/readings/{unseen}").text
    answer = client.get(f"/api/v1/readings/{unseen}").json
    told = re.compile(rf"{answer['decision']}|score {answer['score']}|data-heat|card-answer|Opinions", re.IGNORECASE)  # type: ignore[index]
    assert told.search(shown)
    assert told.findall(re.sub(r"<svg class=.sprite.*?</svg>", "", hidden, flags=re.DOTALL)) == []


def test_who_saw_the_answer_is_told_that_it_is_too_late(client: FlaskClient, reading: int) -> None:
    page = client.get(f"/readings/{reading}?blind=1").text
    assert "card-answer" in page
    assert "shown to you before" in page
    late = client.post(f"/readings/{reading}/review?blind=1", data={"finding": "1", "saw_answer": "0"})
    assert late.status_code == 409
    assert "the answer was shown to you on" in late.text


def test_opinion_first_is_switched_on_the_worklist_and_the_answer_follows_the_opinion(
    client: FlaskClient, unseen: int
) -> None:
    client.post("/worklist/opinion-first", data={"on": "1"})
    listed = client.get("/worklist").text
    assert "Your opinion first" in listed
    assert not re.search(r"score \d|class=\"(positive|negative)\"", listed)
    assert client.get("/worklist?decision=positive").status_code == 400
    assert client.get(f"/api/v1/readings/{unseen}").json["hidden"] is True  # type: ignore[index]
    assert client.get("/api/v1/readings.csv?order=oldest").text.splitlines()[1].count("positive") == 0
    page = client.get(f"/readings/{unseen}").text
    assert "The answer is hidden" in page
    assert "Show the answer" not in page, "the switch was chosen for all of this session"
    client.post(f"/readings/{unseen}/review?blind=1", data={"finding": "0", "saw_answer": "0"})
    assert "card-answer" in client.get(f"/readings/{unseen}").text
    (given,) = client.get(f"/api/v1/readings/{unseen}/reviews").json["reviews"]  # type: ignore[index]
    assert (given["saw_answer"], given["finding"]) == (False, 0)
    agreement = client.get("/api/v1/agreement").json["tasks"][0]  # type: ignore[index]
    assert agreement["blind"]["by_reviewer"]["local"]["n"] == 1
    assert agreement["after"]["by_reviewer"] == {}
    statistics = client.get("/statistics").text
    assert "too few to say" in statistics
    client.post("/worklist/opinion-first", data={"on": "0"})
    assert "Your opinion first" not in client.get("/worklist").text


def test_a_site_may_want_the_opinion_first_of_everyone(tmp_path: Path) -> None:
    settings = {"DATA_FOLDER": str(tmp_path), "GATE": "off", "OPINION_FIRST": "on"}
    app = create_app(settings)
    client = app.test_client()
    post(client, ("film.png", FILM), task="tuberculosis")
    with app.extensions["secondread.service"].database.begin() as session:
        session.execute(delete(ShownRow))
    assert "card-answer" not in client.get("/readings/1").text
    assert "Show answers at once" not in client.get("/worklist").text
    app.extensions["secondread.service"].close()
    with pytest.raises(UnknownName, match="opinion_first"):
        create_app(settings | {"OPINION_FIRST": "sometimes"})


def test_how_common_disease_is_here_is_set_on_the_page_of_thresholds(client: FlaskClient, reading: int) -> None:
    assert client.get(f"/api/v1/readings/{reading}").json["local"] is None  # type: ignore[index]
    wrong = client.post("/thresholds/prevalence", data={"bundle": "tuberculosis/best", "local": "200"})
    assert wrong.status_code == 400
    assert "is no share" in wrong.text
    client.post("/thresholds/prevalence", data={"bundle": "tuberculosis/best", "local": "2", "note": "screening"})
    page = client.get("/thresholds?bundle=tuberculosis/best").text
    assert "2.0 % of those examined here" in page
    assert "among people of whom 2.00 % are diseased" in page
    found = client.get(f"/api/v1/readings/{reading}").json
    assert found["local"]["prevalence"] == 0.02  # type: ignore[index]
    assert found["local"]["probability"] < found["probability"]  # type: ignore[index]
    listed = client.get("/api/v1/readings").json["readings"][0]  # type: ignore[index]
    again = post(client, ("again.png", FILM), task="tuberculosis").json["readings"][0]  # type: ignore[index]
    keys = ("likelihood_ratio", "likelihood_ratio_measured", "local")
    assert [listed[key] for key in keys] == [again[key] for key in keys] == [found[key] for key in keys]  # type: ignore[index]
    assert '""prevalence"": 0.02' in client.get("/api/v1/readings.csv").text
    assert client.get("/api/v1/thresholds?bundle=tuberculosis").json["prevalence"] == 0.02  # type: ignore[index]
    client.post("/thresholds/prevalence", data={"bundle": "tuberculosis/best", "local": ""})
    assert client.get(f"/api/v1/readings/{reading}").json["local"] is None  # type: ignore[index]


@pytest.mark.parametrize("bundle", ["brain-tumour/best", "tuberculosis/best", "fracture/best"])
def test_the_page_of_thresholds_speaks_as_cards_do(client: FlaskClient, bundle: str) -> None:
    """On the scale of 0 to 100, with the same promise hospital by hospital, and no probability."""
    text = client.get(f"/thresholds?bundle={bundle}").text
    found = load_bundle(bundle)
    point = found.operating_point()
    assert f"positive from {marks(point.threshold)[1]}" in text
    assert f">{point.threshold:.3f}" not in text
    for told in guarantees_of(found, point):
        assert all(f"{one.n} images of {one.source}" in text for one in told.sources if one.source)


def test_a_choice_says_on_what_it_was_measured(client: FlaskClient, reading: int) -> None:
    form = {"bundle": "tuberculosis/best", "score": "30", "note": "fewer referrals"}
    assert client.post("/thresholds", data=form).status_code == 303
    assert "which the choice itself looked at" in client.get("/thresholds?bundle=tuberculosis/best").text
    few = client.post("/thresholds", data=form | {"measured_on": "site"})
    assert few.status_code == 400
    assert "measuring takes 10 of each" in few.text
    active = client.get("/api/v1/operating-points?bundle=tuberculosis/best").json["active"]  # type: ignore[index]
    assert (active["measured_on"], active["independent"], active["threshold"]) == ("test", False, 0.3)


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
    client: FlaskClient, unseen: int, form: dict[str, str], sentence: str
) -> None:
    answer = client.post(f"/readings/{unseen}/review", data=form)
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
        ({"bundle": "tuberculosis/best", "score": "much"}, "is no number"),
        ({"bundle": "tuberculosis/best", "score": "150"}, "is no threshold on the scale of 0 to 100"),
        ({"bundle": "tuberculosis/best", "score": "0.3"}, "write 30 for a probability of 0.3"),
        ({"bundle": "tuberculosis/best", "score": "50", "prevalence": "0"}, "is no share"),
        ({"bundle": "tuberculosis/none", "score": "50"}, "unknown bundle"),
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
    verified = client.post("/trail/verify").text
    assert "The trail is whole" in verified
    assert "What this cannot know:" in verified
    assert "would not be seen" in verified
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
