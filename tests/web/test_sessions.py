"""A session that ends while a page is open leads to the login and back, with what was typed; other tabs keep up."""

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, expect

from secondread.service import LOCAL, Service
from secondread.web import create_app
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
