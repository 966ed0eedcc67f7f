"""Looking at an image: zoom, window, heat map, outlines; in a real browser against the real server."""

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from secondread.testing.phantoms import brain_phantom, dicom_bytes, encode
from tests.web.rooms import fill, open_first, ready

pytestmark = pytest.mark.browser


def test_the_viewer_zooms_windows_inverts_and_colours(page: Page) -> None:
    fill(page)
    open_first(page)
    film = page.locator(".film")
    before = film.evaluate("film => film.style.transform")
    page.get_by_role("button", name="Zoom in").click()
    assert film.evaluate("film => film.style.transform") != before
    page.keyboard.press("0")
    assert film.evaluate("film => film.style.transform") == before
    page.get_by_role("button", name="Invert").click()
    assert "window-level" in film.locator("img").evaluate("image => image.style.filter")
    expect(page.locator("feFuncR")).to_have_attribute("slope", "-1")
    page.get_by_role("button", name="Window by dragging").click()
    box = page.locator(".stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 240, steps=4)
    page.mouse.up()
    expect(page.locator('[data-set="width"]')).to_have_value("80")
    expect(page.locator('[data-set="level"]')).to_have_value("60")
    page.get_by_label("Colours").select_option("viridis")
    page.keyboard.press("h")
    expect(page.get_by_role("button", name="Heat map", exact=True)).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_text("shows what the model used, not where disease is: it does not outline")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Score [0-9]+ of 100; screening: positive"))).to_be_visible()


def test_the_window_of_a_deep_file_reaches_beyond_what_is_shown_first(page: Page) -> None:
    values = np.tile(np.linspace(0, 4095, 256).astype(np.uint16), (256, 1))
    film = dicom_bytes(values, bits_stored=12, Modality="CT", RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    sent = {"name": "head.dcm", "mimeType": "application/dicom", "buffer": film}
    answer = page.request.post("/api/v1/readings", multipart={"image": sent, "task": "brain-tumour"}).json()
    page.goto(f"/readings/{answer['readings'][0]['id']}")
    ready(page)
    deep, level = page.locator(".depth-layer"), page.get_by_role("slider", name="Level")
    expect(deep).to_be_hidden()
    level.focus()
    page.keyboard.press("ArrowRight")
    expect(deep).to_be_visible()
    expect(page.locator("#window-said")).to_have_text("centre 44, width 400 HU")
    level.fill("550")  # 2040 HU: all of this was white
    expect(page.locator("#window-said")).to_have_text("centre 2040, width 400 HU")
    greys = """canvas => new Promise(done => requestAnimationFrame(() => {
        const copy = new OffscreenCanvas(256, 256).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const row = copy.getImageData(0, 10, 256, 1).data;
        done([0, 170, 191, 212, 255].map(at => row[4 * at]));
    }))"""
    shown = [(at * 4095 / 255 - 1024 - 2040) / 400 + 0.5 for at in (0, 170, 191, 212, 255)]
    expected = [255 * min(1, max(0, share)) for share in shown]
    assert deep.evaluate(greys) == pytest.approx(expected, abs=2)
    page.get_by_role("button", name="Invert").click()
    assert deep.evaluate(greys) == pytest.approx([255 - grey for grey in expected], abs=2)
    page.keyboard.press("0")
    expect(page.locator("#window-said")).to_have_text("centre 40, width 400 HU")


def test_places_that_the_network_marks_are_outlined_on_a_positive(page: Page) -> None:
    film = encode(brain_phantom(256, random_state=0, lesion=True), "PNG")
    brain = {"name": "brain.png", "mimeType": "image/png", "buffer": film}
    sent = page.request.post("/api/v1/readings", multipart={"image": brain, "task": "brain-tumour"}).json()
    page.goto(f"/readings/{sent['readings'][0]['id']}")
    ready(page)
    outlines = page.locator(".outlines")
    expect(outlines).to_be_visible()
    expect(page.get_by_role("button", name="Outlines")).to_have_attribute("aria-pressed", "true")
    expect(outlines.locator("polygon.over")).not_to_have_count(0)
    inside = outlines.evaluate("""svg => {
        const shape = svg.querySelector(".over").getBoundingClientRect();
        const film = svg.closest(".film").getBoundingClientRect();
        return shape.left >= film.left && shape.right <= film.right && shape.width > 0.05 * film.width;
    }""")
    assert inside
    for _ in range(2):  # thin however near one looks
        wide = outlines.locator("polygon.over").first.evaluate("""line =>
            parseFloat(getComputedStyle(line).strokeWidth)
            * new DOMMatrix(getComputedStyle(line.closest(".film")).transform).a""")
        assert 1 < wide < 1.5
        page.get_by_role("button", name="Zoom in").click()
    page.keyboard.press("b")
    expect(outlines).to_be_hidden()
    page.reload()
    ready(page)
    expect(page.get_by_role("button", name="Outlines")).to_have_attribute("aria-pressed", "false")


def test_nothing_is_drawn_on_a_negative_until_it_is_asked_for(page: Page) -> None:
    brain = {"name": "a.png", "mimeType": "image/png", "buffer": encode(brain_phantom(256, random_state=7), "PNG")}
    sent = page.request.post("/api/v1/readings", multipart={"image": brain, "task": "brain-tumour"}).json()
    assert sent["readings"][0]["decision"] == "negative"
    page.goto(f"/readings/{sent['readings'][0]['id']}")
    ready(page)
    for name, layer in (("Heat map", ".heat-layer"), ("Outlines", ".outlines")):
        switch = page.get_by_role("button", name=name, exact=True)
        expect(switch).to_have_attribute("aria-pressed", "false")
        expect(page.locator(layer)).to_be_hidden()
        switch.click()
        expect(switch).to_have_attribute("aria-pressed", "true")
        page.reload()
        ready(page)
        expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
