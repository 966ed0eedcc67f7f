"""Reviews, statistics, thresholds, trail and settings over HTTP."""

import io
import zipfile
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from secondread.service import LOCAL
from secondread.stats.proportions import clopper_pearson
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.web.conftest import logged_in as begun
from tests.web.conftest import post

PASSWORD = "a long enough password"
REFERRING = ("sensitivity", "specificity", "ppv", "npv", "referrals_per_1000", "missed_per_1000")


@pytest.fixture
def app(tmp_path, database_url: str) -> Iterator[Flask]:
    """Double reading, no login on this machine, three readings and three reviewers; on both databases."""
    settings = {"DATA_FOLDER": str(tmp_path), "DATABASE": database_url}
    app = create_app(settings | {"GATE": "off", "LOGIN": "off", "REVIEWS_NEEDED": 2})
    films = [encode(chest_phantom(64, random_state=number), "PNG") for number in range(3)]
    assert post(app.test_client(), *((f"{at}.png", film) for at, film in enumerate(films)), task="tuberculosis").json
    for name, role in ({"chief": "administrator"} | dict.fromkeys(("anna", "berta", "carl"), "reviewer")).items():
        app.extensions["secondread.service"].accounts.add(name, role=role, password=PASSWORD, actor=LOCAL)
    yield app
    app.extensions["secondread.service"].close()


def logged_in(app: Flask, name: str) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_X_CSRF_TOKEN"] = begun(client, name)
    return client


def review(client: FlaskClient, verdict: str, **more: object) -> int:
    return client.post("/api/v1/readings/1/reviews", json={"verdict": verdict} | more).status_code


def test_two_agree_or_a_third_settles_it(app: Flask) -> None:
    anna, berta, carl = (logged_in(app, name) for name in ("anna", "berta", "carl"))
    assert review(anna, "agree") == 201
    assert anna.get("/api/v1/readings/1/reviews").json["review_state"] == "waiting"
    assert review(berta, "disagree", note="looks clear") == 201
    shown = carl.get("/api/v1/readings/1/reviews").json
    assert (shown["review_state"], shown["needed"], len(shown["reviews"])) == ("disputed", 2, 2)
    settle = {"finding": 1, "note": "seen"}
    assert anna.post("/api/v1/readings/1/adjudication", json=settle).status_code == 403  # reviewed it herself
    assert carl.post("/api/v1/readings/1/adjudication", json=settle).status_code == 201
    assert review(anna, "agree") == 409
    assert carl.get("/api/v1/readings/1").json["finding"] == 1
    table = carl.get("/api/v1/agreement").json
    assert table["concluded"]["n"] == 1
    assert table["between"][0]["reviewers"] == ["anna", "berta"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"verdict": "perhaps"}, 400),
        ({"verdict": "unsure", "finding": 1}, 400),
        ({"verdict": "agree", "finding": 2}, 400),
    ],
)
def test_an_opinion_is_checked(app: Flask, body: dict[str, object], status: int) -> None:
    assert logged_in(app, "anna").post("/api/v1/readings/1/reviews", json=body).status_code == status


def test_reviewed_images_are_exported_for_training_and_recalibration(app: Flask) -> None:
    anna, berta = logged_in(app, "anna"), logged_in(app, "berta")
    assert anna.get("/api/v1/reviews/manifest.zip?task=tuberculosis").status_code == 400
    for client in (anna, berta):
        assert review(client, "agree") == 201
    packed = anna.get("/api/v1/reviews/manifest.zip?task=tuberculosis")
    names = zipfile.ZipFile(io.BytesIO(packed.data)).namelist()
    assert "manifest.csv" in names
    assert len(names) == 2
    bundle = anna.get("/api/v1/readings/1").json["bundle"]
    scores = anna.get("/api/v1/reviews/scores.csv", query_string={"bundle": bundle}).text.splitlines()
    assert scores[0] == "path,probability,outcome,patient,bundle"
    assert len(scores) == 2


def test_every_threshold_says_what_it_finds_and_costs(app: Flask) -> None:
    client = app.test_client()
    found = client.get("/api/v1/thresholds?bundle=tuberculosis&prevalence=0.02").json
    assert len(found["rows"]) >= 99
    for row in found["rows"]:
        for name in REFERRING:
            value = row[name]
            assert value["value"] is None or value["low"] is None or value["low"] <= value["value"] <= value["high"]
    sensitivities = [row["sensitivity"]["value"] for row in found["rows"]]
    assert sensitivities == sorted(sensitivities, reverse=True)  # a higher threshold finds no more
    row = found["rows"][50]
    expected = 1000 * (0.02 * row["sensitivity"]["value"] + 0.98 * (1 - row["specificity"]["value"]))
    assert row["referrals_per_1000"]["value"] == pytest.approx(expected, abs=0.1)
    assert row["missed_per_1000"]["value"] == pytest.approx(20 * (1 - row["sensitivity"]["value"]), abs=0.1)
    assert client.get("/api/v1/thresholds?bundle=tuberculosis&prevalence=2").status_code == 400
    assert client.get("/api/v1/thresholds?bundle=nothing").status_code == 400
    assert client.get("/api/v1/thresholds?bundle=tuberculosis&split=none").status_code == 400


