"""What people do in the reading room, from upload to report, in a real browser against the real server."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from secondread.service import LOCAL, Service
from secondread.testing.phantoms import chest_phantom, encode
from tests.web.chromium import opened
from tests.web.conftest import served
from tests.web.rooms import fill, open_first, ready

pytestmark = pytest.mark.browser

PASSWORD = "a long enough password"


def test_an_empty_worklist_says_what_to_do(page: Page) -> None:
    page.goto("/worklist")
    if page.locator("#list").count():
        pytest.skip("this server has readings already")
    expect(page.get_by_role("heading", name="No readings yet")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Upload images").last.click()
    expect(page).to_have_url(re.compile("/uploads$"))


def test_an_archive_is_read_in_the_background_and_fills_the_worklist(page: Page) -> None:
    fill(page)
    page.goto("/worklist")
    expect(page.locator("#rows tr[data-id]")).to_have_count(5)
    expect(page.locator("#rows .reason-text").first).to_contain_text("not reviewed yet")
    page.locator("#search").fill("Film-3")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#rows tr[data-id]")).to_have_count(1)
    page.locator("#search").fill("nothing like this")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing fits this filter")).to_be_visible()


def test_on_a_phone_the_filters_are_folded_and_the_answer_is_above_the_tools(page: Page) -> None:
    fill(page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/worklist")
    ready(page)
    expect(page.locator("#search")).to_be_hidden()
    expect(page.locator("#rows tr[data-id]").first).to_be_in_viewport()
    page.locator("#filter summary").click()
    page.get_by_label("Name", exact=True).fill("film-3")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#rows tr[data-id]")).to_have_count(1)
    expect(page.locator("#search")).to_be_visible()  # what narrows the list is in sight
    page.goto("/worklist")
    ready(page)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    for width, height in ((390, 844), (820, 1180)):
        page.set_viewport_size({"width": width, "height": height})
        open_first(page)
        expect(page.locator(".card-answer .decision")).to_be_in_viewport()
        expect(page.locator(".next-step")).to_be_in_viewport()
    page.set_viewport_size({"width": 1280, "height": 800})
    image, answer = (
        page.locator(one).first.evaluate("it => it.getBoundingClientRect().top") for one in (".stage", ".card-answer")
    )
    assert abs(image - answer) < 40, "beside one another where there is room"


def test_the_number_that_side_by_side_asks_for_is_on_the_page(page: Page) -> None:
    fill(page)
    open_first(page)
    first = page.locator(".views").get_attribute("data-reading")
    expect(page.locator(".heading")).to_contain_text(f"Reading {first}")
    page.locator("#after").click()
    ready(page)
    page.get_by_role("button", name="Two images").click()
    expect(page.locator(".hang select")).to_be_hidden()  # no other image of the patient: nothing to choose
    page.get_by_text("Number of another reading").click()
    page.keyboard.type(str(first))
    page.keyboard.press("Enter")
    expect(page.locator(".hung-image .view-title a")).to_have_attribute("href", f"/readings/{first}")
    page.get_by_role("button", name="One image").click()


def test_the_list_is_walked_opened_and_cleared_by_keyboard(page: Page) -> None:
    fill(page)
    page.goto("/worklist")
    ready(page)
    names = page.locator("#rows .name a").all_inner_texts()
    for key in "jjk":
        page.keyboard.press(key)
    expect(page.get_by_role("link", name=names[0])).to_be_focused()
    page.keyboard.press("d")
    expect(page.locator("#toast")).to_contain_text(f"{names[0]} removed")
    expect(page.locator("#rows tr:visible")).to_have_count(4)
    page.keyboard.press("u")
    expect(page.locator("#rows tr:visible")).to_have_count(5)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/readings/\d+"))
    ready(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Zoom in or out")


def test_what_was_removed_is_listed_and_brought_back(page: Page) -> None:
    fill(page)
    page.goto("/worklist")
    ready(page)
    page.locator("#rows .pick input").first.check()
    page.locator("#selection").get_by_role("button", name="Remove").click()
    expect(page.locator("#rows tr:visible")).to_have_count(4)
    page.goto("/worklist?deleted=1")
    ready(page)
    page.get_by_role("button", name="Bring back").click()
    expect(page.locator("#toast")).to_contain_text("is back in the worklist")
    page.goto("/worklist")
    expect(page.locator("#rows tr[data-id]")).to_have_count(5)


def test_sending_can_be_cancelled_and_tried_again(page: Page) -> None:
    fill(page)
    page.goto("/uploads")
    ready(page)
    before = page.locator(".batch").count()
    notes = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"}
    page.route("**/api/v1/batches", lambda _: None)  # never answered
    page.locator("#files").set_input_files(notes)
    page.locator("#sending").get_by_role("button", name="Cancel").click()
    expect(page.locator("#sending")).to_be_hidden()
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator(".batch")).to_have_count(before)
    expect(page.get_by_role("region", name="Not sent")).to_contain_text("Files not sent: 1")
    page.unroute("**/api/v1/batches")
    page.get_by_role("button", name="Send them now").click()
    expect(page.locator(".batch")).to_have_count(before + 1)
    expect(page.get_by_role("region", name="Not sent")).to_be_hidden()


def test_an_opinion_is_given_before_and_after_the_answer_and_kept(page: Page) -> None:
    fill(page)
    page.goto("/worklist")
    page.get_by_role("button", name="Give my opinion first").click()
    expect(page.get_by_role("main")).to_contain_text("Your opinion first")
    page.goto("/uploads")
    ready(page)
    page.get_by_label("Read as").select_option("tuberculosis")
    film = encode(chest_phantom((120, 100), random_state=9, lesion=True), "PNG")
    page.locator("#files").set_input_files({"name": "unseen.png", "mimeType": "image/png", "buffer": film})
    expect(page.locator(".batch .counts").first).to_have_text("1 of 1 read", timeout=60_000)
    page.goto("/worklist?order=newest")
    expect(page.get_by_role("row", name=re.compile("unseen.png"))).to_contain_text("hidden")
    page.get_by_role("link", name="unseen.png").click()
    ready(page)
    expect(page.get_by_role("heading", name="The answer is hidden")).to_be_visible()
    expect(page.locator(".card-answer")).to_have_count(0)
    ready(page)
    page.keyboard.press("d")
    page.keyboard.press("s")
    expect(page.locator(".history")).to_contain_text("before seeing the answer: no disease")
    expect(page.locator(".card-answer")).to_be_visible()
    ready(page)
    page.keyboard.press("a")
    page.get_by_label("Note").fill("seen <b>twice</b>")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".history .replaced")).to_have_count(1)
    expect(page.locator(".history")).to_contain_text("seen <b>twice</b>")
    page.goto("/worklist?review_state=done")
    expect(page.locator("#rows tr[data-id]")).to_have_count(1)
    page.goto("/statistics")
    expect(page.get_by_role("row", name=re.compile("reader and what was concluded"))).to_contain_text("too few to say")
    expect(page.get_by_role("region", name="Opinions given before the answer was shown")).to_contain_text(
        re.compile("[01] / 1")  # what a drawn film is called is the bundle's own
    )
    page.goto("/worklist")
    page.get_by_role("button", name="Show answers at once").click()
    expect(page.get_by_role("button", name="Give my opinion first")).to_be_visible()


def test_two_bundles_are_compared_on_one_image(page: Page) -> None:
    fill(page)
    open_first(page)
    page.get_by_role("link", name="Compare bundles").click()
    page.get_by_label("Read the same image with").select_option("tuberculosis/paper")
    page.get_by_role("main").get_by_role("button", name="Read", exact=True).click()
    expect(page.locator(".side-by-side")).to_have_count(2)
    ready(page)
    page.get_by_role("button", name="Zoom in").click()
    first, second = page.locator(".film").evaluate_all("films => films.map((film) => film.style.transform)")
    assert first == second
    page.goto("/worklist?bundle=")
    page.locator("#rows tr", has_text="film-").first.wait_for()


def test_a_threshold_is_explored_chosen_and_undone(page: Page) -> None:
    page.goto("/thresholds?bundle=tuberculosis/best&prevalence=2")
    ready(page)
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    sensitivity = page.locator('#tiles [data-key="sensitivity"]')
    column = page.locator('#rows [data-key="sensitivity"]')
    said = {}
    for key, row in (("Home", column.first), ("End", column.last)):
        page.keyboard.press(key)
        expect(sensitivity).to_have_text(row.inner_text())
        said[key] = float(sensitivity.inner_text().split()[0])
    assert said["Home"] > 90
    assert said["End"] < 50
    slider.fill("39")
    chosen = page.locator("#at-value").inner_text()
    page.get_by_label("Note: why").fill("few beds")
    page.get_by_role("button", name="Decide by this threshold").click()
    assert 1 < float(chosen) < 100
    expect(page.get_by_text(re.compile(rf"positive from \d+ of 100 [(]exactly: above {chosen}[)]"))).to_be_visible()
    expect(page.get_by_role("cell", name="few beds").first).to_be_visible()
    page.get_by_role("button", name="Undo this choice").click()
    expect(page.get_by_text("this site has chosen none")).to_be_visible()
    page.goto("/thresholds?bundle=tuberculosis/best&prevalence=200")
    expect(page.get_by_role("alert")).to_contain_text("is no share")


def test_a_reading_is_printed(page: Page) -> None:
    fill(page)
    open_first(page)
    page.get_by_role("link", name="Report").click()
    expect(page.get_by_role("heading", name="Report of a reading: Tuberculosis")).to_be_visible()
    expect(page.get_by_text("is no medical device")).to_be_visible()
    assert page.locator(".pictures img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_the_language_is_chosen_and_kept(page: Page) -> None:
    page.goto("/worklist?order=newest")
    page.get_by_role("button", name="हिन्दी").click()
    expect(page.locator("html")).to_have_attribute("lang", "hi")
    expect(page).to_have_url(re.compile("order=newest"))
    page.goto("/uploads")
    expect(page.locator("html")).to_have_attribute("lang", "hi")


def test_an_address_that_is_not_there_is_a_page(page: Page) -> None:
    page.goto("/readings/999999")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


def test_the_first_account_logs_in_makes_another_and_a_token(browser: Browser, tmp_path: Path) -> None:
    """On a server of its own: from the first account on everyone logs in."""
    with served(DATA_FOLDER=str(tmp_path)) as server, opened(browser, server.address) as page:
        page.goto("/accounts")
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password, 12 characters or more").fill(PASSWORD)
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_role("rowheader", name="anna")).to_be_visible()
        page.get_by_label("Name", exact=True).fill("bo")
        page.locator("form.stack select[name=role]").select_option("reviewer")
        page.get_by_label("Password, 12 characters or more").fill(PASSWORD)
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_role("rowheader", name="bo")).to_be_visible()
        page.get_by_role("link", name="anna").click()
        page.get_by_label("What it is for").fill("robot")
        page.get_by_role("button", name="Make a token").click()
        expect(page.locator("code.secret")).to_have_text(re.compile("^sr_"))
        page.goto("/trail")
        page.get_by_role("button", name="Verify the whole trail").click()
        expect(page.get_by_role("status").first).to_contain_text("The trail is whole")
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Name").fill("bo")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.goto("/worklist")
        expect(page.get_by_role("link", name="Accounts")).to_have_count(0)
        page.goto("/accounts")
        expect(page.get_by_role("heading", name="You may not do that")).to_be_visible()
        page.goto("/account")
        page.get_by_label("Password until now").fill(PASSWORD)
        page.get_by_label("New password, 12").fill("another long sentence")
        page.get_by_label("New password again").fill("another long sentence!")
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_role("alert")).to_contain_text("typed in two ways")


def test_reviewers_who_differ_are_settled_by_a_third(browser: Browser, tmp_path: Path) -> None:
    service = Service.open({"DATA_FOLDER": str(tmp_path)})
    for name in ("anna", "bo", "cleo"):
        role = "administrator" if name == "anna" else "reviewer"
        service.accounts.add(name, role=role, password=PASSWORD, actor=LOCAL)
    service.close()
    with served(DATA_FOLDER=str(tmp_path), REVIEWS_NEEDED="2") as server:
        for name, act in (("anna", "agree"), ("bo", "disagree"), ("cleo", "settle")):
            with opened(browser, server.address) as page:
                page.goto("/worklist")
                page.get_by_label("Name").fill(name)
                page.get_by_label("Password").fill(PASSWORD)
                page.get_by_role("button", name="Log in").click()
                fill(page, 1)
                open_first(page)
                if act == "settle":
                    expect(page.locator("main")).to_contain_text("it has to be settled")
                    settle = page.locator("form", has=page.get_by_role("heading", name="Settle it"))
                    settle.get_by_label("no disease").check()
                    settle.get_by_role("button", name="Settle").click()
                    expect(page.get_by_text("What counts: no disease.")).to_be_visible()
                else:
                    page.get_by_role("radio", name=act, exact=True).check()
                    page.get_by_role("button", name="Save", exact=True).click()
                    expect(page.locator(".history")).to_contain_text(name)
