"""Files of several frames on the page and over the API: the curve, the way through them, their pictures."""

import io
import re

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image as PillowImage
from playwright.sync_api import Browser, Page, expect

from secondread.service import Actor, ReadingRequest
from secondread.testing.phantoms import encode
from secondread.web import create_app
from tests.several import BLANK, bright_reader, dicom_of, raster_of, stack
from tests.web.chromium import opened
from tests.web.conftest import Server, post
from tests.web.rooms import ready
from tests.web.test_accessibility import AXE, RULES, RUN

FRAMES = stack()
DATA = dicom_of(FRAMES)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    readers = {"tuberculosis": bright_reader(), "tuberculosis/paper": bright_reader()}
    folder = str(tmp_path_factory.mktemp("frames"))
    return create_app({"READERS": readers, "DATA_FOLDER": folder, "GATE": "off"}).test_client()


def _read(client: FlaskClient, data: bytes = DATA, **form: str) -> dict:
    (entry,) = post(client, ("film.dcm", data), task="tuberculosis", **form).json["readings"]
    return entry


def _grey(client: FlaskClient, address: str) -> np.ndarray:
    answer = client.get(address)
    assert (answer.status_code, answer.content_type) == (200, "image/png"), answer.text
    return np.asarray(PillowImage.open(io.BytesIO(answer.data)).convert("L"))


def test_the_worst_frame_answers_and_its_picture_is_shown(client: FlaskClient) -> None:
    entry = _read(client)
    assert (entry["decision"], entry["worst_frame"], entry["display"]["frame"], entry["display"]["n_frames"]) == (
        "positive", 9, 9, 12,
    )  # fmt: skip
    assert [one["decision"] for one in entry["frames"]][6:9] == ["positive"] * 3
    again = _read(client)
    assert (again["from_store"], again["id"], again["frames"]) == (True, entry["id"], entry["frames"])
    one = _read(client, frame="2")
    assert ("frames" in one, one["display"]["frame"], one["decision"]) == (False, 2, "negative")
    assert "only frame 2 of 12 was read" in one["warnings"]


@pytest.mark.parametrize("frame", ["0", "-1", "two"])
def test_a_frame_that_is_no_number_from_one_is_told(client: FlaskClient, frame: str) -> None:
    answer = post(client, ("film.dcm", DATA), task="tuberculosis", frame=frame)
    assert answer.status_code == 400
    assert "frame" in answer.text


def test_every_frame_can_be_looked_at(client: FlaskClient) -> None:
    number = _read(client)["id"]
    for frame in (2, 5, 12):
        shown = _grey(client, f"/api/v1/readings/{number}/image?frame={frame}")
        np.testing.assert_allclose(shown.astype(int), FRAMES[frame - 1].astype(int), atol=1)
        small = _grey(client, f"/api/v1/readings/{number}/thumbnail?frame={frame}")
        assert small.mean() == pytest.approx(FRAMES[frame - 1].mean(), abs=2)
    np.testing.assert_array_equal(
        _grey(client, f"/api/v1/readings/{number}/image"), _grey(client, f"/api/v1/readings/{number}/image?frame=9")
    )
    for what in ("image", "thumbnail", "heatmap", "depth"):
        assert client.get(f"/api/v1/readings/{number}/{what}?frame=13").status_code == 404
    assert client.get(f"/api/v1/readings/{number}/image?frame=0").status_code == 400


def test_the_heat_map_of_another_frame_is_made_on_demand(client: FlaskClient) -> None:
    number = _read(client)["id"]
    assert _grey(client, f"/api/v1/readings/{number}/heatmap?frame=4").shape == (96, 96)
    assert client.get(f"/api/v1/readings/{number}/heatmap?frame=1").status_code == 404  # blank, and not read
    kept = client.get(f"/api/v1/readings/{number}/heatmap").data
    assert client.get(f"/api/v1/readings/{number}/heatmap?frame=9").data == kept


