"""An answer is drawn in one way: on the card where it was read, on the reading's own page, beside another, in print."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.phantoms import chest_phantom, dicom_bytes, encode
from tests.web.conftest import multipart

FILM = encode(chest_phantom((120, 100), random_state=5, lesion=True), "PNG")
FILES = {
    "film.png": (FILM, {"task": "tuberculosis"}),
    "triage.png": (FILM, {"task": "tuberculosis", "bundle": "paper", "operating_point": "triage"}),
    "film.dcm": (dicom_bytes(chest_phantom(160, random_state=6), Modality="DX", BodyPartExamined="CHEST"), {}),
    "tiny.png": (encode(chest_phantom(8, random_state=5), "PNG"), {"task": "tuberculosis"}),
    "unknown.png": (FILM, {}),
}
PARTS = re.compile(
    r'<div class="decision">.*?</div>|<svg class="bar-chart".*?</svg>|'
    r'<p class="reason">.*?</p>|<ul class="warnings".*?</ul>',
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


def test_the_page_is_answered_as_programs_are(client: FlaskClient) -> None:
    body, kind = multipart(("film.png", FILM), ("text.png", b"text"), task="tuberculosis")
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
