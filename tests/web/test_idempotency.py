"""One Idempotency-Key, one request: sent again it has the first answer, and another request with it is refused."""

import io
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.web.conftest import multipart, post

FILMS = [encode(chest_phantom(64, random_state=number), "PNG") for number in range(2)]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory, module_database: str) -> Iterator[list[FlaskClient]]:
    """Two servers on the same data, on both databases."""
    settings = {"GATE": "off", "DATA_FOLDER": str(tmp_path_factory.mktemp("twice")), "DATABASE": module_database}
    apps = [create_app(settings) for _ in range(2)]
    yield [app.test_client() for app in apps]
    for app in apps:
        app.extensions["secondread.service"].close()


def send(
    client: FlaskClient, where: str, key: str, film: bytes = FILMS[0], name: str = "a.png", **form: str
) -> TestResponse:
    """A new boundary each time, as clients make one."""
    body, content_type = multipart((name, film), **({"task": "tuberculosis"} | form))
    return client.post(where, data=body, content_type=content_type, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("where", ["/api/v1/readings", "/api/v1/batches"])
def test_the_same_images_have_the_first_answer_on_any_server_and_others_are_refused(
    rooms: list[FlaskClient], where: str
) -> None:
    first = send(rooms[0], where, "one")
    assert first.status_code in (200, 201)
    again = send(rooms[1], where, "one")
    assert again.status_code == first.status_code
    assert _told(again) == _told(first)
    others = {
        "another image": {"film": FILMS[1]},
        "another name": {"name": "b.png"},
        "another task": {"task": "fracture"},
        "another point": {"operating_point": "screening"},
        "another source": {"source": "elsewhere"},
        "a frame": {"frame": "1"},
    }
    for what, changed in others.items():
        for client in rooms:
            answer = send(client, where, "one", **changed)
            assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused"), what
    query = send(rooms[0], f"{where}?x=1", "one")
    assert (query.status_code, query.json["code"]) == (422, "idempotency_key_reused")
    assert send(rooms[1], where, "two", film=FILMS[1]).status_code == first.status_code


def _told(answer: TestResponse) -> object:
    """What is answered, but for the pictures of readings at once, of which a repetition has the addresses."""
    body = answer.json
    for one in body.get("readings", ()):
        one["heatmap"] = one["display"]["image"] = None
    return body


def test_a_repeated_answer_holds_no_picture(rooms: list[FlaskClient]) -> None:
    assert send(rooms[0], "/api/v1/readings", "pictures").json["readings"][0]["display"]["image"]
    (again,) = send(rooms[0], "/api/v1/readings", "pictures").json["readings"]
    for address in (again["display"]["image"], again["heatmap"]):
        assert rooms[0].get(address).mimetype == "image/png"


def test_nothing_is_taken_in_for_a_key_that_was_used(rooms: list[FlaskClient]) -> None:
    """What another request brings with it is refused before it is unpacked or stored."""
    service = rooms[0].application.extensions["secondread.service"]
    assert send(rooms[0], "/api/v1/batches", "stored").status_code == 201
    before = service.trail.count()
    new = encode(chest_phantom(64, random_state=77), "PNG")
    assert send(rooms[1], "/api/v1/batches", "stored", film=new).status_code == 422
    assert send(rooms[1], "/api/v1/readings", "pictures", film=new).status_code == 422
    assert service.trail.count() == before


def test_the_same_opinion_is_given_once_and_another_needs_another_key(rooms: list[FlaskClient]) -> None:
    (reading,) = post(rooms[0], ("a.png", FILMS[0]), task="tuberculosis").json["readings"]
    where, key = f"/api/v1/readings/{reading['id']}/reviews", {"Idempotency-Key": "opinion"}
    made = rooms[0].post(where, json={"verdict": "unsure"}, headers=key)
    again = rooms[1].post(where, json={"verdict": "unsure"}, headers=key)
    assert (made.status_code, again.status_code, again.json) == (201, 201, made.json)
    other = rooms[1].post(where, json={"verdict": "unsure", "note": "x"}, headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert len(rooms[0].get(where).json["reviews"]) == 1


def test_files_of_one_form_count_by_their_place(rooms: list[FlaskClient]) -> None:
    def order(first: int, second: int) -> int:
        files = [FileStorage(io.BytesIO(FILMS[at]), f"{at}.png") for at in (first, second)]
        form = {"image": files, "task": "tuberculosis"}
        return rooms[0].post("/api/v1/batches", data=form, headers={"Idempotency-Key": "order"}).status_code

    assert [order(0, 1), order(0, 1), order(1, 0)] == [201, 201, 422]
