"""Logging in, sessions that end, tokens, forged requests, and this machine without login."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from secondread.errors import UnknownName
from secondread.service import LOCAL
from secondread.web import create_app

PASSWORD = "a long enough password"
ELSEWHERE = {"REMOTE_ADDR": "192.168.1.20"}


@pytest.fixture
def app(tmp_path) -> Iterator[Flask]:
    """An application with an administrator, anna."""
    app = create_app({"DATA_FOLDER": str(tmp_path), "GATE": "off"})
    accounts(app).add("anna", role="administrator", password=PASSWORD, actor=LOCAL)
    yield app
    app.extensions["secondread.service"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def accounts(app: Flask) -> Any:
    return app.extensions["secondread.service"].accounts


def log_in(client: FlaskClient, password: str = PASSWORD, name: str = "anna") -> Any:
    answer = client.post("/api/v1/session", json={"name": name, "password": password})
    if answer.status_code == 200:
        client.environ_base["HTTP_X_CSRF_TOKEN"] = answer.json["csrf_token"]
    return answer


@pytest.mark.parametrize(
    ("login", "peer", "with_account", "status"),
    [
        ("auto", "127.0.0.1", False, 200),
        ("auto", "::1", False, 200),
        ("auto", "::ffff:127.0.0.1", False, 200),
        ("auto", "127.0.0.1", True, 401),
        ("auto", "192.168.1.20", False, 401),
        ("on", "127.0.0.1", False, 401),
        ("off", "127.0.0.1", True, 200),
        ("off", "192.168.1.20", True, 401),
    ],
)
def test_only_this_machine_is_served_without_login(
    tmp_path, login: str, peer: str, with_account: bool, status: int
) -> None:
    app = create_app({"DATA_FOLDER": str(tmp_path), "LOGIN": login})
    if with_account:
        accounts(app).add("anna", role="administrator", password=PASSWORD, actor=LOCAL)
    answer = app.test_client().get("/api/v1/readings", environ_overrides={"REMOTE_ADDR": peer})
    assert answer.status_code == status
    app.extensions["secondread.service"].close()


def test_a_setting_that_is_none_stops_the_start() -> None:
    with pytest.raises(UnknownName, match="login"):
        create_app({"LOGIN": "maybe"})


def test_a_header_of_a_proxy_is_believed_only_where_there_is_one(tmp_path) -> None:
    headers, wrong = {"X-Forwarded-For": "203.0.113.7"}, {"name": "nobody", "password": "a wrong password"}
    for proxies, address in ((0, ELSEWHERE["REMOTE_ADDR"]), (1, "203.0.113.7")):
        app = create_app({"DATA_FOLDER": str(tmp_path / str(proxies)), "PROXIES": proxies, "DATABASE": ""})
        answer = app.test_client().post("/api/v1/session", json=wrong, headers=headers, environ_overrides=ELSEWHERE)
        assert answer.status_code == 401
        assert [line["address"] for line in app.extensions["secondread.service"].trail.lines()][-1] == address
        app.extensions["secondread.service"].close()


def test_a_login_lasts_until_it_is_ended(client: FlaskClient) -> None:
    assert client.get("/api/v1/readings").status_code == 401
    assert client.get("/api/v1/session").json["by"] == "nobody"
    answer = log_in(client)
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert answer.json["name"] == "anna"
    assert client.get("/api/v1/readings").status_code == 200
    assert client.delete("/api/v1/session").json["by"] == "nobody"
    assert client.get("/api/v1/readings").status_code == 401


def test_cookies_are_for_tls_alone_where_that_is_set(tmp_path) -> None:
    app = create_app({"DATA_FOLDER": str(tmp_path), "SECURE_COOKIES": "on"})
    accounts(app).add("anna", role="administrator", password=PASSWORD, actor=LOCAL)
    assert "Secure" in log_in(app.test_client()).headers["Set-Cookie"]


def test_a_session_survives_a_restart_of_the_server(app: Flask, client: FlaskClient, tmp_path) -> None:
    cookie = log_in(client).headers["Set-Cookie"].partition(";")[0]
    again = create_app({"DATA_FOLDER": str(tmp_path)}).test_client(use_cookies=False)
    assert again.get("/api/v1/readings", headers={"Cookie": cookie}).status_code == 200
    assert (tmp_path / "site.key").stat().st_mode & 0o777 == 0o600


def test_guessing_is_slowed_down(client: FlaskClient) -> None:
    statuses = [log_in(client, "wrong password").status_code for _ in range(8)]
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    throttled = log_in(client)
    assert throttled.status_code == 429
    assert int(throttled.headers["Retry-After"]) >= 1
    assert throttled.json["code"] == "login_throttled"


@pytest.mark.parametrize("change", ["disable", "end_sessions"])
def test_a_session_is_over_when_the_account_says_so(app: Flask, client: FlaskClient, change: str) -> None:
    accounts(app).add("berta", role="reader", password=PASSWORD, actor=LOCAL)
    log_in(client, name="berta")
    assert client.get("/api/v1/readings").status_code == 200
    getattr(accounts(app), change)("berta", actor=LOCAL)
    assert client.get("/api/v1/readings").status_code == 401


def test_a_change_with_a_cookie_needs_the_token_of_the_page(client: FlaskClient) -> None:
    log_in(client)
    token = client.environ_base.pop("HTTP_X_CSRF_TOKEN")
    body = {"name": "carl", "role": "reader", "password": PASSWORD}
    assert client.post("/api/v1/users", json=body).json["code"] == "csrf"
    assert client.post("/api/v1/users", json=body, headers={"X-CSRF-Token": "x"}).status_code == 403
    assert client.post("/api/v1/users", json=body, headers={"X-CSRF-Token": token}).status_code == 201
    form = client.post("/api/v1/readings", data={"csrf_token": token})
    assert form.status_code == 400  # let through: it only lacks an image


def test_a_forged_cookie_is_worth_nothing(client: FlaskClient) -> None:
    client.set_cookie("secondread", "eyJ1c2VyIjoxfQ.aaaaaa.bbbbbb")
    assert client.get("/api/v1/readings").status_code == 401


def test_a_page_leads_to_the_login_and_back(client: FlaskClient) -> None:
    answer = client.get("/?a=1")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?next=/%3Fa%3D1"
    assert client.get("/", headers={"Accept": "application/json"}).status_code == 401


def test_a_token_does_what_its_scopes_allow_and_is_revoked(app: Flask, client: FlaskClient) -> None:
    log_in(client)
    made = client.post("/api/v1/tokens", json={"name": "robot", "scopes": ["read"]}).json
    robot = app.test_client()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert robot.get("/api/v1/readings", headers=headers).status_code == 200
    assert robot.get("/api/v1/session", headers=headers).json["by"] == "token"
    assert robot.get("/api/v1/users", headers=headers).status_code == 403
    more = robot.post("/api/v1/tokens", headers=headers, json={"name": "x", "scopes": ["read", "admin"]})
    assert more.status_code == 403
    assert client.delete(f"/api/v1/tokens/{made['id']}").json["revoked"]
    answer = robot.get("/api/v1/readings", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "token" not in client.get("/api/v1/tokens").json["tokens"][0]


def test_ones_own_password_is_changed_and_other_sessions_end(app: Flask, client: FlaskClient) -> None:
    elsewhere = app.test_client()
    log_in(elsewhere)
    log_in(client)
    new = {"old": PASSWORD, "new": "another long password"}
    assert client.put("/api/v1/session/password", json=new | {"old": "not the password"}).status_code == 401
    assert client.put("/api/v1/session/password", json=new).status_code == 200
    assert client.get("/api/v1/readings").status_code == 200
    assert elsewhere.get("/api/v1/readings").status_code == 401
    assert log_in(app.test_client(), "another long password").status_code == 200


def test_accounts_are_made_changed_and_disabled(client: FlaskClient) -> None:
    log_in(client)
    body = {"name": "Berta", "role": "reviewer", "password": PASSWORD}
    assert client.post("/api/v1/users", json=body).json["name"] == "berta"
    assert client.post("/api/v1/users", json=body).status_code == 409
    assert client.patch("/api/v1/users/berta", json={"role": "reader"}).json["role"] == "reader"
    assert client.patch("/api/v1/users/berta", json={"disabled": True}).json["disabled"]
    assert client.patch("/api/v1/users/anna", json={"disabled": True}).status_code == 403  # one's own
    assert client.patch("/api/v1/users/anna", json={"role": "reader"}).status_code == 409  # the last administrator
    assert client.put("/api/v1/users/berta/password", json={"password": "short"}).status_code == 400
    assert [user["name"] for user in client.get("/api/v1/users").json["users"]] == ["anna", "berta"]


def test_the_first_account_is_an_administrators(tmp_path) -> None:
    client = create_app({"DATA_FOLDER": str(tmp_path)}).test_client()
    body = {"name": "anna", "role": "reader", "password": PASSWORD}
    assert client.post("/api/v1/users", json=body).status_code == 409
    assert client.post("/api/v1/users", json=body | {"role": "administrator"}).status_code == 201
    assert client.get("/api/v1/readings").status_code == 401  # from now on one logs in


def test_a_key_makes_a_repeated_request_the_same(client: FlaskClient) -> None:
    log_in(client)
    send = {"json": {"name": "robot", "scopes": ["read"]}, "headers": {"Idempotency-Key": "one"}}
    assert client.post("/api/v1/tokens", **send).status_code == 201
    again = client.post("/api/v1/tokens", **send)
    assert (again.status_code, again.json["code"]) == (409, "shown_once")
    assert [token["name"] for token in client.get("/api/v1/tokens").json["tokens"]] == ["robot"]
    other = client.post("/api/v1/tokens", json={"name": "x", "scopes": ["read"]}, headers={"Idempotency-Key": "one"})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")


def test_a_repeated_request_is_known_to_another_server_on_the_same_data(tmp_path) -> None:
    body = {"name": "anna", "role": "administrator", "password": PASSWORD}
    send = {"json": body, "headers": {"Idempotency-Key": "first"}}
    made = create_app({"DATA_FOLDER": str(tmp_path)}).test_client().post("/api/v1/users", **send)
    assert made.status_code == 201
    other = create_app({"DATA_FOLDER": str(tmp_path)}).test_client()
    log_in(other)
    again = other.post("/api/v1/users", **send)
    assert (again.status_code, again.json["code"]) == (
        409,
        "conflict",
    )  # it is another's key: anna's, not this machine's
    key = {"json": body | {"name": "berta"}, "headers": {"Idempotency-Key": "second"}}
    first = other.post("/api/v1/users", **key)
    third = create_app({"DATA_FOLDER": str(tmp_path)}).test_client()
    log_in(third)
    assert (first.status_code, third.post("/api/v1/users", **key).json) == (201, first.json)


def test_too_many_requests_are_refused_in_the_same_shape(tmp_path) -> None:
    app = create_app({"DATA_FOLDER": str(tmp_path), "RATE_LIMIT": "3 per minute"})
    client = app.test_client()
    statuses = [client.get("/api/v1/readings", environ_overrides=ELSEWHERE).status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    answer = client.get("/api/v1/readings", environ_overrides=ELSEWHERE)
    assert answer.json["code"] == "too_many_requests"
    assert int(answer.headers["Retry-After"]) >= 1
    assert client.get("/healthz", environ_overrides=ELSEWHERE).status_code == 200
    assert [client.get("/api/v1/readings").status_code for _ in range(5)] == [200] * 5  # this machine
