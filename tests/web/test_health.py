"""Readiness: 200 only where images can be kept."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.web.conftest import post


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    app = create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path / "data"), "DATABASE": ""})
    yield app.test_client()
    app.extensions["secondread.service"].close()


def test_it_is_ready_where_there_is_room(client: FlaskClient, tmp_path: Path) -> None:
    assert client.get("/readyz").status_code == 200
    assert not [path for path in (tmp_path / "data").iterdir() if path.name.startswith(".ready")]


def test_with_hardly_any_room_left_it_is_not_ready(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1_000_000))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["code"]) == (503, "disk_full")
    assert "disk is full" in answer.json["detail"]
    assert client.get("/healthz").status_code == 200


def test_where_nothing_can_be_written_it_is_not_ready(client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    answer = client.get("/readyz")
    assert answer.status_code == 503


def test_an_image_that_finds_no_room_is_answered_so_and_leaves_nothing(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.open", full)
    answer = post(client, ("a.png", encode(chest_phantom(64, random_state=0), "PNG")), task="tuberculosis")
    monkeypatch.undo()
    assert (answer.status_code, answer.json["code"]) == (503, "disk_full")
    assert not list((tmp_path / "data" / "images").glob("*/*"))
