"""The page that teaches: its pictures are really read, by the shipped bundles and their gate, and nothing is kept."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, expect

from secondread.service.lessons import LESSONS
from secondread.web import create_app
from tests.web.chromium import opened
from tests.web.conftest import Server
from tests.web.rooms import ready

# What each picture is there to show; None: any answer, since what it teaches holds for all of them.
SHOWN = ["positive", "negative", "uncertain", None, None]
SHOWN += ["wrong_part", "wrong_kind", "inverted", "blank", "too_small"]


@pytest.fixture(scope="module")
def pupil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client of a site of its own, with the gate."""
    app = create_app({"DATA_FOLDER": str(tmp_path_factory.mktemp("school"))})
    yield app.test_client()
    app.extensions["secondread.service"].close()


def test_ten_pictures_show_every_kind_of_answer(pupil: FlaskClient) -> None:
    assert len(LESSONS) == len(SHOWN) == 10
    for number, wanted in enumerate(SHOWN, start=1):
        page = pupil.get(f"/learn/{number}?choice=0").text
        code = re.findall(r'class="next-step" data-code="(?:[\w-]+\.)?(\w+)"', page)
        assert wanted is None or code == [wanted], number
        assert pupil.get(f"/learn/{number}.png").mimetype == "image/png"


def test_nothing_of_it_is_kept(pupil: FlaskClient) -> None:
    pupil.get("/learn/1?choice=1")
    assert pupil.get("/api/v1/readings").json["readings"] == []
    folder = Path(pupil.application.config["DATA_FOLDER"])
    assert not [path for path in folder.rglob("*") if path.is_file() and path.parent.parent.name == "images"]
    assert ">reading." not in pupil.get("/trail").text


def test_what_is_right_is_told_after_the_choice_and_not_before(pupil: FlaskClient) -> None:
    before, wrong, right = (pupil.get(f"/learn/1{query}").text for query in ("", "?choice=0", "?choice=1"))
    assert "What to do now" not in before
    assert LESSONS[0].why not in before
    assert LESSONS[0].why in wrong
    assert "That is right" in right
    assert "That is right" not in wrong
    assert pupil.get("/learn/1?choice=7").text.count("✓") == 0


def test_a_picture_that_is_not_there_is_told(pupil: FlaskClient) -> None:
    for path in ("/learn/0", "/learn/11", "/learn/11.png"):
        assert pupil.get(path, headers={"Accept": "text/html"}).status_code == 404


@pytest.mark.browser
def test_a_pupil_goes_through_it_by_keyboard_on_a_phone_and_sees_how_far_they_are(
    browser: Browser, server: Server
) -> None:
    with opened(browser, server.address) as page:
        page.set_viewport_size({"width": 360, "height": 700})
        page.goto("/learn/9")
        ready(page)
        page.get_by_role("radio").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="That is right")).to_be_visible()
        ready(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("link", name="All pictures").click()
        expect(page.locator("#progress")).to_have_text("1 of 10 done")
        expect(page.locator("[data-number='9'] .learnt")).to_be_visible()
