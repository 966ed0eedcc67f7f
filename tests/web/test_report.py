"""The report as PDF over HTTP: for people and programs, never kept by a browser, with a name that says nothing."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from reportlab.platypus import Spacer

from secondread import Client
from secondread.service import pdf_parts
from secondread.stats.scale import marks
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.web.chromium import opened
from tests.web.conftest import Server, post


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
    monkeypatch.setattr(
        "secondread.service.pdf_parts.paragraph", lambda text, *_, **__: told.append(text) or Spacer(1, 1)
    )
    client.get(f"/readings/{number}/report.pdf", headers={"Accept-Language": "hi"})
    assert any("8 × 8 पिक्सेल" in text for text in told)
    assert not any("8 × 8 pixels" in text for text in told)
    told.clear()
    client.get(f"/readings/{number}/report.pdf", headers={"Accept-Language": "en"})
    assert any(text.startswith("the image has 8 × 8 pixels") for text in told)


def test_a_reading_that_is_not_there_is_a_problem(client: FlaskClient) -> None:
    found = client.get("/api/v1/readings/999999/report.pdf")
    assert (found.status_code, found.mimetype) == (404, "application/problem+json")


@pytest.fixture
def site(tmp_path) -> Iterator[FlaskClient]:
    """Of a site in India that has patient lines typed."""
    app = create_app(
        {"DATA_FOLDER": str(tmp_path), "GATE": "off", "PATIENT_LINE": "typed", "TIME_ZONE": "Asia/Kolkata"}
    )
    yield app.test_client()
    app.extensions["secondread.service"].close()


def _film(
    client: FlaskClient, name: str = "film.png", seed: int = 5, size: tuple[int, int] = (120, 100), **more: Any
) -> int:
    film = encode(chest_phantom(size, random_state=seed, **more), "PNG")
    return int(post(client, (name, film), task="tuberculosis").json["readings"][0]["id"])  # type: ignore[index]


LINE = {"patient": "Doe, Jane", "accession": "A-17", "study_date": "2026-03-01"}


def test_what_is_typed_over_the_api_is_on_the_page_and_nowhere_else(site: FlaskClient) -> None:
    number = _film(site)
    address = f"/api/v1/readings/{number}/patient-line"
    assert site.get(address).json == {"patient": "", "accession": "", "study_date": "", "mode": "typed"}
    assert site.put(address, json=LINE).json == LINE | {"mode": "typed"}
    assert site.get(address).json == LINE | {"mode": "typed"}
    page = site.get(f"/readings/{number}/report").text
    assert all(f"<dd>{value}</dd>" in page for value in LINE.values())
    lists = ("/worklist", f"/readings/{number}", "/api/v1/readings", "/api/v1/readings.csv", "/api/v1/trail", "/trail")
    assert not [at for at in lists if "Doe" in site.get(at).text]
    assert site.put(address, json={}).json["patient"] == ""  # type: ignore[index]


def test_the_form_of_the_page_takes_it_down_and_tells_what_is_wrong(site: FlaskClient) -> None:
    number = _film(site)
    assert site.post(f"/readings/{number}/patient-line", data=LINE).status_code == 303
    wrong = site.post(f"/readings/{number}/patient-line", data=LINE | {"study_date": "1.3.2026"})
    assert wrong.status_code == 400
    assert "write it as 2026-03-01" in wrong.text
    assert site.get(f"/api/v1/readings/{number}/patient-line").json["study_date"] == "2026-03-01"  # type: ignore[index]


def test_off_nothing_is_taken_down_and_the_page_has_no_such_line(client: FlaskClient) -> None:
    number = _film(client, seed=6)
    answer = client.put(f"/api/v1/readings/{number}/patient-line", json=LINE)
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")  # type: ignore[index]
    page = client.get(f"/readings/{number}/report").text
    assert "Accession" not in page
    assert client.get(f"/api/v1/readings/{number}/patient-line").json["mode"] == "off"  # type: ignore[index]


def test_the_page_tells_local_time_beside_utc(site: FlaskClient) -> None:
    page = site.get(f"/readings/{_film(site)}/report").text
    assert re.search(r"\(UTC\+05:30\), 20\d\d-\d\d-\d\d \d\d:\d\d UTC", page)


def test_the_heat_map_of_a_negative_is_drawn_when_it_is_asked_for(site: FlaskClient) -> None:
    for seed in range(20):
        number = _film(site, seed=seed, size=(512, 448))
        if site.get(f"/api/v1/readings/{number}").json["decision"] == "negative":  # type: ignore[index]
            break
    else:
        pytest.fail("no phantom is negative")
    plain = site.get(f"/readings/{number}/report").text
    assert plain.count("<figure>") == 1
    assert "drawn only when it is asked for" in plain
    assert site.get(f"/readings/{number}/report?heatmap=true").text.count("<figure>") == 2
    pictures = [
        site.get(f"{place}/readings/{number}/report.pdf{query}").data.count(b"/Subtype /Image")
        for place in ("", "/api/v1")
        for query in ("", "?heatmap=true")
    ]
    assert pictures == [1, 2, 1, 2]


def test_page_and_pdf_tell_the_same_numbers(site: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    number = _film(site, lesion=True)
    row = site.get(f"/api/v1/readings/{number}").json
    page = unescape(site.get(f"/readings/{number}/report").text)
    told: list[str] = []
    made = pdf_parts.paragraph
    monkeypatch.setattr(pdf_parts, "paragraph", lambda text, *a, **more: told.append(text) or made(text, *a, **more))
    site.get(f"/readings/{number}/report.pdf")
    _, positive = marks(row["threshold"])  # type: ignore[index]
    line = f"Score {row['score']} of 100; {row['operating_point']}: positive from {positive}"  # type: ignore[index]
    assert line in page
    assert f"{line}." in told
    (missed,) = {text for text in told if " at this operating point" in text}  # laid out several times
    assert missed in page
    (calibrated,) = {text for text in told if text.startswith("Calibrated")}
    assert calibrated in page


@pytest.mark.browser
def test_the_printed_page_is_one_page_whatever_is_on_it(browser: Browser, server: Server, tmp_path) -> None:
    """On a wide screen and on a narrow one, in both languages."""
    film = encode(chest_phantom((300, 240), random_state=3, lesion=True), "PNG")
    room = Client(server.address)
    long = "_".join(["छाती_का", "a_name_that_has_no_end"] * 20)[:490] + ".png"
    numbers = [room.read((name, film), task="tuberculosis")[0]["id"] for name in ("film.png", long)]
    for text in range(6):
        room.review(numbers[1], "agree", note=f"{text} " + "a long note " * 300)
    for language, width in (("en", 1280), ("hi", 390)):
        with opened(browser, server.address, locale=language) as page:
            page.set_viewport_size({"width": width, "height": 800})
            for number in numbers:
                page.goto(f"/readings/{number}/report")
                page.wait_for_load_state("networkidle")
                printed = page.pdf(prefer_css_page_size=True)
                assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
                inside = "() => document.documentElement.scrollWidth <= innerWidth"
                assert page.evaluate(inside), (language, number)
