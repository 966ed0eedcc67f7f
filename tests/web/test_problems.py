"""Every error of a request has one shape (RFC 9457) and gives nothing away."""

import logging
from typing import Any

import pytest
from flask.testing import FlaskClient

from secondread.errors import (
    BundleDamaged,
    Conflict,
    DatabaseUnusable,
    LoginRefused,
    LoginThrottled,
    NotAllowed,
    NotThere,
    SecondReadError,
    TrailBroken,
    UnknownName,
    UploadRefused,
    UsageError,
)
from secondread.reading import Reading
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from secondread.web.problems import attempt, problem_of
from tests.web.conftest import post

FILE = ("a.png", b"not an image")
FILM = ("film.png", encode(chest_phantom(64, random_state=1), "PNG"))


@pytest.mark.parametrize(
    ("method", "path", "form", "status", "said"),
    [
        ("GET", "/nowhere", None, 404, "openapi.json"),
        ("GET", "/api/v1/nowhere", None, 404, "openapi.json"),
        ("PUT", "/api/v1/readings", None, 405, "method"),
        ("POST", "/api/v1/tasks", {}, 405, "method"),
        ("POST", "/api/v1/readings", {}, 400, "image: send one or many files"),
        ("POST", "/api/v1/readings", {"image": "text"}, 400, "image: send a file"),
        ("POST", "/api/v1/readings", {"task": "tb"}, 400, "did you mean 'tuberculosis'?"),
        ("POST", "/api/v1/readings", {"task": "fractur"}, 400, "did you mean 'fracture'?"),
        ("POST", "/api/v1/readings", {"task": "../secret"}, 400, "unknown task"),
        ("POST", "/api/v1/readings", {"task": "fracture", "bundle": "nope"}, 400, "unknown bundle"),
        ("POST", "/api/v1/readings", {"task": "fracture", "bundle": "../../etc"}, 400, "is not of task 'fracture'"),
        ("POST", "/api/v1/readings", {"bundle": "/tmp"}, 400, "unknown bundle"),
        ("POST", "/api/v1/readings", {"task": "fracture", "operating_point": "x"}, 400, "unknown operating point"),
    ],
)
def test_every_mistake_is_answered_in_one_shape(
    client: FlaskClient, method: str, path: str, form: dict[str, Any] | None, status: int, said: str
) -> None:
    with_file = form is not None and form != {} and "image" not in form
    answer = post(client, FILE, **form) if with_file else client.open(path, method=method, data=form)
    assert_problem(answer, status)
    assert said in answer.json["detail"]


def test_an_empty_file_field_is_no_image(client: FlaskClient) -> None:
    assert_problem(post(client, ("", b"")), 400)


def test_too_many_files_are_refused_as_a_whole() -> None:
    client = create_app({"MAX_FILES": 2}).test_client()
    assert_problem(post(client, FILE, FILE, FILE, task="tuberculosis"), 413)
    assert_problem(post(client, *[FILE] * 40, task="tuberculosis"), 413)


def test_too_large_a_request_is_refused_as_a_whole() -> None:
    client = create_app({"MAX_BODY_MB": 1}).test_client()
    answer = post(client, ("a.png", bytes(1_100_000)), task="tuberculosis")
    assert_problem(answer, 413)
    assert "1 MB" in answer.json["detail"]


def test_a_fault_of_ours_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    client = create_app({"READERS": {"auto": Broken(RuntimeError("secret path"))}}).test_client()
    with caplog.at_level(logging.ERROR):
        answer = post(client, FILM)
    assert_problem(answer, 500)
    assert "secret" not in answer.text
    assert "secret path" in caplog.text


def test_a_damaged_bundle_is_the_servers_trouble(caplog: pytest.LogCaptureFixture) -> None:
    client = create_app({"READERS": {"auto": Broken(BundleDamaged("/srv/models is damaged"))}}).test_client()
    with caplog.at_level(logging.ERROR):
        answer = post(client, FILM)
    assert_problem(answer, 503)
    assert "/srv" not in answer.text
    assert "/srv/models is damaged" in caplog.text


MISTAKES = [
    UsageError("x"),
    UnknownName("x"),
    NotThere("x"),
    NotAllowed("x"),
    Conflict("x"),
    TrailBroken("x"),
    LoginRefused("x"),
    LoginThrottled("x", retry_after=3),
    UploadRefused("x", code="too_many_files"),
    UploadRefused("x", code="archive_damaged"),
]


@pytest.mark.parametrize("error", MISTAKES, ids=lambda error: type(error).__name__)
def test_a_page_tells_a_mistake_with_the_status_of_the_api(client: FlaskClient, error: SecondReadError) -> None:
    def act() -> str:
        raise error

    with client.application.test_request_context():
        assert attempt(act, str) == ("x", problem_of(error).status_code)


@pytest.mark.parametrize("error", [SecondReadError("x"), BundleDamaged("x"), DatabaseUnusable("x")])
def test_what_is_ours_is_no_sentence_beside_a_form(client: FlaskClient, error: SecondReadError) -> None:
    def act() -> str:
        raise error

    with client.application.test_request_context(), pytest.raises(type(error)):
        attempt(act, str)


class Broken:
    """A reader that fails in a way no image explains."""

    def __init__(self, error: Exception):
        self.error = error

    def read(self, source: bytes, **options: Any) -> Reading:
        raise self.error


def assert_problem(answer: Any, status: int) -> None:
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert list(answer.json) == ["type", "title", "status", "detail", "code"]
    assert answer.json["status"] == status
    assert answer.headers["Cache-Control"] == "no-store"