def test_intervals_of_thresholds_know_that_images_belong_together(app: Flask) -> None:
    """Where groups are large they are wider than those of as many strangers, and never narrower."""
    for task, wider in (("fracture", 1.1), ("tuberculosis", 1.0)):
        found = app.test_client().get(f"/api/v1/thresholds?bundle={task}").json
        row = min(found["rows"], key=lambda row: abs(row["sensitivity"]["value"] - 0.8))
        n, rate = found["n_positive"], row["sensitivity"]
        low, high = clopper_pearson(round(rate["value"] * n), n)
        assert rate["high"] - rate["low"] >= wider * (high - low) - 1e-6


def test_a_site_chooses_its_threshold_and_goes_back(app: Flask) -> None:
    client = app.test_client()
    film = encode(chest_phantom(64, random_state=9), "PNG")
    choice = {"bundle": "tuberculosis", "threshold": 0.999, "prevalence": 0.02, "note": "few beds"}
    chosen = client.post("/api/v1/operating-points", json=choice)
    assert chosen.status_code == 201
    name = chosen.json["active"]["name"]
    (entry,) = post(client, ("a.png", film), task="tuberculosis").json["readings"]
    assert (entry["operating_point"], entry["display"]["threshold"], entry["decision"]) == (name, 0.999, "negative")
    (again,) = post(client, ("a.png", film), task="tuberculosis").json["readings"]
    assert (again["from_store"], again["operating_point"], again["display"]) == (True, name, entry["display"])
    assert client.post("/api/v1/operating-points/revert", json={"bundle": "tuberculosis"}).json["active"] is None
    assert client.post("/api/v1/operating-points/revert", json={"bundle": "tuberculosis"}).status_code == 409
    (before,) = post(client, ("a.png", film), task="tuberculosis").json["readings"]
    assert before["operating_point"] != name
    assert len(client.get("/api/v1/operating-points?bundle=tuberculosis").json["history"]) == 1


def test_drift_is_told_window_by_window(app: Flask) -> None:
    found = app.test_client().get("/api/v1/drift?bundle=tuberculosis&windows=3&days=1").json
    assert [window["n"] for window in found["windows"]] == [0, 0, 3]
    assert set(found["windows"][0]["alarms"]) <= {"scores", "refusals", "sensitivity", "specificity"}


def test_the_trail_is_shown_verified_and_pinned(app: Flask) -> None:
    client = app.test_client()
    lines = client.get("/api/v1/trail?action=reading.made").json["lines"]
    assert [line["subject"] for line in lines] == ["reading:3", "reading:2", "reading:1"]
    pinned = client.get("/api/v1/trail/checkpoint").json["checkpoint"]
    assert client.get("/api/v1/trail/verify", query_string={"checkpoint": pinned}).status_code == 200
    assert client.get("/api/v1/trail/verify", query_string={"checkpoint": f"1:{'0' * 64}"}).status_code == 409
    assert client.get("/api/v1/trail/verify", query_string={"checkpoint": "x"}).status_code == 400


def test_settings_are_shown_without_secrets(tmp_path) -> None:
    secret = {"OIDC_ISSUER": "https://login.example", "OIDC_CLIENT_ID": "room", "OIDC_CLIENT_SECRET": "s3cret"}
    answer = create_app(secret | {"DATA_FOLDER": str(tmp_path)}).test_client().get("/api/v1/settings")
    values = {row["name"]: row["value"] for row in answer.json["settings"]}
    assert values["oidc_client_secret"] == "set, not shown"
    assert "s3cret" not in answer.text


def test_metrics_name_routes_and_answers(app: Flask) -> None:
    text = app.test_client().get("/metrics").text
    assert 'secondread_requests_total{method="POST",route="/api/v1/readings",status="200"} 1.0' in text
    assert "secondread_queue_waiting 0.0" in text
    assert 'secondread_readings_total{decision="' in text


def test_the_document_is_a_page_without_scripts_of_others(app: Flask) -> None:
    page = app.test_client().get("/api/v1/docs").text
    assert "readImages" not in page
    assert "/api/v1/readings/{reading_id}/reviews" in page
    assert "https://" not in page
