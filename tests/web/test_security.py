"""Who is answered, and what a browser is told."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from secondread.errors import UsageError
from secondread.web import create_app
from tests.web.conftest import post

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/api/v1/tasks", "/api/v1/openapi.json", "/nowhere", "/static/app.js"]
)
def test_every_answer_carries_the_headers(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        headers = answer.headers
    assert headers["Content-Security-Policy"] == STRICT
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_readings_are_never_cached(client: FlaskClient) -> None:
    assert post(client, ("a.png", b"text"), task="fracture").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "headers", "allowed"),
    [
        ("localhost:8000", {}, True),
        ("localhost:8000", {"Origin": "http://localhost:8000"}, True),
        ("127.0.0.1", {"Origin": "http://127.0.0.1"}, True),
        ("localhost", {"Origin": "https://localhost"}, True),  # a proxy that speaks TLS
        ("localhost", {"Origin": "http://localhost:80"}, True),
        ("localhost", {"Origin": "file://localhost"}, False),
        ("[::1]:8000", {"Origin": "http://[::1]:8000"}, True),
        ("localhost:8000", {"Origin": "http://localhost:9000"}, False),
        ("localhost:8000", {"Origin": "http://127.0.0.1:8000"}, False),
        ("localhost:8000", {"Origin": "https://evil.example"}, False),
        ("localhost:8000", {"Origin": "null"}, False),
        ("localhost:8000", {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, True),  # a form, without referrer
        ("localhost:8000", {"Origin": "null", "Sec-Fetch-Site": "none"}, False),
        ("localhost:8000", {"Origin": "http://[broken"}, False),
        ("localhost:8000", {"Sec-Fetch-Site": "same-origin"}, True),
        ("localhost:8000", {"Sec-Fetch-Site": "cross-site"}, False),
        ("localhost:8000", {"Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_pages_of_other_sites_cannot_have_images_read(
    client: FlaskClient, host: str, headers: dict[str, str], allowed: bool
) -> None:
    answer = client.post("/api/v1/readings", headers={"Host": host, **headers})
    assert answer.status_code == (400 if allowed else 403)  # 400: no image was sent


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8000", 200),
        ("192.168.1.20:8000", 421),  # without login this machine's own names alone
        ("[::1]", 200),
        ("reading-room.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
    ],
)
def test_only_own_names_are_answered(host: str, status: int) -> None:
    client = create_app({"HOSTS": "reading-room.example, other.example"}).test_client()
    assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_with_a_login_any_address_may_be_its_own() -> None:
    client = create_app({"LOGIN": "on"}).test_client()
    assert client.get("/healthz", headers={"Host": "192.168.1.20:8000"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421


_LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
_PICTURE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
_INSIDE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}


@pytest.mark.parametrize("path", ["/api/v1/readings", "/api/v1/readings/1/image", "/api/v1/trail", "/readings"])
@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"Sec-Fetch-Site": "cross-site", **_PICTURE}, True),
        ({"Sec-Fetch-Site": "same-site", **_PICTURE}, True),
        ({"Sec-Fetch-Site": "cross-site", **_INSIDE}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Sec-Fetch-Site": "cross-site", **_LINK}, False),
        ({"Sec-Fetch-Site": "same-origin", **_PICTURE}, False),
        ({"Sec-Fetch-Site": "none", **_LINK}, False),
        ({}, False),
    ],
)
def test_what_a_page_of_another_site_asks_for_is_refused_and_no_line_of_the_trail(
    client: FlaskClient, path: str, headers: dict[str, str], refused: bool
) -> None:
    trail = client.application.extensions["secondread.service"].trail
    before = trail.count()
    answer = client.get(path, headers=headers)
    assert (answer.status_code == 403) == refused
    if refused:
        assert trail.count() == before


def test_without_login_behind_a_proxy_it_does_not_start() -> None:
    with pytest.raises(UsageError, match="set login"):
        create_app({"LOGIN": "off", "PROXIES": 1})


@pytest.mark.parametrize("claimed", ["127.0.0.1", "::1", "127.0.0.1, 127.0.0.1", ""])
def test_what_comes_through_a_proxy_is_never_this_machine(tmp_path: Path, claimed: str) -> None:
    app = create_app({"PROXIES": 1, "DATA_FOLDER": str(tmp_path), "DATABASE": ""})
    client, headers = app.test_client(), {"X-Forwarded-For": claimed} if claimed else {}
    assert client.get("/api/v1/readings", headers=headers).status_code == 401
    assert client.get("/metrics", headers=headers).status_code == 401
    app.extensions["secondread.service"].close()


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "style=" not in page
    assert not re.search(r"<[^>]* on[a-z]+=", page)
    assert "<script>" not in page
    assert "http://" not in page
    assert "https://" not in page
