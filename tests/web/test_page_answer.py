"""An answer is drawn in one way: on the card where it was read, on the reading's own page, beside another, in print."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from secondread import web
from secondread.evidence.outlook import outlook
from secondread.reading import load_bundle
from secondread.stats.scale import marks
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode
from secondread.web import create_app
from tests.web.conftest import multipart

FILM = encode(chest_phantom((120, 100), random_state=5, lesion=True), "PNG")
QUIET = dicom_bytes(chest_phantom(256, random_state=2), Modality="DX", BodyPartExamined="CHEST")  # read as negative
FILES = {
    "film.png": (FILM, {"task": "tuberculosis"}),
    "triage.png": (FILM, {"task": "tuberculosis", "bundle": "paper", "operating_point": "triage"}),
    "film.dcm": (dicom_bytes(chest_phantom(160, random_state=6), Modality="DX", BodyPartExamined="CHEST"), {}),
    "tiny.png": (encode(chest_phantom(8, random_state=5), "PNG"), {"task": "tuberculosis"}),
    "unknown.png": (FILM, {}),
}
PARTS = re.compile(
    r'<div class="decision">.*?</div>|<svg class="bar-chart".*?</svg>|<p class="outlook">.*?</p>|'
    r'<div class="reason">.*?</div>|<ul class="warnings".*?</ul>',
    re.DOTALL,
)
ROW = re.compile(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", re.DOTALL)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("language", ["en", "hi"])
def test_the_card_says_what_every_page_of_the_reading_says(client: FlaskClient, name: str, language: str) -> None:
    data, asked = FILES[name]
    entry = read(client, name, data, language, **asked)
    card = entry["drawn"]
    parts, known = PARTS.findall(card), dict(ROW.findall(card))
    assert len(parts) >= 2
    for page in ("", "/compare", "/report"):
        text = client.get(f"/readings/{entry['id']}{page}", headers={"Accept-Language": language}).text
        assert PARTS.findall(text)[: len(parts)] == parts, page
        if page != "/compare":  # which says nothing of the file
            assert known.items() <= dict(ROW.findall(text)).items(), page


@pytest.mark.parametrize("page", ["card", "", "/compare", "/report"])
def test_a_negative_answer_rules_nothing_out_and_says_what_is_missed(client: FlaskClient, page: str) -> None:
    entry = read(client, "quiet.dcm", QUIET, "en", task="tuberculosis", operating_point="confirm")
    assert entry["decision"] == "negative"
    text = unescape(entry["drawn"] if page == "card" else client.get(f"/readings/{entry['id']}{page}").text)
    assert "tuberculosis is not ruled out: with symptoms or contact, test as you would without this answer" in text
    bundle = load_bundle("tuberculosis")
    known = outlook(bundle.evidence, bundle.operating_points["confirm"].threshold)
    missed = known.missed(bundle.task)
    assert f"M{missed[1:]}." in text
    assert missed == entry["display"]["outlook"]
    assert "no signs of" not in text
    first_home = known.at_home_extremes[0] if page in ("/compare", "/report") else known.at_home[0]
    home = first_home.named() if page in ("card", "") else f"{first_home.source}: s"
    after = text.partition("Other hospitals")[2]
    assert after.index(f"{known.elsewhere[0].source}: s") < after.index(home)


@pytest.mark.parametrize("page", ["card", "", "/report"])
@pytest.mark.parametrize("language", ["en", "hi"])
def test_images_go_by_words_and_no_fingerprint(client: FlaskClient, page: str, language: str) -> None:
    entry = read(client, "quiet.dcm", QUIET, language)
    headers = {"Accept-Language": language}
    text = entry["drawn"] if page == "card" else client.get(f"/readings/{entry['id']}{page}", headers=headers).text
    data = load_bundle("tuberculosis").operating_point().data
    assert data.rpartition(", ")[2] not in text
    if page != "/report":
        assert ("validation images" if language == "en" else "जाँच की छवियाँ") in text
    assert "val split" not in text


def test_people_see_one_scale(tmp_path: Path) -> None:
    client = create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path)}).test_client()  # its worklist has this one alone
    entry = read(client, "film.png", FILM, "en", task="tuberculosis")
    answer = entry["drawn"].partition("<details")[0]
    positive = marks(entry["display"]["threshold"])[1]
    assert f'aria-label="Score {entry["score"]} of 100; screening: positive from {positive}"' in answer
    assert "robability" not in answer
    assert "likely" not in entry["drawn"]
    assert f"Calibrated probability {entry['probability']:.4f}" in entry["drawn"]
    worklist = client.get("/worklist").text
    assert f"(score {entry['score']})" in worklist
    assert "Score, 0–100" in worklist


def test_no_page_shows_a_negative_in_green_or_ticked(client: FlaskClient) -> None:
    sheet = (Path(web.__file__).parent / "static" / "base.css").read_text(encoding="utf-8")
    for colour in re.findall(r"--negative: light-dark\((#\w{6}), (#\w{6})\)", sheet)[0]:
        green, blue = (int(colour[at : at + 2], 16) for at in (3, 5))
        assert blue > green, colour
    symbol = re.findall(r'<symbol id="i-negative".*?</symbol>', client.get("/").text)[0]
    assert '<path d="M4.8 8h6.4"' in symbol, "a dash, no tick"


def test_what_is_kept_is_drawn_again_as_it_was(client: FlaskClient) -> None:
    first = read(client, "film.png", FILM, "en", task="tuberculosis")
    (again,) = client.get(f"/read?ids={first['id']},999999,-1,x").json["readings"]  # type: ignore[index]
    for key in set(first) - {"heatmap", "display", "from_store", "drawn"}:
        assert again[key] == first[key], key
    assert again["drawn"] == first["drawn"]
    assert again["display"].keys() == first["display"].keys()
    assert {key for key, value in first["display"].items() if value != again["display"][key]} <= {"elapsed_ms"}
    for address in (again["display"]["image"], again["heatmap"]):
        assert client.get(address).mimetype == "image/png"


def test_an_image_is_read_for_another_task(client: FlaskClient) -> None:
    entry = read(client, "film.png", FILM, "en", task="tuberculosis")
    answer = client.post("/read/again", data={"id": entry["id"], "task": "fracture"})
    (other,) = answer.json["readings"]  # type: ignore[index]
    assert (other["task"], other["path"]) == ("fracture", entry["path"])
    page = client.post(f"/readings/{entry['id']}/as", data={"task": "brain-tumour"})
    assert page.status_code == 303
    assert "Brain tumour" in client.get(page.headers["Location"]).text
    wrong = client.post(f"/readings/{entry['id']}/as", data={"task": "tb"})
    assert (wrong.status_code, "unknown task" in wrong.text) == (400, True)
    assert client.post("/read/again", data={"id": entry["id"], "task": "tb"}).status_code == 400
    assert client.post("/read/again", data={"id": 999999, "task": "fracture"}).status_code == 404


def test_a_point_that_confirms_nothing_says_so(client: FlaskClient) -> None:
    entry = read(client, "film.png", FILM, "en", task="tuberculosis", operating_point="confirm")
    listed = client.get("/api/v1/bundles").json["bundles"]  # type: ignore[index]
    best = next(one for one in listed if (one["task"], one["name"]) == ("tuberculosis", "best"))
    point = next(one for one in best["operating_points"] if one["name"] == "confirm")
    assert ("confirms nothing" in entry["drawn"]) == point["below_screening"]
    assert point["positive_from"] == marks(point["threshold"], None)[1]


def test_the_page_is_answered_as_programs_are(client: FlaskClient) -> None:
    body, kind = multipart(("film.png", FILM), ("text.png", b"text"), task="tuberculosis", pictures="links")
    page, api = (client.post(path, data=body, content_type=kind) for path in ("/read", "/api/v1/readings"))
    assert page.status_code == api.status_code
    for drawn, plain in zip(page.json["readings"], api.json["readings"], strict=True):  # type: ignore[index]
        assert drawn.pop("drawn").count('class="card-answer') == 1
        drawn["from_store"] = plain["from_store"]  # the second is answered from it
        assert drawn == plain


def test_a_mistake_is_told_as_to_programs(client: FlaskClient) -> None:
    body, kind = multipart(("film.png", FILM), task="tb")
    page, api = (client.post(path, data=body, content_type=kind) for path in ("/read", "/api/v1/readings"))
    assert (page.status_code, page.json) == (api.status_code, api.json)
    assert page.status_code >= 400


def read(client: FlaskClient, name: str, data: bytes, language: str, **asked: Any) -> dict[str, Any]:
    body, kind = multipart((name, data), **asked)
    found = client.post("/read", data=body, content_type=kind, headers={"Accept-Language": language})
    (entry,) = found.json["readings"]  # type: ignore[index]
    return dict(entry)
