"""Pictures of a reading: drawn once, in the trail each time, never beyond the memory there is."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from secondread.errors import Busy
from secondread.images import budget, decode
from secondread.reading import Reader
from secondread.service import Readers, report_facts
from secondread.service.readers import Turn
from secondread.service.trail import Actor
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.web.conftest import post

FILM = encode(chest_phantom((90, 80), random_state=3).astype(np.uint16) * 250, "PNG")
PATHS = ("image?longest_side=64", "depth?longest_side=64", "thumbnail?frame=1")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load("tuberculosis", gate=False)


@pytest.fixture
def client(tmp_path: Path, reader: Reader) -> Iterator[FlaskClient]:
    """An application with one reading."""
    app = create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path), "READERS": {"tuberculosis": reader}})
    client = app.test_client()
    assert post(client, ("film.png", FILM), task="tuberculosis").status_code == 200
    yield client
    app.extensions["secondread.service"].close()


def looks(client: FlaskClient) -> int:
    """Lines of the trail for an image that somebody looked at."""
    lines = client.application.extensions["secondread.service"].trail.lines()
    return sum(line["action"] == "image.seen" for line in lines)


@pytest.mark.parametrize("path", PATHS)
def test_each_look_is_in_the_trail_also_when_the_picture_is_kept(client: FlaskClient, path: str) -> None:
    first = client.get(f"/api/v1/readings/1/{path}")
    again = client.get(f"/api/v1/readings/1/{path}")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.data == again.data
    assert {key: value for key, value in first.headers if key.startswith("Depth-")} == {
        key: value for key, value in again.headers if key.startswith("Depth-")
    }
    assert looks(client) == 2


def test_a_picture_is_decoded_once(client: FlaskClient, draws: list[int]) -> None:
    for _ in range(5):
        assert client.get("/api/v1/readings/1/image?longest_side=64").status_code == 200
    assert draws == [0]


def test_a_report_draws_its_picture_once(client: FlaskClient, draws: list[int]) -> None:
    service = client.application.extensions["secondread.service"]
    found = [report_facts(service, 1, actor=Actor("anna", "test"), heat_map=True) for _ in range(2)]
    assert draws == [0]
    assert found[0].picture == found[1].picture
    assert found[0].overlay == found[1].overlay
    assert decode(found[0].picture or b"").pixels.shape == (90, 80)


@pytest.mark.parametrize("path", [*PATHS, "report.pdf"])
def test_without_memory_the_answer_is_to_come_again(
    client: FlaskClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = budget.Budget(200_000_000, patience=0.0)
    monkeypatch.setattr(budget, "_PROCESS", bound)
    with bound.reserve(200_000_000):
        answer = client.get(f"/api/v1/readings/1/{path}")
        sent = post(client, ("other.png", encode(chest_phantom((90, 80), random_state=4), "PNG")), task="tuberculosis")
    assert (answer.status_code, sent.status_code) == (503, 503)
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["code"] == "busy"
    assert client.get(f"/api/v1/readings/1/{path}").status_code == 200
    assert bound.used == 0


def test_no_turn_is_waited_for_without_end(client: FlaskClient) -> None:
    readers: Readers = client.application.extensions["secondread"]
    readers.turn = Turn(1, patience=0.0)
    other = encode(chest_phantom((90, 80), random_state=5), "PNG")
    with readers.turn:
        answer = post(client, ("other.png", other), task="tuberculosis")
    assert (answer.status_code, answer.json["code"]) == (503, "busy")
    assert "Retry-After" in answer.headers
    assert post(client, ("other.png", other), task="tuberculosis").status_code == 200


def test_a_turn_is_given_back_however_the_block_ends() -> None:
    turn = Turn(1, patience=0.0)

    def broken() -> None:
        with turn:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    with turn, pytest.raises(Busy), turn:
        pass


def test_the_bound_is_set_for_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_PROCESS", budget.Budget())
    app = create_app({"DATA_FOLDER": str(tmp_path), "DECODE_MEMORY_MB": 321})
    assert budget.budget().total == 321_000_000
    app.extensions["secondread.service"].close()
