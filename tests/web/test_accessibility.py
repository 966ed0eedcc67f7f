"""Every page against all that axe-core knows, WCAG 2.2 AA and good practice, dark and light, wide and narrow."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from secondread.testing.phantoms import bone_phantom, chest_phantom, encode
from tests.web.chromium import opened
from tests.web.conftest import Server, multipart
from tests.web.rooms import settled

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "vendor" / "axe.min.js"  # axe-core 4.14.1, MPL-2.0, unchanged
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = "rules => axe.run(document, { runOnly: rules }).then((found) => found.violations)"
PAGES = [
    "/",
    "/worklist",
    "/worklist?text=nothing-like-this",
    "/worklist?since=never",
    "/uploads",
    "/readings/{}",
    "/readings/{}?blind=1",
    "/readings/{}/compare",
    "/readings/{}/report",
    "/statistics?bundle=tuberculosis/best",
    "/thresholds?bundle=tuberculosis/best&prevalence=2",
    "/models",
    "/learn",
    "/learn/1",
    "/learn/7?choice=0",
    "/erase",
    "/account",
    "/accounts",
    "/trail",
    "/dicom",
    "/login",
    "/readings/999999",
    "/nowhere",
    "/api/v1/docs",
]


@pytest.fixture(scope="module")
def reading(browser: Browser, server: Server) -> int:
    """The number of a reading that is kept, with others beside it."""
    with opened(browser, server.address) as page:
        for data, task in (
            (chest_phantom(200, random_state=8), "tuberculosis"),
            (bone_phantom(200, random_state=8), "fracture"),
        ):
            body, kind = multipart((f"{task}.png", encode(data, "PNG")), task=task, source="north")
            answer = page.request.post("/api/v1/readings", data=body, headers={"Content-Type": kind})
        return int(answer.json()["readings"][0]["id"])


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "hi")])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_and_a_phone_need_not_scroll_sideways(
    browser: Browser, server: Server, reading: int, path: str, scheme: str, language: str
) -> None:
    """Colours know nothing of languages, so two of the four ways to see a page show both of each."""
    with opened(browser, server.address, color_scheme=scheme, locale=language, bypass_csp=True) as page:
        answer = page.goto(path.format(reading))
        assert answer is not None
        assert answer.status < 500
        settled(page)
        spoken = "en" if path == "/api/v1/docs" else language  # that one is for programmers
        assert page.evaluate("document.documentElement.lang") == spoken
        page.add_script_tag(path=AXE)
        found = page.evaluate(RUN, RULES)
        said = [f"{one['id']}: {node['html'][:160]} {node['failureSummary']}" for one in found for node in one["nodes"]]
        assert not said, "\n".join(said)
        page.set_viewport_size({"width": 320, "height": 640})
        page.wait_for_function("document.documentElement.scrollWidth <= 320")  # pages lay themselves out anew
        pages = page.locator(".rooms nav a")
        ends = pages.evaluate_all("links => links.map((link) => link.getBoundingClientRect().right)")
        assert all(end <= 320 for end in ends), "every page can be seen without scrolling the way to it"


def test_axe_finds_nothing_where_images_were_just_read(browser: Browser, server: Server) -> None:
    with opened(browser, server.address, bypass_csp=True) as page:
        page.goto("/")
        settled(page)
        page.locator("#tasks input[value=tuberculosis]").check(force=True)
        files = {"film.png": encode(chest_phantom(200, random_state=9), "PNG"), "none.png": b"no image"}
        page.locator("#files").set_input_files(
            [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files.items()]
        )
        expect(page.locator(".card .next-step")).to_have_count(2)
        expect(page.locator("#choose")).to_be_enabled()
        page.wait_for_function("!document.getAnimations().some((one) => one instanceof CSSTransition)")  # half a colour
        page.add_script_tag(path=AXE)
        assert [(one["id"], one["nodes"][0]["html"]) for one in page.evaluate(RUN, RULES)] == []


def test_axe_would_find_something(browser: Browser, server: Server) -> None:
    with opened(browser, server.address, bypass_csp=True) as page:
        page.goto("/worklist")
        page.evaluate("document.getElementById('main').append(document.createElement('input'))")
        page.add_script_tag(path=AXE)
        assert [one["id"] for one in page.evaluate(RUN, RULES)] == ["label"]


def test_the_first_tab_skips_to_the_content(browser: Browser, server: Server) -> None:
    with opened(browser, server.address) as page:
        page.goto("/worklist")
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the content")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.keyboard.press("Tab")
        focused = "document.activeElement.matches('main *') && getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(focused) == "solid"
