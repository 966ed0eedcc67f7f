"""Sessions of browsers: what their cookies are worth, and one that ends while a page is open.

It leads to the login and back, with what was typed; other tabs keep up.
"""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, expect

from secondread.service import LOCAL, Service
from secondread.web import create_app
from secondread.web.cookies import browser_of
from tests.web.chromium import opened
from tests.web.conftest import Server, served
from tests.web.rooms import fill, ready

PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where one logs in, as anna."""
    folder = str(tmp_path_factory.mktemp("locked"))
    service = Service.open({"DATA_FOLDER": folder})
    service.accounts.add("anna", role="administrator", password=PASSWORD, actor=LOCAL)
    service.close()
    with served(DATA_FOLDER=folder, PATIENT_LINE="typed") as found:
        yield found


@pytest.fixture
def inside(browser: Browser, locked: Server) -> Iterator[Page]:
    """A page of who is logged in, with five readings."""
    with opened(browser, locked.address) as page:
        page.goto("/worklist")
        _log_in(page)
        fill(page)
        yield page


def _log_in(page: Page) -> None:
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def _end_session(page: Page) -> None:
    page.context.clear_cookies(name="secondread")


def _open(page: Page, place: int = 0) -> None:
    page.goto("/worklist?order=oldest")
    page.locator("#rows .name a").nth(place).click()
    ready(page)


@pytest.mark.browser
def test_a_page_that_is_loaded_leads_to_the_login_and_back(inside: Page) -> None:
    _end_session(inside)
    inside.goto("/worklist?decision=positive&order=oldest")
    expect(inside).to_have_url(re.compile("/login"))
    _log_in(inside)
    expect(inside).to_have_url(re.compile(r"/worklist\?decision=positive&order=oldest$"))


@pytest.mark.browser
def test_an_opinion_that_was_typed_is_there_after_the_login(inside: Page) -> None:
    _open(inside)
    address = inside.url
    inside.locator("#review [data-key=n]").check()
    inside.locator("#note").fill("two lines\nof a note")
    _end_session(inside)
    inside.locator("#review").get_by_role("button", name="Save", exact=True).click()
    expect(inside.get_by_role("status")).to_contain_text("what you typed there is kept")
    assert "bearer" not in inside.content().lower()
    _log_in(inside)
    expect(inside).to_have_url(address)
    expect(inside.locator("#note")).to_have_value("two lines\nof a note")
    expect(inside.locator("#review [data-key=n]")).to_be_checked()
    expect(inside.locator("#toast")).to_contain_text("not saved yet")
    inside.locator("#review").get_by_role("button", name="Save", exact=True).click()
    expect(inside.locator(".history .note")).to_have_text("two lines\nof a note")
    inside.reload()
    ready(inside)
    expect(inside.locator("#note")).to_have_value("")


@pytest.mark.browser
def test_what_a_script_asks_for_leads_to_the_login_too(inside: Page) -> None:
    inside.goto("/worklist?order=oldest")
    ready(inside)
    inside.keyboard.press("j")
    _end_session(inside)
    inside.keyboard.press("d")
    expect(inside).to_have_url(re.compile("/login"))
    _log_in(inside)
    expect(inside).to_have_url(re.compile(r"/worklist\?order=oldest$"))
    expect(inside.locator("#rows tr[data-id]")).to_have_count(5)


@pytest.mark.browser
def test_the_patient_line_that_was_typed_comes_back_to_the_report(inside: Page) -> None:
    _open(inside)
    inside.get_by_role("link", name="Report").click()
    inside.get_by_label("Patient").fill("Doe, Jane")
    _end_session(inside)
    inside.get_by_role("button", name="Put on the report").click()
    _log_in(inside)
    expect(inside).to_have_url(re.compile("/report$"))
    expect(inside.get_by_label("Patient")).to_have_value("Doe, Jane")
    expect(inside.get_by_role("status")).to_contain_text("not saved yet")
    inside.get_by_role("button", name="Put on the report").click()
    expect(inside.locator(".patient")).to_contain_text("Doe, Jane")


@pytest.mark.browser
def test_escape_leaves_the_note_and_control_enter_saves_it(inside: Page) -> None:
    _open(inside, 1)
    inside.keyboard.press("m")
    expect(inside.locator("#note")).to_be_focused()
    inside.keyboard.type("a note")
    inside.keyboard.press("Escape")
    expect(inside.locator("#note")).not_to_be_focused()
    expect(inside.locator("#note")).to_have_value("a note")
    inside.keyboard.press("n")
    expect(inside.locator("#review [data-key=n]")).to_be_checked()
    inside.keyboard.press("m")
    inside.keyboard.press("Control+Enter")
    expect(inside.locator(".history .note")).to_have_text("a note")


@pytest.mark.browser
def test_the_worklist_of_another_tab_keeps_up_and_the_reader_keeps_the_place(inside: Page) -> None:
    inside.goto("/worklist?order=oldest")
    ready(inside)
    for _ in range(3):
        inside.keyboard.press("j")
    third = inside.locator("#rows tr[data-id]").nth(2)
    inside.keyboard.press("x")
    name = third.get_attribute("data-name") or ""
    expect(third.locator(".name a")).to_be_focused()
    asked: list[str] = []
    inside.on("request", lambda request: asked.append(request.url))

    other = inside.context.new_page()
    other.goto("/worklist?order=oldest")
    other.locator("#rows .name a").nth(3).click()
    ready(other)
    other.locator("#review [data-key=n]").check()
    other.locator("#review").get_by_role("button", name="Save", exact=True).click()
    expect(other.locator(".history li")).to_have_count(1)
    inside.bring_to_front()
    expect(inside.locator("#rows tr[data-id]").nth(3)).to_contain_text("to be settled")
    expect(inside.locator(f'#rows tr[data-name="{name}"] .name a')).to_be_focused()
    expect(inside.locator(f'#rows tr[data-name="{name}"] .pick input')).to_be_checked()
    inside.wait_for_timeout(1500)
    assert len([url for url in asked if "/worklist" in url]) <= 3, "the list is not asked for again and again"

    other.bring_to_front()
    other.goto("/worklist?order=oldest")
    ready(other)
    other.keyboard.press("j")
    other.keyboard.press("d")
    expect(other.locator("#toast")).to_contain_text("removed")
    inside.bring_to_front()
    expect(inside.locator("#rows tr[data-id]")).to_have_count(4)
    expect(inside.locator(f'#rows tr[data-name="{name}"] .name a')).to_be_focused()
    other.keyboard.press("u")
    expect(inside.locator("#rows tr[data-id]")).to_have_count(5)


@pytest.fixture
def stranger(tmp_path) -> Iterator[FlaskClient]:
    """A browser without a session, where one logs in."""
    app = create_app({"DATA_FOLDER": str(tmp_path), "LOGIN": "on"})
    yield app.test_client()
    app.extensions["secondread.service"].close()


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("/readings/7/review", "/readings/7"),
        ("/readings/7/patient-line", "/readings/7"),
        ("/thresholds/revert", "/thresholds"),
        ("/accounts/anna", "/accounts"),
    ],
)
def test_a_form_leads_to_the_login_and_back_to_its_page(stranger: FlaskClient, form: str, page: str) -> None:
    answer = stranger.post(form, headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/login?next={page}%23again")
    assert "Bearer" not in answer.text


@pytest.mark.parametrize("method", ["get", "post"])
def test_programs_and_scripts_are_told_as_before(stranger: FlaskClient, method: str) -> None:
    for headers in (BROWSER, {"Accept": "*/*"}):
        answer = getattr(stranger, method)("/api/v1/readings", headers=headers)
        assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert stranger.get("/worklist", headers={"Accept": "*/*"}).status_code == 401


@pytest.fixture
def app(tmp_path) -> Iterator[Flask]:
    """An application with an administrator, anna, and a reviewer, berta."""
    app = create_app({"DATA_FOLDER": str(tmp_path), "GATE": "off"})
    for name, role in (("anna", "administrator"), ("berta", "reviewer")):
        app.extensions["secondread.service"].accounts.add(name, role=role, password=PASSWORD, actor=LOCAL)
    yield app
    app.extensions["secondread.service"].close()


def _client(app: Flask, name: str, **environ: str) -> FlaskClient:
    """One that is logged in by its password."""
    client = app.test_client()
    client.environ_base |= environ
    answer = client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    client.environ_base["HTTP_X_CSRF_TOKEN"] = answer.json["csrf_token"]  # type: ignore[index]
    return client


def _cookie(client: FlaskClient, name: str = "secondread") -> str:
    found = client.get_cookie(name)
    return "" if found is None else found.value


def test_a_copied_cookie_is_worth_nothing_after_the_logout(app: Flask) -> None:
    anna, thief = _client(app, "anna"), app.test_client()
    thief.set_cookie("secondread", _cookie(anna))
    assert thief.get("/api/v1/session").json["name"] == "anna"  # type: ignore[index]
    assert anna.delete("/api/v1/session").status_code == 200
    assert _cookie(anna) == ""
    assert thief.get("/api/v1/readings").status_code == 401
    assert _cookie(thief) == "", "and the browser is told to forget it"


def test_the_cookie_says_nothing_and_is_new_with_each_login(app: Flask) -> None:
    planted = app.test_client()
    planted.set_cookie("secondread", "A" * 43)
    planted.post("/api/v1/session", json={"name": "anna", "password": PASSWORD})
    seen = {"A" * 43, _cookie(planted), _cookie(_client(app, "anna")), _cookie(_client(app, "anna"))}
    assert len(seen) == 4
    assert {len(one) for one in seen} == {43}


def test_the_signed_cookie_of_before_is_no_login(app: Flask) -> None:
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer is not None
    client = app.test_client()
    for name in ("secondread", "secondread_sign_in"):
        client.set_cookie(name, signer.dumps({"user": 1, "version": 1, "since": 2_000_000_000, "csrf": "known"}))
    assert client.get("/api/v1/readings", headers={"X-CSRF-Token": "known"}).status_code == 401


def test_the_token_against_forgery_is_of_one_session(app: Flask) -> None:
    anna, berta = _client(app, "anna"), _client(app, "berta")
    one, other = (client.environ_base["HTTP_X_CSRF_TOKEN"] for client in (anna, berta))
    assert one != other
    assert anna.delete("/api/v1/session/others", headers={"X-CSRF-Token": other}).status_code == 403
    again = _client(app, "anna")
    assert again.delete("/api/v1/session/others", headers={"X-CSRF-Token": one}).status_code == 403
    assert again.delete("/api/v1/session/others").status_code == 200
    assert anna.get("/api/v1/readings").status_code == 401


@pytest.mark.parametrize("how", ["setting", "proxy"])
def test_over_tls_cookies_have_the_prefix_of_this_host_alone(tmp_path, how: str) -> None:
    settings = {"SECURE_COOKIES": "on"} if how == "setting" else {"PROXIES": 1}
    app = create_app({"DATA_FOLDER": str(tmp_path)} | settings)
    app.extensions["secondread.service"].accounts.add("anna", role="administrator", password=PASSWORD, actor=LOCAL)
    client = app.test_client()
    client.environ_base |= {"HTTP_X_FORWARDED_PROTO": "https", "wsgi.url_scheme": "https"}
    answer = client.post("/api/v1/session", json={"name": "anna", "password": PASSWORD})
    cookies = answer.headers.getlist("Set-Cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == ["__Host-secondread", "__Host-secondread_device"]
    for cookie in cookies:
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
    secure = {"base_url": "https://localhost"}
    assert client.get("/api/v1/session", **secure).json["name"] == "anna"  # type: ignore[index, arg-type]
    plain = app.test_client()
    plain.set_cookie("secondread", client.get_cookie("__Host-secondread").value)  # type: ignore[union-attr]
    assert plain.get("/api/v1/session", **secure).json["name"] is None  # type: ignore[index, arg-type]
    app.extensions["secondread.service"].close()


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1"


def test_one_sees_where_one_is_logged_in_and_ends_it_there(app: Flask) -> None:
    here = _client(app, "berta", HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="10.0.0.1")
    phone = _client(app, "berta", HTTP_USER_AGENT=IPHONE, REMOTE_ADDR="10.0.0.2")
    script = _client(app, "berta", HTTP_USER_AGENT="a script", REMOTE_ADDR="10.0.0.3")
    rows = here.get("/api/v1/sessions").json["sessions"]  # type: ignore[index]
    assert {(row["browser"], row["address"], row["current"]) for row in rows} == {
        ("Firefox, Linux", "10.0.0.1", True),
        ("Safari, iPhone", "10.0.0.2", False),
        ("", "10.0.0.3", False),
    }
    page = here.get("/account").text
    assert page.count("this browser") == 1
    assert "another program" in page
    number = next(row["id"] for row in rows if row["address"] == "10.0.0.2")
    assert here.post(f"/account/sessions/{number}/end").status_code == 303
    assert phone.get("/api/v1/readings").status_code == 401
    assert here.post("/account/others").status_code == 303
    assert script.get("/api/v1/readings").status_code == 401
    assert here.get("/api/v1/readings").status_code == 200
    assert "Log out everywhere else" not in here.get("/account").text


def test_nobody_sees_or_ends_the_sessions_of_others_but_an_administrator(app: Flask) -> None:
    anna, berta = _client(app, "anna"), _client(app, "berta")
    assert berta.get("/api/v1/sessions?user=anna").status_code == 403
    (row,) = anna.get("/api/v1/sessions?user=berta").json["sessions"]  # type: ignore[index]
    (own,) = anna.get("/api/v1/sessions").json["sessions"]  # type: ignore[index]
    assert (row["user"], row["current"], own["current"]) == ("berta", False, True)
    assert berta.delete(f"/api/v1/sessions/{own['id']}").status_code == 404
    assert berta.delete("/api/v1/users/anna/sessions").status_code == 403
    assert anna.delete("/api/v1/users/berta/sessions").status_code == 200
    assert berta.get("/api/v1/readings").status_code == 401
    again = _client(app, "berta")
    (row,) = anna.get("/api/v1/sessions?user=berta").json["sessions"]  # type: ignore[index]
    assert anna.delete(f"/api/v1/sessions/{row['id']}").status_code == 204
    assert again.get("/api/v1/readings").status_code == 401


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("way", ["page", "api"])
def test_tokens_end_with_ones_own_password_if_that_is_asked(app: Flask, way: str, asked: bool) -> None:
    berta = _client(app, "berta")
    old = _cookie(berta)
    token = berta.post("/api/v1/tokens", json={"name": "script", "scopes": ["read"]}).json["token"]  # type: ignore[index]
    body = {"old": PASSWORD, "new": "another long password"}
    if way == "api":
        answer = berta.put("/api/v1/session/password", json=body | {"end_tokens": asked})
        assert answer.status_code == 200
    else:
        form = body | {"again": "another long password"} | ({"end_tokens": "1"} if asked else {})
        assert berta.post("/account/password", data=form).status_code == 303
    assert _cookie(berta) != old
    assert berta.get("/api/v1/readings").status_code == 200
    thief = app.test_client()
    thief.set_cookie("secondread", old)
    assert thief.get("/api/v1/readings").status_code == 401
    robot = app.test_client().get("/api/v1/readings", headers={"Authorization": f"Bearer {token}"})
    assert robot.status_code == (401 if asked else 200)


def test_my_opinion_first_is_kept_with_the_account(app: Flask) -> None:
    berta = _client(app, "berta")
    token = berta.post("/api/v1/tokens", json={"name": "script", "scopes": ["read", "review"]}).json["token"]  # type: ignore[index]
    assert "Show answers at once" not in berta.get("/worklist").text
    berta.post("/worklist/opinion-first", data={"on": "1"})
    assert "Show answers at once" in berta.get("/worklist").text
    assert "Show answers at once" in _client(app, "berta").get("/worklist").text, "after the next login too"
    assert "Show answers at once" not in _client(app, "anna").get("/worklist").text
    robot = app.test_client().get("/worklist", headers={"Authorization": f"Bearer {token}"})
    assert "Show answers at once" not in robot.text, "it is a person who chose to be kept from answers"
    berta.post("/worklist/opinion-first", data={"on": "0"})
    assert "Show answers at once" not in _client(app, "berta").get("/worklist").text


def test_a_browser_that_logged_in_before_gets_in_while_strangers_guess(app: Flask) -> None:
    anna = _client(app, "anna")
    anna.delete("/api/v1/session")
    stranger = app.test_client()
    wrong = {"name": "anna", "password": "not her password"}
    statuses = [
        stranger.post("/api/v1/session", json=wrong, environ_overrides={"REMOTE_ADDR": f"10.0.1.{at}"}).status_code
        for at in range(9)
    ]
    assert statuses == [401] * 6 + [429] * 3
    assert stranger.post("/api/v1/session", json=wrong | {"password": PASSWORD}).status_code == 429
    assert anna.post("/api/v1/session", json=wrong | {"password": PASSWORD}).status_code == 200


def test_another_process_knows_a_session_and_may_end_it(app: Flask, tmp_path) -> None:
    anna = _client(app, "anna")
    other = create_app({"DATA_FOLDER": str(tmp_path)})
    there = other.test_client()
    there.set_cookie("secondread", _cookie(anna))
    there.environ_base["HTTP_X_CSRF_TOKEN"] = anna.environ_base["HTTP_X_CSRF_TOKEN"]
    assert there.get("/api/v1/readings").status_code == 200
    assert there.delete("/api/v1/session").status_code == 200
    assert anna.get("/api/v1/readings").status_code == 401
    other.extensions["secondread.service"].close()


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        (FIREFOX, "Firefox, Linux"),
        (IPHONE, "Safari, iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge, Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari, macOS"),
        ("curl/8.0", ""),
        ("<script>" * 1000, ""),
    ],
)
def test_a_browser_is_told_in_words(agent: str, told: str) -> None:
    assert browser_of(agent) == told
