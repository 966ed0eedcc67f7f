"""Measuring, turning, windows, fingers and images beside one another, in a real browser against the real server."""

import re

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from secondread.testing.phantoms import brain_phantom, chest_phantom, dicom_bytes, encode
from tests.web.chromium import opened
from tests.web.conftest import Server
from tests.web.rooms import ready

pytestmark = pytest.mark.browser


def _read(page: Page, name: str, data: bytes, task: str = "tuberculosis") -> int:
    sent = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
    answer = page.request.post("/api/v1/readings", multipart={"image": sent, "task": task}).json()
    return int(answer["readings"][0]["id"])


def _film(seed: int = 0) -> bytes:
    film = chest_phantom((400, 300), random_state=seed, lesion=True)
    return dicom_bytes(film, Modality="DX", ImagerPixelSpacing=[0.5, 0.5], PatientOrientation=["L", "F"], PatientID="7")


def _enter(page: Page, number: int, query: str = "") -> tuple[float, float]:
    """Open a reading; where its stage begins on the page."""
    page.goto(f"/readings/{number}{query}")
    ready(page)
    box = page.locator(".stage").first.bounding_box()
    assert box is not None
    return box["x"], box["y"]


def test_a_ruler_stays_where_it_was_put_however_the_image_lies(page: Page) -> None:
    x, y = _enter(page, _read(page, "film.dcm", _film()))
    expect(page.locator(".side-letter.right")).to_have_text("L")
    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Ruler")).to_have_attribute("aria-pressed", "true")
    page.mouse.move(x + 300, y + 100)
    page.mouse.down()
    page.mouse.move(x + 400, y + 100, steps=3)
    page.mouse.up()
    scale = page.locator(".film").evaluate("film => new DOMMatrix(getComputedStyle(film).transform).a")
    entry = page.locator(".measure-list .name")
    expect(entry).to_have_text(f"1. Length: {100 / scale * 0.5:.1f} mm")
    expect(page.locator(".measure-where")).to_have_text(
        "Millimetres at the detector: what lies in the body is smaller."
    )
    said = entry.text_content()
    on_image = """() => {
        const film = document.querySelector(".film"), stage = document.querySelector(".stage").getBoundingClientRect();
        const back = new DOMMatrix(getComputedStyle(film).transform).inverse();
        const line = document.querySelector(".measure .over");
        return ["1", "2"].flatMap(end => {
            const place = new DOMPoint(line.getAttribute(`x${end}`), line.getAttribute(`y${end}`));
            const { x, y } = back.transformPoint(place);
            return [x, y];
        });
    }"""
    before = page.evaluate(on_image)
    for key in ("r", "f", "+", "F", "R", "r"):
        page.keyboard.press(key)
        assert page.evaluate(on_image) == pytest.approx(before, abs=0.01)
    assert entry.text_content() == said
    expect(page.locator(".side-letter.top")).to_have_text(re.compile("[LR]"))
    entry.focus()
    page.keyboard.press("Shift+ArrowRight")
    after = page.evaluate(on_image)
    assert after != pytest.approx(before, abs=0.01)
    assert entry.text_content() == said  # moved as a whole
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # its second end
    page.keyboard.press("Shift+ArrowDown")  # along the line, which stands upright now
    assert entry.text_content() != said
    page.keyboard.press("Delete")
    expect(entry).to_have_count(0)
    page.keyboard.press("0")
    expect(page.locator(".side-letter.right")).to_have_text("L")


def test_a_plain_picture_is_measured_in_pixels_and_windowed_in_numbers(page: Page) -> None:
    _enter(page, _read(page, "plain.png", encode(chest_phantom((400, 300), random_state=5), "PNG")))
    page.get_by_role("button", name="Angle", exact=True).click()
    page.get_by_role("button", name="Put one in the middle").click()
    expect(page.locator(".measure-list .name")).to_have_text(re.compile(r"^1\. Angle: \d+\.\d°$"))
    expect(page.locator(".measure-where")).to_have_text("Pixels: the file does not say how large one is.")
    expect(page.get_by_label("Centre")).to_have_value("128")
    page.keyboard.press("2")  # the dark half, 0 to 127.5
    expect(page.get_by_label("Centre")).to_have_value("64")
    expect(page.locator("feFuncR")).to_have_attribute("slope", "2")


def test_windows_of_a_deep_file_are_set_by_key_and_by_number(page: Page) -> None:
    values = np.tile(np.linspace(0, 4095, 256).astype(np.uint16), (256, 1))
    head = dicom_bytes(
        values, bits_stored=12, Modality="CT", RescaleIntercept=-1024, WindowCenter=[40, 300], WindowWidth=[400, 2000]
    )
    _enter(page, _read(page, "head.dcm", head, "brain-tumour"))
    presets = page.get_by_label("Windows by name")
    expect(presets.locator("option")).to_have_count(10)
    expect(presets.locator("option").nth(1)).to_have_text("1 The file’s own 40/400")
    page.keyboard.press("2")
    expect(page.locator("#window-said")).to_have_text("centre 40, width 80 HU")
    centre = page.get_by_label("Centre")
    centre.fill("-600")
    centre.press("Enter")
    expect(page.locator("#window-said")).to_have_text("centre -600, width 80 HU")
    page.get_by_label("Width in values").fill("1500")
    page.get_by_label("Width in values").press("Enter")
    expect(page.locator("#window-said")).to_have_text("centre -600, width 1500 HU")


