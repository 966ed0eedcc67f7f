"""A real Chromium for tests, quiet and without a network of its own."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# What a page takes says more of the machine and of what runs beside than of the code: cards come when they come.
expect.set_options(timeout=30_000)

CHROMIUM = shutil.which("chromium")
_QUIET = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
_QUIET += ["disable-component-update", "disable-sync"]
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (4\d\d|503) ")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; a skip where there is none."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in _QUIET])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    """A page of its own session; afterwards the browser must have nothing to complain of but answers that say why not.

    options: of the session, as locale='hi-IN'.
    """
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800}, **options)  # type: ignore[arg-type]
    page = context.new_page()
    complaints: list[str] = []
    grave = ("error", "warning")
    page.on("console", lambda message: complaints.append(message.text) if message.type in grave else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [text for text in complaints if not _REFUSED.match(text)] == []
