"""The page and the API of models: shadow, switch and back, by an administrator; the API says what the page says."""

import re

import pytest
from flask.testing import FlaskClient

from secondread.reading import load_bundle
from secondread.web import create_app

HINDI = {"Accept-Language": "hi", "Accept": "text/html"}
PAPER, BEST = load_bundle("tuberculosis/paper"), load_bundle("tuberculosis/best")


@pytest.fixture
def client(tmp_path) -> FlaskClient:
    return create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path)}).test_client()


def model(client: FlaskClient, task: str = "tuberculosis") -> dict:
    (found,) = (one for one in client.get("/api/v1/models").json["models"] if one["task"] == task)
    return found


def test_a_bundle_is_shadowed_switched_to_and_back(client: FlaskClient) -> None:
    assert (model(client)["bundle"], model(client)["switched"], model(client)["shadow"]) == (BEST.id, None, None)
    other = {"bundle": "tuberculosis/paper", "note": "a trial"}
    assert client.put("/api/v1/models/tuberculosis/shadow", json=other).status_code == 200
    found = model(client)
    assert (found["shadow"]["bundle"], found["shadow"]["note"], found["changes"]["n"]) == (PAPER.id, "a trial", 0)
    assert PAPER.id in client.get("/models").text
    assert client.put("/api/v1/models/tuberculosis/switch", json=other).status_code == 200
    found = model(client)
    assert (found["bundle"], found["switched"]["beside"], found["shadow"]) == (PAPER.id, BEST.id, None)
    assert client.delete("/api/v1/models/tuberculosis/switch").status_code == 200
    assert model(client)["bundle"] == BEST.id
    assert client.delete("/api/v1/models/tuberculosis/switch").status_code == 409
    assert client.delete("/api/v1/models/tuberculosis/shadow").status_code == 409
    roles = [one["role"] for one in client.get("/api/v1/models").json["history"]]
    assert roles == ["answers", "shadow"]


def test_the_pages_buttons_do_the_same(client: FlaskClient) -> None:
    form = {"task": "tuberculosis", "bundle": "tuberculosis/paper", "note": ""}
    for act, shadow, answers in [
        ("shadow", PAPER.id, BEST.id), ("end", None, BEST.id), ("switch", None, PAPER.id), ("back", None, BEST.id),
    ]:  # fmt: skip
        assert client.post("/models", data=form | {"act": act}).status_code == 303
        found = model(client)
        assert (found["shadow"] and found["shadow"]["bundle"], found["bundle"]) == (shadow, answers)


@pytest.mark.parametrize(
    "form", [{"act": "shadow"}, {"act": "x"}, {"act": "switch", "bundle": "fracture/paper"}, {"act": "back"}]
)
def test_a_mistake_changes_nothing_and_is_told(client: FlaskClient, form: dict[str, str]) -> None:
    answer = client.post("/models", data={"task": "tuberculosis"} | form)
    assert answer.status_code in (400, 404, 409)
    assert model(client)["switched"] is None


def test_the_page_shows_first_what_a_bundle_did_elsewhere(client: FlaskClient) -> None:
    page = client.get("/models").text
    assert page.index("At a hospital it had not seen") < page.index("In the shadow")
    for bundle in client.get("/api/v1/bundles").json["bundles"]:
        if bundle["name"] == "best":
            for place in bundle["elsewhere"]:
                assert f'<th scope="row">{place["hospital"]}</th>' in page
            for told in bundle["broken"]:
                assert told in page


def test_broken_promises_stand_in_their_box_in_the_language_of_the_page(client: FlaskClient) -> None:
    boxes = re.findall(r'<div class="said">([^<]*)<ul>(.*?)</ul></div>', client.get("/models").text)
    assert boxes
    assert all("promise" in head and "at least" in told for head, told in boxes)
    told = re.findall(r'<div class="said">[^<]*<ul>(.*?)</ul></div>', client.get("/models", headers=HINDI).text)
    assert len(told) == len(boxes)
    assert not re.search("sensitivity|specificity|external|screening|left out", "".join(told))