def test_an_image_beside_follows_until_the_link_is_cut(page: Page) -> None:
    first, second = (_read(page, f"film-{seed}.dcm", _film(seed)) for seed in (1, 2))
    _enter(page, second, f"?beside={first}")
    films = page.locator(".film")
    expect(films).to_have_count(2)
    expect(page.locator(".view-title")).to_contain_text("film-1.dcm")
    turn = "film => Math.round(new DOMMatrix(getComputedStyle(film).transform).b * 1000)"
    page.keyboard.press("r")
    assert films.nth(0).evaluate(turn) > 0
    assert films.nth(1).evaluate(turn) > 0
    page.get_by_role("button", name="Linked").click()
    page.keyboard.press("R")
    assert films.nth(0).evaluate(turn) == 0
    assert films.nth(1).evaluate(turn) > 0
    page.get_by_role("button", name="One image").click()
    expect(films).to_have_count(1)


def test_the_sheet_lists_every_key_that_a_button_names(page: Page) -> None:
    _enter(page, _read(page, "film.dcm", _film()))
    page.keyboard.press("?")
    listed = {text.strip() for text in page.locator("#shortcuts kbd").all_text_contents()}
    named = page.locator("[aria-keyshortcuts]").evaluate_all(
        "all => all.flatMap(one => one.getAttribute('aria-keyshortcuts').split(' '))"
    )
    arrows = {"ArrowUp": "↑", "ArrowDown": "↓", "ArrowLeft": "←", "ArrowRight": "→", "Escape": "Esc"}
    parts = {arrows.get(part, part).replace("Control", "Ctrl") for one in named for part in one.split("+") if part}
    assert len(parts) > 25
    assert parts - listed == set()


def test_what_fails_is_told_and_the_frame_is_shown_all_the_same(page: Page) -> None:
    frames = np.stack([brain_phantom(96, random_state=1, lesion=at == 5) for at in range(9)])
    number = _read(page, "head.dcm", dicom_bytes(frames, multi_frame=True, Modality="MR"), "brain-tumour")
    page.route("**/boxes?frame=*", lambda route: route.fulfill(status=503, body="{}"))
    _enter(page, number)
    page.locator(".stage").evaluate("""stage => {
        const layer = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        layer.classList.add("boxes");
        layer.setAttribute("viewBox", "0 0 96 96");
        layer.dataset.marks = "[]";
        layer.dataset.address = location.pathname.replace("/readings", "/api/v1/readings") + "/boxes";
        stage.querySelector(".film").append(layer);
    }""")
    at = int(page.locator(".frame-slider").input_value())
    page.locator(".stage").focus()
    page.keyboard.press("ArrowDown" if at < 9 else "ArrowUp")
    expect(page.locator("#toast-text")).to_contain_text("The boxes of this frame could not be loaded")
    expect(page.locator(".frames-trouble")).to_be_hidden()


def test_fingers_zoom_move_and_set_the_window(browser: Browser, room: Server) -> None:
    with opened(browser, room.address, has_touch=True) as page:
        page.set_viewport_size({"width": 1024, "height": 768})
        x, y = _enter(page, _read(page, "film.dcm", _film()))
        small = page.locator(".light-box button:visible").evaluate_all(
            "all => all.filter(one => one.getBoundingClientRect().height < 44).map(one => one.textContent)"
        )
        assert small == []
        touch = page.context.new_cdp_session(page)

        def fingers(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": x + dx, "y": y + dy, "id": at} for at, (dx, dy) in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        film = page.locator(".film")
        matrix = "film => { const m = new DOMMatrix(getComputedStyle(film).transform); return [m.a, m.e, m.f]; }"
        scale, left, top = film.evaluate(matrix)
        fingers("touchStart", (200, 200), (300, 200))
        for step in (1, 2, 3, 4):  # apart by as much again, and 20 down
            fingers("touchMove", (200 - 12.5 * step, 200 + 5 * step), (300 + 12.5 * step, 200 + 5 * step))
        fingers("touchEnd")
        zoomed, _, _ = film.evaluate(matrix)
        assert zoomed == pytest.approx(2 * scale, rel=0.05)
        page.keyboard.press("0")
        assert film.evaluate(matrix) == pytest.approx([scale, left, top], abs=0.5)
        fingers("touchStart", (250, 200))
        expect(page.locator(".stage-trouble")).to_contain_text("Drag sideways for the width of the window")  # it rested
        fingers("touchMove", (210, 240))
        fingers("touchEnd")
        expect(page.locator('[data-set="width"]')).to_have_value("80")
        expect(page.locator('[data-set="level"]')).to_have_value("60")
        assert film.evaluate(matrix) == pytest.approx([scale, left, top], abs=0.5)