def test_the_exports_hold_the_frames(client: FlaskClient) -> None:
    number = _read(client)["id"]
    rows = client.get("/api/v1/readings.json").get_json(force=True)["readings"]
    assert next(row for row in rows if row["id"] == number)["worst_frame"] == 9
    text = client.get("/api/v1/readings.csv").text
    assert "worst_frame" in text.splitlines()[0]


def test_a_file_of_which_no_frame_can_be_read_says_why(client: FlaskClient) -> None:
    answer = post(client, ("film.dcm", dicom_of(np.stack([BLANK] * 3))), task="tuberculosis")
    (entry,) = answer.json["readings"]
    assert (answer.status_code, entry["refusal"]["code"], entry["worst_frame"]) == (422, "blank", None)
    assert [one["refusal"] for one in entry["frames"]] == ["blank"] * 3


def test_the_reading_has_a_curve_and_one_frame_has_none(client: FlaskClient) -> None:
    page = client.get(f"/readings/{_read(client)['id']}").text
    assert page.count('class="frame-curve"') == 1
    assert "Scores of 12 frames, 0 to 100; the highest is" in page
    assert "Frame 9 of 12: score" in page
    assert 'max="12"' in page
    alone = client.get(f"/readings/{_read(client, frame='2')['id']}").text  # its neighbours can be looked at
    assert ('class="frame-curve"' in alone, 'class="frame-slider"' in alone) == (False, True)
    film = client.get(f"/readings/{_read(client, encode(FRAMES[3], 'PNG'))['id']}").text
    assert 'class="frames"' not in film


def test_who_judges_first_sees_frames_without_scores(client: FlaskClient) -> None:
    app = client.application
    service, readers = app.extensions["secondread.service"], app.extensions["secondread"]
    data = dicom_of(FRAMES[::-1].copy())
    batch = service.intake.take([("film.dcm", data)], ReadingRequest("tuberculosis"), actor=Actor("anna", "test"))
    service.worker(readers.get).run_until_empty()
    number = service.queue.items(batch)[0].reading_id
    page = client.get(f"/readings/{number}?blind=1").text
    assert 'class="frame-slider"' in page
    assert 'class="frame-curve"' not in page
    assert "score" not in re.findall(r'data-says="([^"]*)"', page)[0]
    assert "Frame 1 of 12" in page  # not the worst one, which would tell


def test_in_hindi_the_warning_keeps_its_numbers(client: FlaskClient) -> None:
    page = client.get(f"/readings/{_read(client)['id']}", headers={"Accept-Language": "hi"}).text
    assert "frames were read; frame" not in page
    (said,) = re.findall(r"<li>.*?<span>([^<]*11[^<]*9[^<]*)</span>", page)
    assert re.search("[\u0900-\u097f]", said)


@pytest.mark.browser
def test_frames_are_stepped_through_on_the_card_and_in_the_room(page: Page) -> None:
    page.goto("/")
    ready(page)
    page.get_by_text("Tuberculosis", exact=True).click()
    page.locator("#files").set_input_files({"name": "film.dcm", "mimeType": "application/dicom", "buffer": DATA})
    card = page.locator(".card")
    said, slider, base = card.locator(".frames-said"), card.locator(".frame-slider"), card.locator("img.base")
    expect(said).to_have_text(
        re.compile(r"^Frame \d+ of 12: score \d+, (positive|negative|uncertain)$"), timeout=60_000
    )
    first, picture = said.text_content(), base.evaluate("image => image.src")
    answered = int(slider.input_value())
    card.focus()
    page.keyboard.press("ArrowLeft")
    expect(said).to_have_text(re.compile(f"^Frame {answered - 1} of 12"))
    expect(base).not_to_have_js_property("src", picture)
    slider.focus()
    slider.fill("1")
    expect(said).to_have_text(re.compile("^Frame 1 of 12: not read. The image is blank"))
    card.get_by_role("button", name="To the highest").click()
    expect(said).to_have_text(first or "")
    expect(base).to_have_js_property("src", picture)
    card.get_by_role("link", name="Open").click()
    ready(page)
    said = page.locator(".frames-said")
    expect(said).to_have_text(first or "")
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text(re.compile(f"^Frame {answered + 1} of 12"))
    expect(page.locator(".film img")).to_have_attribute("src", re.compile("^blob:"))  # in the page's own memory
    curve = page.locator(".frame-curve")
    box = curve.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 4 / 11, box["y"] + box["height"] / 2)
    expect(said).to_have_text(re.compile("^Frame 5 of 12"))
    page.get_by_role("button", name="Next frame").click()
    expect(said).to_have_text(re.compile("^Frame 6 of 12"))
    stage = page.locator(".stage").bounding_box()
    assert stage is not None
    page.mouse.move(stage["x"] + 50, stage["y"] + 50)
    page.mouse.wheel(0, 100)
    expect(said).to_have_text(re.compile("^Frame 7 of 12"))
    page.mouse.wheel(0, -100)
    page.locator(".stage").focus()
    page.keyboard.press("End")
    expect(said).to_have_text(re.compile("^Frame 12 of 12"))
    page.keyboard.press("p")
    expect(said).to_have_text(first or "")


