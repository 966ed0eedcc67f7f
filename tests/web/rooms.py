"""Ways through the reading room that several browser tests take."""

import io
import zipfile

from playwright.sync_api import Page, expect

from secondread.testing.phantoms import chest_phantom, encode

# ones that the shipped network calls positive
FILMS = [encode(chest_phantom((72, 60), random_state=seed, lesion=True), "PNG") for seed in (1, 7, 6, 12, 5)]


def fill(page: Page, n: int = 5) -> None:
    """Upload an archive of films through the page, unless they are there already."""
    page.goto("/worklist")
    if page.locator("#list").count():
        return
    page.goto("/uploads")
    ready(page)
    page.get_by_label("Read as").select_option("tuberculosis")
    page.get_by_label("Source").fill("north clinic")
    page.locator("#files").set_input_files(
        {"name": "films.zip", "mimeType": "application/zip", "buffer": archive(FILMS[:n])}
    )
    expect(page.locator(".batch .counts")).to_have_text(f"{n} of {n} read", timeout=60_000)


def open_first(page: Page) -> None:
    page.goto("/worklist?order=highest")
    page.locator("#rows .name a").first.click()
    ready(page)


def ready(page: Page) -> None:
    """Wait until the page takes keys."""
    page.locator("#shortcuts dt").first.wait_for(state="attached")


def settled(page: Page) -> None:
    """Wait until a page of any kind is as its scripts leave it."""
    if page.locator("#shortcuts").count():
        ready(page)


def archive(files: list[bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as found:
        for number, data in enumerate(files):
            found.writestr(f"films/film-{number}.png", data)
    return packed.getvalue()
