"""Every sentence of the pages has its Hindi, with the same places to fill in, and the catalogue is compiled."""

import io
import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from flask.testing import FlaskClient

from secondread import web
from secondread.data.split import MEASURED
from secondread.images.decode import NOT_READ_HERE
from secondread.images.raster import DAMAGED
from secondread.reading import reasons
from secondread.reading.heatmap import CAVEAT
from secondread.service.pdf import DISCLAIMER
from secondread.tasks import list_tasks, load_task
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from secondread.web.language import CODES, in_words
from tests.web.conftest import multipart, post

ROOT = Path(__file__).parents[2]
WEB = Path(web.__file__).parent
FOLDER = WEB / "translations" / "hi" / "LC_MESSAGES"
PLACES = re.compile(r"%\(\w+\)s|\{\w+\}|%%")


@pytest.fixture(scope="module")
def hindi() -> Catalog:
    with (FOLDER / "messages.po").open("rb") as file:
        return read_po(file, locale="hi")


@cache
def gathered() -> set[str]:
    """The sentences that `make translations` gathers, found by its own rules."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    named = re.findall(r"-k (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    keywords = DEFAULT_KEYWORDS | parse_keywords(named)
    found = extract_from_dir(ROOT, methods, options, keywords=keywords)
    return {_first(message) for _, _, message, _, _ in found}


def test_every_sentence_has_its_hindi_and_no_other_is_kept(hindi: Catalog) -> None:
    sentences = gathered()
    kept = {_first(message.id): _first(message.string) for message in hindi if message.id}
    assert sentences - set(kept) == set(), "translate these in translations/hi/LC_MESSAGES/messages.po"
    assert set(kept) - sentences == set(), "these are said no more"
    assert [english for english, said in kept.items() if not said] == []
    forms = [message.string for message in hindi if message.id and isinstance(message.string, tuple)]
    assert all(all(form) for form in forms), "every plural form"


def test_both_languages_have_the_same_places_to_fill_in(hindi: Catalog) -> None:
    pairs = [(_first(message.id), _first(message.string)) for message in hindi if message.id]
    assert [one for one, two in pairs if sorted(PLACES.findall(one)) != sorted(PLACES.findall(two))] == []


def test_the_compiled_catalogue_is_of_the_text(hindi: Catalog) -> None:
    compiled = read_mo(io.BytesIO((FOLDER / "messages.mo").read_bytes()))
    texts = [{_first(m.id): list(m.string) for m in found if m.id} for found in (compiled, hindi)]
    assert texts[0] == texts[1], "run `make translations`"


def test_what_lower_rooms_say_is_gathered_where_it_stands() -> None:
    said = {sentence for task in map(load_task, list_tasks()) for sentence in task.sentences}
    assert said | {CAVEAT, DISCLAIMER, *MEASURED} <= gathered()


def test_every_code_of_a_refusal_has_its_sentence() -> None:
    """What the reader, the gate and the intake can answer; a new one fails here until it is told."""
    code = re.compile(r"""(?:Refusal\(\s*|code(?:: str)? ?= ?)"([a-z_]+)\"""")
    places = ("errors.py", "reading/*.py", "service/*.py")
    found = {
        name for place in places for path in WEB.parent.glob(place) for name in code.findall(path.read_text("utf-8"))
    }
    assert {"wrong_kind", "truncated", "archive_nested", "defect"} <= found
    assert found - {"cannot_open"} - set(CODES) == set(), "tell these in web/language.py and translate them"


def test_a_sentence_without_its_hindi_is_folded_away_under_that_of_its_code(client: FlaskClient) -> None:
    """Rare words of decoders and of ours: nobody reads English in the middle of Hindi."""
    cut = dicom_bytes(chest_phantom(64, random_state=5))[:3000]

    def card(language: str) -> str:
        body, content_type = multipart(("cut.dcm", cut), task="tuberculosis")
        headers = {"Accept-Language": language, "Content-Type": content_type}
        (entry,) = client.post("/read", data=body, headers=headers).json["readings"]
        return re.search(r'<div class="reason">(.*?)</div>', entry["drawn"], re.DOTALL).group(1)

    sentence, _, folded = card("hi").partition('<details class="foreign">')
    assert sentence.strip() == "फ़ाइल क्षतिग्रस्त या अधूरी है। इसे फिर से भेजें।"
    assert folded.startswith('<summary>तकनीकी विवरण</summary><span lang="en">the DICOM file has ')
    assert card("en").startswith("The DICOM file has ")
    assert "<details" not in card("en")