@pytest.mark.browser
def test_a_frame_is_fetched_once_and_those_beside_it_beforehand(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Images", exact=False).first.wait_for(state="attached")
    asked: list[str] = []
    address = _stored(page)
    page.on("request", lambda request: asked.append(request.url) if "/image?frame=" in request.url else None)
    page.goto(address)
    ready(page)
    said = page.locator(".frames-said")
    page.locator(".stage").focus()
    page.keyboard.press("Home")
    for number in range(2, 13):
        page.keyboard.press("ArrowDown")
        expect(said).to_have_text(re.compile(f"^Frame {number} of 12"))
    for number in range(11, 0, -1):
        page.keyboard.press("ArrowUp")
        expect(said).to_have_text(re.compile(f"^Frame {number} of 12"))
    page.wait_for_load_state("networkidle")
    assert len(asked) == len(set(asked)) <= 12


def _stored(page: Page) -> str:
    """The address of a reading of twelve frames."""
    sent = {"name": "film.dcm", "mimeType": "application/dicom", "buffer": dicom_of(FRAMES)}
    answer = page.request.post("/api/v1/readings", multipart={"image": sent, "task": "tuberculosis"}).json()
    return f"/readings/{answer['readings'][0]['id']}"


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "language"), [("dark", "en"), ("light", "en"), ("light", "hi")])
def test_the_way_through_the_frames_is_accessible_and_fits_a_phone(
    browser: Browser, server: Server, scheme: str, language: str
) -> None:
    with opened(browser, server.address, color_scheme=scheme, locale=language, bypass_csp=True) as page:
        page.set_viewport_size({"width": 320, "height": 640})
        page.goto("/")
        ready(page)
        page.locator('input[name="task"][value="tuberculosis"]').check(force=True)
        page.locator("#files").set_input_files({"name": "film.dcm", "mimeType": "application/dicom", "buffer": DATA})
        page.locator(".frame-slider").wait_for(timeout=60_000)
        address = page.locator('.card a[href^="/readings/"]').first.get_attribute("href")
        for where in ("", address):
            if where:
                page.goto(where)
                ready(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
            page.add_script_tag(path=AXE)
            found = page.evaluate(RUN, RULES)
            assert [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]] == []


def test_a_damaged_frame_has_no_picture_and_says_why(client: FlaskClient) -> None:
    whole = raster_of(FRAMES, "TIFF")
    entry = _read(client, whole[: len(whole) * 2 // 3])
    n = entry["display"]["n_frames"]
    assert entry["frames"][-1] == {
        "frame": n,
        "score": None,
        "decision": None,
        "refusal": "truncated",
        "findings": None,
    }
    for what in ("image", "thumbnail", "depth"):
        answer = client.get(f"/api/v1/readings/{entry['id']}/{what}?frame={n}")
        assert (answer.status_code, answer.json["code"]) == (404, "not_there")
        assert "damaged or cut short" in answer.json["detail"]
