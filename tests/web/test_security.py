"""Who is answered, and what a browser is told."""

import re

import pytest
from flask.testing import FlaskClient

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
        ("192.168.1.20:8000", 200),
        ("[::1]", 200),
        ("reading-room.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
    ],
)
def test_only_own_names_are_answered(host: str, status: int) -> None:
    client = create_app({"HOSTS": "reading-room.example, other.example"}).test_client()
    assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "style=" not in page
    assert not re.search(r"<[^>]* on[a-z]+=", page)
    assert "<script>" not in page
    assert "http://" not in page
    assert "https://" not in page