def test_a_refusal_and_a_mistake_are_told_in_the_language_of_the_page(client: FlaskClient) -> None:
    (entry,) = post(client, ("note.png", b"\x89PNG\r\n\x1a\nno more"), task="tuberculosis").json["readings"]
    assert entry["refusal"]["code"] == "truncated"
    hindi = {"Accept-Language": "hi", "Accept": "text/html"}
    there = client.get("/readings/999999", headers=hindi)
    assert (there.status_code, "यह अब यहाँ नहीं है" in there.text) == (404, True)
    folded = '<details class="foreign"><summary>तकनीकी विवरण</summary><span lang="en">there is no reading 999999'
    assert folded in there.text
    assert '<span lang="en">' not in client.get("/readings/999999", headers=hindi | {"Accept-Language": "en"}).text
    login = client.post("/login", data={"name": "nobody", "password": "wrong"}, headers=hindi)
    assert "नाम या पासवर्ड ठीक नहीं है" in login.text
    wrong = client.get("/worklist?since=never", headers=hindi)
    assert "फ़ॉर्म में कुछ ठीक नहीं है" in wrong.text
    assert '"code:truncated"' in client.get("/words/hi.js").text
    assert "code:" not in client.get("/words/en.js").text


@pytest.mark.parametrize(
    "sentence",
    [
        reasons.tell(reasons.LOOKS_LIKE, looks="MRI slice of another part of the body", reads="chest X-ray"),
        reasons.tell(reasons.NOT_LIKE_IT, reads="brain MRI slice"),
        reasons.tell(reasons.OTHER_PART, said="HAND", reads="chest"),
        reasons.tell(
            reasons.TASK_UNKNOWN,
            facts=reasons.tell(reasons.AND_LOOKS, facts=reasons.SAYS_NOTHING, looks="CT slice"),
            tasks="fracture",
        ),
        reasons.BLANK,
        NOT_READ_HERE % {"what": "a PDF", "instead": "export its image as PNG or send the DICOM file"},
        DAMAGED % {"kind": "PNG"},
        "this is not an image; send a PNG, JPEG, TIFF, WebP, BMP, DICOM or NIfTI file",
    ],
)
def test_why_an_image_is_not_read_is_told_in_hindi_alone(client: FlaskClient, sentence: str) -> None:
    with client.application.test_request_context(headers={"Accept-Language": "hi"}):
        told = str(in_words(sentence, "wrong_kind"))
    assert "<span" not in told
    names = {"MRI", "CT", "HAND", "PDF", "PNG", "JPEG", "TIFF", "WebP", "BMP", "DICOM", "NIfTI", "fracture"}
    assert set(re.findall(r"[A-Za-z]+", told)) <= names


@pytest.mark.parametrize("path", ["/", "/worklist", "/uploads", "/thresholds", "/account", "/trail", "/login"])
def test_a_browser_that_prefers_hindi_gets_it(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Accept-Language": "hi-IN,hi;q=0.9,en;q=0.5"}, follow_redirects=True)
    assert '<html lang="hi" dir="ltr">' in answer.text
    assert "कार्यसूची" in answer.text


def test_scripts_get_their_words(client: FlaskClient) -> None:
    answer = client.get("/words/hi.js")
    assert answer.mimetype == "text/javascript"
    assert '"Choose images": "छवियाँ चुनें"' in answer.text
    assert client.get("/words/en.js").text == "export default {};\n"
    assert client.get("/words/tlh.js").status_code == 404


def test_only_addresses_of_this_server_are_gone_back_to(client: FlaskClient) -> None:
    for wanted in ("//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example"):
        answer = client.post("/language", data={"language": "hi", "next": wanted})
        assert answer.headers["Location"] == "/"
    answer = client.post("/language", data={"language": "en", "next": "/worklist?order=newest"})
    assert answer.headers["Location"] == "/worklist?order=newest"


def _first(text: object) -> str:
    return text[0] if isinstance(text, tuple | list) else str(text)
