"""The page in a real browser, against the real server."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Locator, Page, Route, expect

from secondread.testing.phantoms import bone_phantom, brain_phantom, chest_phantom, dicom_bytes, encode
from tests.web.chromium import opened
from tests.web.conftest import Server
from tests.web.rooms import ready

pytestmark = pytest.mark.browser

CHEST = encode(chest_phantom((600, 500), random_state=1, lesion=True), "PNG")
FILM = dicom_bytes(chest_phantom(512, random_state=3), Modality="DX", BodyPartExamined="CHEST")
DROP = """files => {
  const transfer = new DataTransfer();
  for (const [name, body] of files) {
    const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""
PASTE = """body => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], "image.png", { type: "image/png" }));
  const options = { bubbles: true, cancelable: true, clipboardData: transfer };
  document.body.dispatchEvent(new ClipboardEvent("paste", options));
}"""


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page where images are read, opened and taking keys."""
    with opened(browser, server.address) as page:
        page.on("filechooser", lambda chooser: None)  # no chooser opens a window, however fast a key comes
        page.goto("/")
        ready(page)
        yield page


def test_a_dropped_image_gets_a_decision_and_a_heat_map(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    drop(page, ("film.png", CHEST))
    card = page.get_by_role("listitem").filter(has_text="film.png")
    expect(card.locator(".decision strong")).to_have_text(re.compile("^(Positive|Negative|Uncertain)$"))
    expect(
        card.get_by_role("img", name=re.compile("^Score [0-9]+ of 100; screening: positive from [0-9]+$"))
    ).to_be_visible()
    assert natural_width(card.get_by_alt_text("The image film.png")) == 500
    expect(card.locator(".decision strong")).to_have_text("Negative")
    expect(card.get_by_alt_text(re.compile("^Heat map"))).to_be_hidden()
    card.get_by_role("button", name="Heat map").click()
    assert natural_width(card.get_by_alt_text(re.compile("^Heat map"))) > 0
    assert card.get_by_alt_text(re.compile("^Heat map")).bounding_box() == card.locator("img.base").bounding_box()
    card.get_by_text("Facts of the file").click()
    expect(card.get_by_text(re.compile("^[0-9]+ ms$|^[0-9.]+ s$"))).to_be_visible()
    expect(card.locator(".decision span")).to_contain_text("not ruled out")
    expect(card.locator(".outlook")).to_have_text(
        re.compile("^Missed at this operating point: .* [(].*, n = [0-9]+[)][.]$")
    )
    expect(card.locator(".card-answer .over").first).to_have_text(re.compile("^Other hospitals.*: s.*%"))
    expect(card.locator(".card-answer")).not_to_contain_text("shenzhen")
    assert [table.is_visible() for table in card.locator("table").all()] == [False, False], "closed until asked for"
    expect(card.locator(".card-answer")).not_to_contain_text("robability")
    card.get_by_text("Evidence at this operating point").click()
    expect(card.get_by_text(re.compile("^Calibrated probability 0"))).to_be_visible()
    expect(card.get_by_role("columnheader", name="Sensitivity")).to_be_visible()
    expect(card.locator(".places tbody tr").first).to_contain_text("another hospital: ")
    expect(card.get_by_role("row", name=re.compile("^test: shenzhen"))).to_be_visible()
    card.get_by_text("Known limits").click()
    expect(card).to_contain_text("Not a diagnosis")


# The words of what is chosen, in the lines that the drop-down has for them; 30 pixels are for its arrow and edge.
FITS = """select => {
  const canvas = document.createElement("canvas").getContext("2d"), style = getComputedStyle(select);
  canvas.font = style.font;
  const lines = Math.round((select.clientHeight - 12) / parseFloat(style.fontSize) / 1.3) || 1;
  return canvas.measureText(select.selectedOptions[0].text).width <= lines * (select.clientWidth - 30);
}"""


@pytest.mark.parametrize("width", [1280, 390])
def test_model_and_operating_point_are_not_cut_off(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for title in ("Brain tumour", "Fracture", "Tuberculosis"):
        ask_for(page, title)
        expect(page.locator("#bundle option")).not_to_have_count(0)  # the bundles have come
        for name in ("#bundle", "#point"):
            options = page.locator(f"{name} option").evaluate_all("options => options.map((one) => one.value)")
            assert options
            for value in options:
                page.locator(name).select_option(value)
                assert page.locator(name).evaluate(FITS), (title, value)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_operating_point_can_be_chosen_and_says_what_is_proven(page: Page, server: Server) -> None:
    listed = page.request.get(f"{server.address}api/v1/bundles").json()["bundles"]
    (bundle,) = (one for one in listed if one["task"] == "tuberculosis" and one["name"] == "paper")
    ask_for(page, "Tuberculosis")
    expect(page.locator("#bundle option")).not_to_have_count(0)  # the bundles have come
    if page.locator("#bundle-choice").is_visible():
        page.locator("#bundle").select_option("paper")
    values = page.locator("#point option").evaluate_all("options => options.map((one) => one.value)")
    assert values == [point["name"] for point in bundle["operating_points"]]
    if len(values) > 1:
        page.locator("#point").select_option(values[-1])
    drop(page, ("film.png", CHEST))
    page.get_by_text("Evidence at this operating point").click()
    expect(page.locator(".card details p").nth(1)).to_have_text(
        re.compile("^Promised: (sensitivity|specificity) at least")
    )
    for one in (shown for promised in bundle["promises"] for shown in promised["sources"]):  # of a band, both
        expect(page.get_by_role("row", name=re.compile(f"^{one['source']} n = {one['n']}")).first).to_be_visible()


def test_a_dicom_film_is_read_without_asking(page: Page) -> None:
    drop(page, ("film.dcm", FILM))
    expect(page.locator(".card-answer .facts")).to_contain_text("Tuberculosis")
    expect(page.locator(".card details .facts")).to_contain_text("DX CHEST · DICOM")


def test_a_text_file_named_png_is_told_apart(page: Page) -> None:
    drop(page, ("holiday.png", b"Dear all, the photo is attached."))
    card = page.locator(".card")
    expect(card.locator(".decision strong")).to_have_text("Not read")
    expect(card.locator(".reason")).to_have_text(
        "This is not an image; send a PNG, JPEG, TIFF, WebP, BMP, DICOM or NIfTI file."
    )


def test_a_name_is_shown_as_text_whatever_it_holds(page: Page) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    drop(page, (name, b"text"))
    expect(page.locator(".card h2")).to_have_text(name)


def test_an_image_asked_for_twice_is_read_once(page: Page) -> None:
    bone = encode(bone_phantom(256, random_state=1), "JPEG")
    drop(page, ("a.jpg", bone), ("b.jpg", bone), ("c.jpg", bone))
    expect(page.locator(".card.refused")).to_have_count(3)
    held: list[Route] = []
    holding = [True]
    page.route("**/read", lambda route: held.append(route) if holding else route.continue_())
    button = page.locator(".card").get_by_role("button", name="Fracture").nth(1)
    button.click()
    button.click()
    expect(page.locator("#asking")).to_contain_text("2 images do not say what they show")
    page.locator("#asking").get_by_role("button", name="Fracture").click()
    expect(page.locator("#asking")).to_be_hidden()
    holding.clear()
    for route in held:
        route.continue_()
    expect(page.locator(".card.refused")).to_have_count(0)
    expect(names_of(page)).to_have_text(["a.jpg", "b.jpg", "c.jpg"])


def test_what_was_cancelled_can_be_asked_for_again(page: Page) -> None:
    bone = encode(bone_phantom(256, random_state=1), "JPEG")
    drop(page, ("a.jpg", bone), ("b.jpg", bone))
    expect(page.locator(".card.refused")).to_have_count(2)
    page.route("**/read", lambda _: None)  # never answered
    page.locator("#asking").get_by_role("button", name="Fracture").click()
    expect(page.locator("#asking")).to_be_hidden()
    page.locator("#cancel").click()
    expect(page.locator("#asking")).to_contain_text("2 images do not say what they show")
    page.unroute("**/read")
    page.locator("#asking").get_by_role("button", name="Fracture").click()
    expect(page.locator(".card.refused")).to_have_count(0)
    expect(names_of(page)).to_have_text(["a.jpg", "b.jpg"])


def test_images_that_do_not_say_what_they_show_are_asked_for_at_once(page: Page) -> None:
    bone = encode(bone_phantom(256, random_state=1), "JPEG")
    drop(page, ("a.jpg", bone), ("b.jpg", bone), ("c.jpg", bone))
    expect(page.locator(".card.refused")).to_have_count(3)
    page.locator(".card").get_by_role("button", name="Fracture").nth(1).click()
    expect(page.locator(".card.refused")).to_have_count(2)
    expect(page.locator("#asking")).to_contain_text("2 images do not say what they show")
    page.locator("#asking").get_by_role("button", name="Fracture").click()
    expect(page.locator(".card.refused")).to_have_count(0)
    expect(page.locator("#asking")).to_be_hidden()
    expect(names_of(page)).to_have_text(["a.jpg", "b.jpg", "c.jpg"])


def test_newest_first_and_each_batch_in_its_own_order(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    drop(page, *((f"{number}.png", CHEST) for number in range(4)))
    expect(page.locator(".card")).to_have_count(4)
    drop(page, ("later.png", CHEST))
    expect(page.locator(".card")).to_have_count(5)
    expect(names_of(page)).to_have_text(["later.png", "0.png", "1.png", "2.png", "3.png"])


def test_an_image_can_be_pasted_or_chosen(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    page.evaluate(PASTE, base64.b64encode(CHEST).decode())
    expect(page.locator(".card h2")).to_have_text("image.png")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files({"name": "chosen.png", "mimeType": "image/png", "buffer": CHEST})
    expect(page.locator(".card h2").first).to_have_text("chosen.png")


def test_a_folder_is_walked_and_clutter_left_out(page: Page, tmp_path: Path) -> None:
    ask_for(page, "Tuberculosis")
    for name in ("study/a.png", "study/deeper/b.png", "study/.DS_Store", "study/Thumbs.db"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CHEST)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(tmp_path / "study")
    for name in ("study/a.png", "study/deeper/b.png"):  # whichever the browser finds first
        expect(names_of(page).filter(has_text=re.compile(f"^{name}$"))).to_have_count(1)
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator(".card")).to_have_count(2)


def test_everything_works_from_the_keyboard(page: Page) -> None:
    press = page.keyboard.press
    press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    press("Escape")
    press("3")
    expect(page.get_by_role("radio", name="Tuberculosis")).to_be_checked()
    with page.expect_file_chooser() as chooser:
        press("o")
    chooser.value.set_files([{"name": name, "mimeType": "", "buffer": CHEST} for name in ("a.png", "b.png")])
    expect(page.locator(".card")).to_have_count(2)
    press("j")
    press("j")
    expect(page.locator(".card").nth(1)).to_be_focused()
    press("h")
    expect(page.locator(".heat").nth(1)).to_be_visible()
    expect(page.locator(".heat").nth(0)).to_be_hidden()
    press("]")
    expect(page.locator(".heat").nth(1)).to_have_css("opacity", "0.65")
    press("e")
    expect(page.get_by_role("dialog")).to_contain_text("b.png")
    press("k")
    expect(page.get_by_role("dialog")).to_contain_text("a.png")
    press("Escape")
    expect(page.locator(".card").nth(0)).to_be_focused()
    press("x")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    press("Enter")
    expect(page.locator(".card")).to_have_count(2)


def test_focus_is_always_seen_and_reaches_the_card(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    drop(page, ("a.png", CHEST))
    expect(page.locator(".card")).to_have_count(1)
    page.keyboard.press("h")
    page.locator("body").click(position={"x": 5, "y": 790})
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.ariaLabel"))
        focused = page.locator(":focus-visible")
        if focused.count() and not focused.evaluate("one => one.matches('.tasks input')"):
            assert focused.evaluate("one => getComputedStyle(one).outlineStyle") != "none"
    assert {"Heat map", "Strength of the heat map", "Enlarge a.png", "Remove a.png"} <= reached
    assert {"Evidence at this operating point", "Known limits of this bundle"} <= reached


def test_single_keys_can_be_turned_off(page: Page) -> None:
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    expect(page.get_by_role("radio", name="Automatic")).to_be_checked()


def test_the_download_is_the_contract_of_the_command_line(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    drop(page, ("a.png", CHEST), ("b.png", b"text"))
    expect(page.locator(".card")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    first, second = json.loads(download.value.path().read_text())["readings"]
    contract = ["path", "task", "bundle", "probability", "score", "decision", "operating_point", "warnings"]
    contract += ["heatmap", "refusal"]
    assert list(first)[: len(contract)] == list(second)[: len(contract)] == contract
    assert not {"display", "drawn", "id", "stored"} & {*first, *second}
    assert (first["path"], second["refusal"]["code"]) == ("a.png", "not_an_image")
    assert first["heatmap"].startswith("data:image/png;base64,")


def test_many_images_can_be_cancelled_and_filtered(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    sent: list[Route] = []

    def answer_two(route: Route) -> None:
        sent.append(route)
        if len(sent) <= 2:
            route.continue_()

    page.route("**/read", answer_two)
    drop(page, ("text.png", b"text"), *((f"{number}.png", CHEST) for number in range(16)))
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator(".card")).to_have_count(2)
    page.locator("#filters").get_by_role("button", name="Not read").click()
    expect(page.locator(".card:visible")).to_have_count(1)


def test_a_cancel_says_how_many_were_not_read_and_goes_on(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    held: list[Route] = []
    page.route("**/read", lambda route: held.append(route))
    drop(page, *((f"{number}.png", CHEST) for number in range(5)))
    expect(page.locator("#progress")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("region", name="Not read")).to_contain_text("Cancelled; 5 not read")
    expect(page.get_by_role("button", name="Read them now")).to_be_focused()
    page.unroute("**/read")
    page.get_by_role("button", name="Read them now").click()
    expect(page.locator(".card")).to_have_count(5, timeout=30_000)
    expect(page.get_by_role("region", name="Not read")).to_be_hidden()


def test_leaving_while_images_are_sent_asks_first(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    page.route("**/read", lambda _: None)  # never answered
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("button", name="Choose images").focus()
    drop(page, ("a.png", CHEST))
    expect(page.locator("#progress")).to_be_visible()
    page.evaluate("location.href = '/worklist'")
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Leave them").click()
    page.goto("/worklist")
    assert asked == ["beforeunload"]


def test_readings_come_back_after_a_reload_and_on_the_way_back(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    drop(page, ("a.png", CHEST), ("film.dcm", FILM), ("note.png", b"text"))
    expect(page.locator(".card")).to_have_count(3)
    said = page.locator(".card .card-answer .decision").all_inner_texts()
    page.reload()
    expect(page.locator(".card")).to_have_count(3)
    expect(names_of(page)).to_have_text(["a.png", "film.dcm", "note.png"])
    assert page.locator(".card .card-answer .decision").all_inner_texts() == said
    assert natural_width(page.get_by_alt_text("The image a.png")) == 500
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    first = json.loads(download.value.path().read_text())["readings"][0]
    assert first["heatmap"].startswith("data:image/png;base64,")
    page.locator(".card").first.get_by_role("link", name="Open").click()
    expect(page).to_have_url(re.compile(r"/readings/\d+$"))
    page.go_back()
    expect(page.locator(".card")).to_have_count(3)
    ready(page)
    drop(page, ("later.png", CHEST[:-1] + b"x"))
    expect(page.locator(".card")).to_have_count(4)
    expect(names_of(page).first).to_have_text("later.png")
    page.get_by_role("button", name="Clear all").click()
    page.reload()
    ready(page)
    expect(page.locator(".card")).to_have_count(0)


def test_a_card_leads_to_the_reading_its_report_and_an_opinion(page: Page) -> None:
    drop(page, ("film.dcm", FILM))
    ways = page.locator(".card .ways a")
    expect(ways).to_have_text(["Open", "Report", "Your opinion"])
    ways.nth(2).click()
    expect(page).to_have_url(re.compile(r"/readings/\d+#review$"))
    expect(page.get_by_role("heading", name="Your opinion")).to_be_visible()


@pytest.mark.parametrize("reloaded", [False, True])
def test_an_image_read_for_the_wrong_task_is_read_for_another(page: Page, reloaded: bool) -> None:
    drop(page, ("film.dcm", FILM))
    expect(page.locator(".card-answer .facts")).to_contain_text("Tuberculosis")
    if reloaded:
        page.reload()
        expect(page.locator(".card")).to_have_count(1)
    page.get_by_text("Read as another task").click()
    expect(page.locator(".card .read-as button")).to_have_text(["Brain tumour", "Fracture"])
    page.locator(".card").get_by_role("button", name="Fracture").click()
    expect(page.locator(".card .reason")).to_contain_text("this task reads: hand")
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".card .read-as button")).to_have_text(["Brain tumour", "Tuberculosis"])
    page.locator(".card").get_by_role("button", name="Tuberculosis").click()
    expect(page.locator(".card-answer .facts")).to_contain_text("Tuberculosis")


def test_a_filter_says_what_it_hides_of_what_came_in(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    drop(page, ("a.png", CHEST), ("note.png", b"text"))
    expect(page.locator(".card")).to_have_count(2)
    page.locator("#filters").get_by_role("button", name="Not read").click()
    expect(page.locator("#hidden-note")).to_be_hidden()
    drop(page, ("b.png", CHEST))
    expect(page.locator("#hidden-note")).to_contain_text("New, but hidden by the filter: 1")
    page.locator("#hidden-note").get_by_role("button", name="Show all").click()
    expect(page.locator(".card:visible")).to_have_count(3)
    expect(page.locator("#hidden-note")).to_be_hidden()


@pytest.mark.parametrize("storage", [True, False])
def test_a_heat_map_is_drawn_on_positives_and_on_negatives_when_asked_for(page: Page, storage: bool) -> None:
    if not storage:
        page.add_init_script(
            "Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } })"
        )
        page.goto("/")
        ready(page)
    tumour = dicom_bytes(brain_phantom(256, random_state=0, lesion=True), Modality="MR", BodyPartExamined="BRAIN")
    drop(page, ("brain.dcm", tumour), ("film.dcm", FILM))
    expect(page.locator(".card.positive .heat")).to_be_visible()
    expect(page.locator(".card.negative .heat")).to_be_hidden()
    page.locator(".card.negative").get_by_role("button", name="Heat map").click()
    expect(page.locator(".card.negative .heat")).to_be_visible()
    page.locator(".card.positive").get_by_role("button", name="Heat map").click()
    expect(page.locator(".card.positive .heat")).to_be_hidden()
    drop(page, ("again.dcm", FILM), ("brain-again.dcm", tumour))
    expect(page.locator(".card.negative .heat")).to_have_count(2)
    expect(page.locator(".card.negative .heat").first).to_be_visible()
    expect(page.locator(".card.positive .heat").first).to_be_hidden()
    page.locator(".card.negative").first.get_by_role("link", name="Open").click()
    ready(page)
    heat = page.get_by_role("button", name="Heat map", exact=True)
    expect(heat).to_have_attribute("aria-pressed", "true" if storage else "false")  # without it, each page begins anew


def test_no_number_is_cut_off_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    drop(page, ("film.dcm", FILM))
    page.get_by_text("Evidence at this operating point").click()
    cut = page.locator(".card").evaluate("""card => [...card.querySelectorAll("*")]
        .filter((part) => part.getBoundingClientRect().right > card.getBoundingClientRect().right + 1
            || (part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).overflowX !== "visible"))
        .map((part) => part.outerHTML.slice(0, 80))""")
    assert cut == []


def test_trouble_with_the_server_is_told_and_can_be_tried_again(page: Page) -> None:
    ask_for(page, "Tuberculosis")
    trouble = {"status": 503, "json": {"detail": "the model cannot be loaded"}}
    page.route("**/read", lambda route: route.fulfill(**trouble), times=1)
    drop(page, ("a.png", CHEST))
    expect(page.locator(".card .reason")).to_contain_text("The model cannot be loaded.")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".card-answer .facts")).to_contain_text("Tuberculosis")
    expect(page.locator(".card")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_dark_and_light_follow_the_system_and_can_be_chosen(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    assert (lightness(page) < 0.2) == (scheme == "dark")
    theme = page.get_by_role("button", name=re.compile("^Theme"))
    theme.click()
    expect(theme).to_have_text("Theme: dark")
    assert lightness(page) < 0.2
    page.reload()
    assert lightness(page) < 0.2
    theme.click()
    assert lightness(page) > 0.8


def test_a_phone_shows_everything_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    drop(page, ("a-very-long-name-" * 12 + ".png", CHEST), ("film.dcm", FILM), ("b.png", b"text"))
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_text("Evidence at this operating point").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def drop(page: Page, *files: tuple[str, bytes]) -> None:
    page.evaluate(DROP, [[name, base64.b64encode(data).decode()] for name, data in files])


def names_of(page: Page) -> Locator:
    return page.locator(".card h2")


def ask_for(page: Page, title: str) -> None:
    page.get_by_text(title, exact=True).click()
    expect(page.get_by_role("radio", name=title)).to_be_checked()


def natural_width(image: Locator) -> int:
    expect(image).to_be_visible()
    return int(image.evaluate("image => image.decode().then(() => image.naturalWidth)"))


def lightness(page: Page) -> float:
    """Of the page's ground, 0–1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 765
