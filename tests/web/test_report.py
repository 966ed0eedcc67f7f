"""The report as PDF over HTTP: for people and programs, never kept by a browser, with a name that says nothing."""

import pytest
from flask.testing import FlaskClient
from reportlab.platypus import Spacer

from tests.phantoms import chest_phantom, encode
from tests.web.conftest import post


@pytest.mark.parametrize("address", ["/readings/{}/report.pdf", "/api/v1/readings/{}/report.pdf"])
def test_a_reading_is_printed(client: FlaskClient, address: str) -> None:
    film = encode(chest_phantom(96, random_state=4), "PNG")
    answer = post(client, ("Miller Anna 1950.png", film), task="tuberculosis")
    number = answer.json["readings"][0]["id"]  # type: ignore[index]
    found = client.get(address.format(number))
    assert found.status_code == 200
    assert found.mimetype == "application/pdf"
    assert found.data.startswith(b"%PDF-")
    assert found.headers["Content-Disposition"] == f'inline; filename="reading-{number}.pdf"'
    assert "no-store" in found.headers["Cache-Control"]


def test_people_get_it_in_the_language_of_the_page(client: FlaskClient) -> None:
    film = encode(chest_phantom(96, random_state=5), "PNG")
    number = post(client, ("film.png", film), task="tuberculosis").json["readings"][0]["id"]  # type: ignore[index]
    hindi, english, programs = (
        client.get(f"{place}/readings/{number}/report.pdf", headers={"Accept-Language": language}).data
        for place, language in (("", "hi"), ("", "en"), ("/api/v1", "hi"))
    )
    assert [b"NotoSansDevanagari" in pdf for pdf in (hindi, english, programs)] == [True, False, False]


def test_a_refusal_is_told_in_hindi_by_its_code(client: FlaskClient, monkeypatch) -> None:
    tiny = encode(chest_phantom(8, random_state=5), "PNG")
    number = post(client, ("tiny.png", tiny), task="tuberculosis").json["readings"][0]["id"]  # type: ignore[index]
    told: list[str] = []
    monkeypatch.setattr("secondread.service.pdf.paragraph", lambda text, *_, **__: told.append(text) or Spacer(1, 1))
    client.get(f"/readings/{number}/report.pdf", headers={"Accept-Language": "hi"})
    assert any(text.startswith("छवि पढ़ने के लिए बहुत छोटी है।") and "8 × 8 pixels" in text for text in told)
    told.clear()
    client.get(f"/readings/{number}/report.pdf", headers={"Accept-Language": "en"})
    assert any(text.startswith("the image has 8 × 8 pixels") for text in told)


def test_a_reading_that_is_not_there_is_a_problem(client: FlaskClient) -> None:
    found = client.get("/api/v1/readings/999999/report.pdf")
    assert (found.status_code, found.mimetype) == (404, "application/problem+json")
