"""Boxes on pages, in a real browser: drawn as they are sure, switched, corrected by dragging and by keys, and saved."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from secondread.testing.phantoms import dicom_bytes, encode
from tests.boxed import boxed_bundle, spotted
from tests.web.chromium import opened
from tests.web.conftest import Server, served
from tests.web.rooms import ready

pytestmark = pytest.mark.browser
SPOTS = ((48, 64, 255), (160, 144, 194))


@pytest.fixture(scope="module")
def boxed_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    own: Path = tmp_path_factory.mktemp("own")
    boxed_bundle(own / "fracture" / "boxes")
    with served(DATA_FOLDER=str(tmp_path_factory.mktemp("boxed")), BUNDLES=str(own)) as found:
        yield found


@pytest.fixture
def page(browser: Browser, boxed_room: Server) -> Iterator[Page]:
    with opened(browser, boxed_room.address) as found:
        yield found


def enter(page: Page, film: bytes, name: str = "film.png") -> int:
    """Read a film and go into its room."""
    sent = {"name": name, "mimeType": "application/octet-stream", "buffer": film}
    answer = page.request.post(
        "/api/v1/readings", multipart={"image": sent, "task": "fracture", "bundle": "fracture/boxes"}
    ).json()
    number: int = answer["readings"][0]["id"]
    page.goto(f"/readings/{number}")
    ready(page)
    return number


def test_boxes_lie_where_the_spots_are_at_any_zoom_and_go_with_a_key(page: Page) -> None:
    enter(page, encode(spotted(*SPOTS, random_state=1), "PNG"))
    marks = page.locator(".film .boxes:not(.drawing) .mark")
    expect(marks).to_have_count(2)
    expect(marks.nth(0)).to_have_class("mark solid")
    expect(marks.nth(1)).to_have_class("mark dotted")
    dashes = "mark => getComputedStyle(mark.querySelector('.over')).strokeDasharray"
    assert marks.nth(0).evaluate(dashes) == "none"
    assert marks.nth(1).evaluate(dashes) != "none"
    shares = """() => {
        const film = document.querySelector(".film img").getBoundingClientRect();
        const box = document.querySelector(".boxes .mark .over").getBoundingClientRect();
        return [(box.left - film.left) / film.width, (box.top - film.top) / film.height];
    }"""
    for act in ("Zoom in", "Zoom in", "Zoom out"):
        page.get_by_role("button", name=act).click()
        assert page.evaluate(shares) == pytest.approx([48 / 256, 64 / 256], abs=0.01)
    page.keyboard.press("v")
    expect(marks.first).to_be_hidden()
    expect(page.get_by_role("button", name="Boxes", exact=True)).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Boxes", exact=True).click()
    expect(marks.first).to_be_visible()
    expect(page.locator(".box-list").get_by_text("Box 2: score 73 of 100, in doubt")).to_be_visible()


def test_a_person_draws_moves_resizes_deletes_undoes_and_saves(page: Page) -> None:
    number = enter(page, encode(spotted(*SPOTS, random_state=2), "PNG"))
    page.keyboard.press("e")

    def at(x: float, y: float) -> tuple[float, float]:
        film = page.locator(".film img").bounding_box()  # the page may have been scrolled
        assert film is not None
        return film["x"] + x * film["width"] / 256, film["y"] + y * film["height"] / 256

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        page.mouse.move(*at(*start))
        page.mouse.down()
        page.mouse.move(*at(*end), steps=6)
        page.mouse.up()

    before = page.locator(".film").evaluate("film => film.style.transform")
    drag((150, 20), (190, 60))  # a new one
    drag((72, 88), (92, 88))  # the first moves
    drag((206, 190), (220, 204))  # the second moves: a corner is held only of the box that is chosen
    names = page.locator("#boxes .box-list .name")
    page.get_by_role("button", name="Undo", exact=True).first.click()
    expect(names).to_have_count(3)
    page.mouse.click(*at(184, 168))
    drag((208, 192), (220, 204))  # now it is
    assert page.locator(".film").evaluate("film => film.style.transform") == before
    page.get_by_role("button", name=re.compile("^Delete Box 3")).click()
    expect(names).to_have_count(2)
    page.get_by_role("button", name="Add a box").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.get_by_role("button", name="Save boxes").click()
    expect(page.locator("#boxes-history")).to_contain_text("0 kept, 2 moved, 0 deleted, 1 added")
    (saved,) = page.request.get(f"/api/v1/readings/{number}/boxes").json()["drawn"]
    first, second, third = (one["box"] for one in saved["boxes"])
    assert first == pytest.approx([68, 64, 48, 48], abs=1.5)
    assert second == pytest.approx([160, 144, 60, 60], abs=1.5)
    assert third == pytest.approx([98.6, 96, 64, 66.6], abs=0.2)
    page.reload()
    ready(page)
    expect(names).to_have_count(3)
    expect(page.locator(".film .boxes:not(.drawing) .mark")).to_have_count(2)  # the network's are as they were


def test_a_frame_that_is_stepped_to_has_its_own_boxes(page: Page) -> None:
    frames = np.stack([spotted(), spotted(*SPOTS, random_state=3), spotted(SPOTS[1])])
    enter(page, dicom_bytes(frames, multi_frame=True, BodyPartExamined="HAND"), "frames.dcm")
    marks = page.locator(".film .boxes:not(.drawing) .mark")
    expect(marks).to_have_count(2)
    page.keyboard.press("ArrowRight")
    expect(marks).to_have_count(1)
    expect(marks).to_have_class("mark dotted")
    page.keyboard.press("ArrowLeft")
    expect(marks).to_have_count(2)


def test_a_card_whose_boxes_come_late_has_them_though_another_was_stepped_through_meanwhile(page: Page) -> None:
    page.goto("/")
    ready(page)
    page.get_by_text("Fracture", exact=True).first.click()
    page.locator("#bundle").select_option(label="boxes (your own)")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/boxes?frame=*", hold)
    for seed in (5, 6):
        frames = np.stack([spotted(), spotted(*SPOTS, random_state=seed), spotted(SPOTS[1], random_state=seed)])
        film = dicom_bytes(frames, multi_frame=True, BodyPartExamined="HAND")
        page.locator("input[type=file]").first.set_input_files(
            {"name": f"{seed}.dcm", "mimeType": "application/octet-stream", "buffer": film}
        )
        expect(page.locator(".card", has_text=f"{seed}.dcm").locator(".boxes .mark")).to_have_count(2)
    for seed in (5, 6):
        with page.expect_request("**/boxes?frame=3"):
            page.locator(".card", has_text=f"{seed}.dcm").locator(".frames input").press("ArrowRight")
    for route in held:
        route.continue_()
    for seed in (5, 6):
        expect(page.locator(".card", has_text=f"{seed}.dcm").locator(".boxes .mark")).to_have_count(1)


def test_boxes_are_drawn_on_the_frame_that_answered_alone(page: Page) -> None:
    frames = np.stack([spotted(), spotted(*SPOTS, random_state=4), spotted(SPOTS[1])])
    enter(page, dicom_bytes(frames, multi_frame=True, BodyPartExamined="HAND"), "frames.dcm")
    back, draw = page.locator(".frames-back"), page.get_by_role("button", name="Draw boxes")
    marks = page.locator(".film .boxes:not(.drawing) .mark")
    page.keyboard.press("ArrowRight")
    expect(marks).to_have_count(1)
    expect(back).to_be_enabled()
    draw.click()
    expect(draw).to_have_attribute("aria-pressed", "true")
    expect(back).to_be_disabled()
    expect(marks).to_have_count(2)


def test_a_card_and_its_enlarged_picture_have_them(page: Page) -> None:
    page.goto("/")
    ready(page)
    page.get_by_text("Fracture", exact=True).first.click()
    page.locator("#bundle").select_option(label="boxes (your own)")
    film = {"name": "film.png", "mimeType": "image/png", "buffer": encode(spotted(*SPOTS, random_state=4), "PNG")}
    page.locator("input[type=file]").first.set_input_files(film)
    expect(page.locator(".card .boxes .mark")).to_have_count(2)
    page.get_by_role("button", name="Enlarge film.png").click()
    expect(page.locator("#viewer-image .boxes .mark")).to_have_count(2)
    page.keyboard.press("v")
    expect(page.locator("#viewer-image .boxes .mark").first).to_be_hidden()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_on_a_telephone_nothing_is_cut_off(browser: Browser, boxed_room: Server, scheme: str) -> None:
    with opened(browser, boxed_room.address, color_scheme=scheme) as page:
        page.set_viewport_size({"width": 360, "height": 700})
        enter(page, encode(spotted(*SPOTS, random_state=5), "PNG"))
        page.keyboard.press("e")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        expect(page.get_by_role("button", name="Save boxes")).to_be_visible()
