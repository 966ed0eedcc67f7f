"""Every word that a person sees can be translated: all pages in a language that marks what its catalogue says.

The language is one file, made here and laid into the data folder, so this is as well the test that a third language
needs no code.
"""

import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import numpy as np
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from flask.testing import FlaskClient

from secondread.testing.phantoms import bone_phantom, chest_phantom, encode
from secondread.web import create_app
from tests.web.conftest import multipart, post
from tests.web.test_page_languages import FOLDER, gathered

CODE = "eo"  # Esperanto: nobody has translated it yet
BEGIN, END = "⟦", "⟧"
# What stays as it is in every language: names, units, formats, and what stands in file headers.
KEPT = {
    "secondread", "API", "PDF", "CSV", "JSON", "SHA", "DICOM", "PNG", "JPEG", "TIFF", "WebP", "BMP", "Ctrl", "Esc",
    "English", "AE", "SCP", "UTC", "bit", "ms", "MB", "GB", "AC", "MONOCHROME", "inferno", "magma", "viridis",
    "cividis", "best", "paper", "local", "north", "film", "png", "limb",
}  # fmt: skip
HOSPITALS = {
    "montgomery", "shenzhen", "newdelhi", "tbx11k", "tbx", "nih", "mura", "veda", "fracatlas", "lgg", "cheng", "hands",
    "openms", "web",
}  # fmt: skip
UNSEEN = {"script", "style", "code", "template", "title-of-file"}
SPOKEN = ("alt", "title", "aria-label", "placeholder", "data-system", "data-dark", "data-light", "aria-valuetext")
PAGES = [
    "/", "/worklist", "/worklist?deleted=1", "/worklist?text=nothing", "/worklist?since=never", "/uploads", "/learn",
    "/learn/1", "/learn/3?choice=0", "/learn/7?choice=0", "/learn/8", "/readings/1", "/readings/1?blind=1",
    "/readings/2", "/readings/3", "/readings/1/compare", "/readings/1/report", "/readings/3/report", "/statistics",
    "/statistics?bundle=tuberculosis/best", "/thresholds?bundle=tuberculosis/best&prevalence=2", "/thresholds",
    "/models", "/account", "/accounts", "/trail", "/erase", "/erase?reading=1", "/dicom", "/login", "/readings/999999",
    "/nowhere",
]  # fmt: skip


class Words(HTMLParser):
    """What of a page can be seen or heard, piece by piece."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside: list[bool] = []  # of every open element, whether what it holds is kept as it is
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        void = tag in {"meta", "link", "img", "input", "br", "rect", "path", "circle", "use", "line", "polyline", "hr"}
        kept = tag in UNSEEN or told.get("lang") == "en" or "hash" in (told.get("class") or "").split()
        if not void:
            self.inside.append(kept)
        if not any(self.inside) and not kept:
            self.found += [told[name] or "" for name in SPOKEN if name in told]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in {"meta", "link", "img", "input", "br", "rect", "path", "circle", "use", "line", "polyline", "hr"}:
            self.inside.pop()

    def handle_endtag(self, tag: str) -> None:
        if self.inside:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.inside):
            self.found.append(data)


def unmarked(page: str) -> set[str]:
    """Pieces of a page that hold a word which no catalogue said."""
    left = set()
    for piece in Words(page).found:
        plain, before = piece, ""
        while plain != before:  # the innermost first: one sentence may hold another
            before, plain = plain, re.sub(f"{BEGIN}[^{BEGIN}{END}]*{END}", " ", plain)
        words = set(re.findall(r"[A-Za-z]{2,}", re.sub(r"\b[\w-]+[/@.:_][\w./:@-]+|\b[0-9a-f]{8,}\b", " ", plain)))
        if words - KEPT - HOSPITALS:
            left.add(" ".join(piece.split())[:120])
    return left


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """A client that speaks the language, of a site with a positive, a negative and a refused reading."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "languages").mkdir()
    (folder / "languages" / f"{CODE}.po").write_bytes(marked(CODE))
    app = create_app({"GATE": "off", "DATA_FOLDER": str(folder)})
    client = app.test_client()
    for name, picture, task in (
        ("film.png", chest_phantom(128, random_state=1), "tuberculosis"),
        ("limb.png", bone_phantom(128, random_state=1, lesion=True), "fracture"),
        ("film-2.png", np.full((90, 90), 40, np.uint8), "tuberculosis"),
    ):
        post(client, (name, encode(picture, "PNG")), task=task, source="north")
    client.post("/readings/1/compare", data={"bundle": "tuberculosis/paper"})
    client.post("/readings/1/review", data={"verdict": "agree", "saw_answer": "1"})
    body, kind = multipart(("waits.png", encode(chest_phantom(90, random_state=5), "PNG")), task="tuberculosis")
    client.post("/api/v1/batches", data=body, content_type=kind)  # without workers it waits
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = CODE
    client.environ_base["HTTP_ACCEPT"] = "text/html"
    yield client
    app.extensions["secondread.service"].close()


def marked(code: str) -> bytes:
    """A catalogue in which every sentence is itself between marks."""
    made = Catalog(locale=code)
    with (FOLDER / "messages.po").open("rb") as file:
        plurals = {one.id[0]: tuple(one.id) for one in read_po(file, locale="hi") if isinstance(one.id, tuple | list)}
    for sentence in sorted(gathered()):
        forms = plurals.get(sentence, (sentence,))
        said = tuple(f"{BEGIN}{form}{END}" for form in forms)
        made.add(forms if len(forms) > 1 else sentence, said if len(forms) > 1 else said[0])
    target = io.BytesIO()
    write_po(target, made)
    return target.getvalue()


@pytest.mark.parametrize("path", PAGES)
def test_every_word_of_a_page_can_be_translated(everywhere: FlaskClient, path: str) -> None:
    everywhere.application.config["LOGIN"] = "on" if path == "/login" else "auto"
    answer = everywhere.get(path)
    assert answer.status_code < 500
    assert f'<html lang="{CODE}"' in answer.text
    assert answer.text.count(BEGIN) >= 5
    assert unmarked(answer.text) == set()
