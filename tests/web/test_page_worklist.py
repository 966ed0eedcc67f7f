"""The worklist page over ten thousand readings: its rows, its filters, its mistakes."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from secondread.web import create_app
from tests.service.test_worklist import fill

N = 10_000
ROW = re.compile(r'<tr class="(\w+)" data-id="(\d+)"')
NEXT = re.compile(r'href="(/worklist\?[^"]*after=[^"]*)"')


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, module_database: str) -> Iterator[Flask]:
    """An application with ten thousand readings, written without reading an image; on both databases."""
    folder = str(tmp_path_factory.mktemp("many"))
    app = create_app({"DATA_FOLDER": folder, "DATABASE": module_database, "GATE": "off"})
    fill(app.extensions["secondread.service"], N)
    yield app
    app.extensions["secondread.service"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "order=highest",
        "order=oldest",
        "task=tuberculosis&decision=positive",
        "decision=refused",
        "review_state=open&source=ward+2",
        "text=FILM_99",
        "since=2020-01-01&until=2100-01-01",
    ],
)
def test_a_page_of_ten_thousand_shows_fifty_at_most(client: FlaskClient, query: str) -> None:
    """How long that takes, `python -m benchmarks.worklist_time` measures."""
    answer = client.get(f"/worklist?{query}")
    assert answer.status_code == 200
    assert 0 < len(ROW.findall(answer.text)) <= 50


def test_rows_that_need_a_person_come_first(client: FlaskClient) -> None:
    kinds = [kind for kind, _ in ROW.findall(client.get("/worklist").text)]
    assert kinds == ["positive"] * 50


def test_following_more_shows_every_row_once(client: FlaskClient) -> None:
    address, seen = "/worklist?text=film_12&part=rows", []
    while address:
        text = client.get(address).text
        seen += [number for _, number in ROW.findall(text)]
        found = NEXT.search(text)
        address = found[1].replace("&amp;", "&") + "&part=rows" if found else ""
    assert len(seen) == len(set(seen)) == 111


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("since=yesterday", "is no date"),
        ("order=random", "there is no order"),
        ("decision=maybe", "unknown decision"),
        ("batch=first", "is no number of an upload"),
        ("after=zzz", "start again from the first page"),
    ],
)
def test_a_mistake_is_told_on_the_page(client: FlaskClient, query: str, sentence: str) -> None:
    answer = client.get(f"/worklist?{query}")
    assert answer.status_code == 400
    assert answer.mimetype == "text/html"
    assert sentence in answer.text


def test_exports_take_the_filter_of_the_page(client: FlaskClient) -> None:
    page = client.get("/worklist?decision=refused&since=2020-01-01").text
    found = re.search(r'href="(/api/v1/readings\.json\?[^"]*)"', page)
    assert found is not None
    rows = client.get(found[1].replace("&amp;", "&")).json["readings"]  # type: ignore[index]
    assert len(rows) == N // 50
    assert all(row["refusal"] for row in rows)
