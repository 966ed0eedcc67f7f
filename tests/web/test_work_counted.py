"""What one request does, counted and not timed: a reading by token with links, a list, and pictures looked at again."""

from collections.abc import Iterator
from functools import partial

import argon2
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from secondread.reading import Reader
from secondread.service import Actor, Service
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from tests.counted import Work, counted
from tests.web.conftest import multipart

N_ROWS = 50
_BEGIN_AND_END = ("BEGIN", "SAVEPOINT", "RELEASE", "PRAGMA")


def film(number: int) -> bytes:
    return encode(chest_phantom((90, 80), random_state=number), "PNG")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """An application whose networks are open, and a client with a token of an administrator's."""
    folder = tmp_path_factory.mktemp("counted")
    ready = {"tuberculosis": Reader.load("tuberculosis/paper", gate=False)}
    app = create_app({"GATE": "off", "DATA_FOLDER": str(folder), "READERS": ready, "RATE_LIMIT": ""})
    service: Service = app.extensions["secondread.service"]
    actor = Actor("anna", "test")
    service.accounts.add("anna", role="administrator", password="a good long one", actor=actor)
    token, _ = service.tokens.add("anna", name="counts", scopes=["read", "write"], actor=actor)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    for number in range(N_ROWS):
        assert read(client, number).status_code == 200
    yield client
    service.close()


def read(client: FlaskClient, number: int, **form: str) -> TestResponse:
    body, kind = multipart((f"{number}.png", film(number)), task="tuberculosis", pictures="links", **form)
    return client.post("/api/v1/readings", data=body, content_type=kind)


@pytest.fixture
def work(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """What is done from here on. No password is hashed: a token needs none."""

    def refused(*_: object) -> None:
        raise AssertionError("a password was hashed")

    monkeypatch.setattr(argon2.PasswordHasher, "hash", refused)
    monkeypatch.setattr(argon2.PasswordHasher, "verify", refused)
    service: Service = client.application.extensions["secondread.service"]
    with counted(monkeypatch, service.database) as found:
        yield found


def asked(work: Work) -> list[str]:
    """The statements but for those that begin and end a transaction."""
    return [one for one in work.statements if not one.startswith(_BEGIN_AND_END)]


def test_a_reading_decodes_once_draws_nothing_and_waits_for_the_disk_three_times(
    client: FlaskClient, work: Work
) -> None:
    (entry,) = read(client, N_ROWS).json["readings"]
    assert entry["heatmap"].startswith("/api/v1/readings/")
    assert (work.decodes, work.pngs, work.sessions) == (1, 0, 0)
    assert work.commits == 1  # image, reading and trail together
    assert work.syncs == 2  # the image's bytes, and its name in the folder
    # The token's account; whether the image is known; image, reading, the trail's end, and its new line.
    assert [one.split()[0] for one in asked(work)] == ["SELECT", "SELECT", "INSERT", "INSERT", "SELECT", "INSERT"]


def test_the_page_draws_no_picture_either(client: FlaskClient, work: Work) -> None:
    body, kind = multipart(("page.png", film(N_ROWS + 1)), task="tuberculosis")
    (entry,) = client.post("/read", data=body, content_type=kind).json["readings"]
    assert entry["heatmap"].startswith("/api/v1/readings/")
    assert (work.decodes, work.pngs, work.sessions, work.commits) == (1, 0, 0, 1)


def test_what_is_known_is_answered_without_reading_it(client: FlaskClient, work: Work) -> None:
    (entry,) = read(client, 0).json["readings"]
    assert entry["from_store"]
    assert (work.decodes, work.pngs, work.sessions) == (1, 0, 0)  # its header may be read otherwise by now
    assert work.commits == 1


def test_a_list_asks_the_same_for_many_rows_as_for_one(client: FlaskClient, work: Work) -> None:
    counts = []
    for limit in (1, N_ROWS):
        before = work.n_statements
        answer = client.get(f"/api/v1/readings?limit={limit}")
        assert len(answer.json["readings"]) == limit
        counts.append(work.n_statements - before)
    assert counts[0] == counts[1]
    assert (work.decodes, work.pngs) == (0, 0)


def test_the_worklist_asks_little_and_its_pictures_are_drawn_once(client: FlaskClient, work: Work) -> None:
    page = client.get("/worklist", headers={"Accept": "text/html"})
    assert page.get_data(as_text=True).count("/thumbnail") == N_ROWS
    # Account; where the trail is now, for what comes later; rows, the trail's end and its new line; five for what can
    # be chosen in the filters; how many there are.
    assert len(asked(work)) <= 13
    assert (work.decodes, work.pngs) == (0, 0)
    thumbnails = [f"/api/v1/readings/{number}/thumbnail" for number in range(1, N_ROWS + 1)]
    first = [client.get(address) for address in thumbnails]
    assert work.pngs == N_ROWS
    work.statements.clear()
    kept = [one.headers["ETag"] for one in first]
    again = [client.get(address, headers={"If-None-Match": tag}) for address, tag in zip(thumbnails, kept, strict=True)]
    assert work.pngs == work.decodes == N_ROWS
    assert {one.status_code for one in again} == {304}
    assert len(asked(work)) == 4 * N_ROWS  # the account, the row, the trail's end and its new line: every look is in it


@pytest.mark.parametrize("path", ["image?longest_side=64", "heatmap", "heatmap?colours=inferno"])
def test_a_picture_is_made_once(client: FlaskClient, work: Work, path: str) -> None:
    look = partial(client.get, f"/api/v1/readings/7/{path}")
    first = look()
    assert (first.status_code, work.pngs) == (200, 1)
    assert look().data == first.data
    assert work.pngs == 1
    assert work.sessions == 0
