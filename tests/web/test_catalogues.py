"""A language is one file; what is wrong in it is left out, and the log says what."""

import logging
from pathlib import Path

import pytest

from secondread.web import create_app
from secondread.web.catalogues import catalogue_files, direction_of, name_of, read_catalogue

HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"{plurals}\\n"\n\n'
TWO = "Plural-Forms: nplurals=2; plural=(n != 1);"


def written(folder: Path, name: str, **sentences: str) -> Path:
    folder.mkdir(exist_ok=True)
    said = "".join(f'msgid "{english}"\nmsgstr "{told}"\n\n' for english, told in sentences.items())
    path = folder / name
    path.write_text(HEAD.format(plurals=TWO) + said, "utf-8")
    return path


def test_a_third_language_and_other_words_in_one_that_is_there(tmp_path: Path) -> None:
    languages = tmp_path / "languages"
    written(languages, "sw.po", Worklist="Orodha ya kazi")
    written(languages, "ur.po", Worklist="فہرست")
    written(languages, "hi.po", Worklist="सूची")
    app = create_app({"DATA_FOLDER": str(tmp_path), "GATE": "off"})
    client = app.test_client()
    shown = {code: client.get("/worklist", headers={"Accept-Language": code}).text for code in ("sw", "ur", "hi", "en")}
    app.extensions["secondread.service"].close()
    assert "Orodha ya kazi" in shown["sw"]
    assert '<button class="plain" name="language" value="sw" lang="sw">Kiswahili</button>' in shown["en"]
    assert '<html lang="ur" dir="rtl">' in shown["ur"]
    assert "<h1>सूची</h1>" in shown["hi"]
    assert "अपलोड" in shown["hi"], "what the site's file leaves out is the package's"
    assert client.post("/language", data={"language": "sw"}).headers["Set-Cookie"].startswith("language=sw")


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path, "klingon-empire.po", Worklist="x")
    (tmp_path / "fr.po").write_bytes(b"\xff\xfe no catalogue")
    (tmp_path / "de.po").write_text('msgid "Worklist\nmsgstr', "utf-8")
    written(tmp_path, "it.po", Worklist="Lista")
    with caplog.at_level(logging.WARNING):
        assert sorted(catalogue_files(tmp_path)) == ["hi", "it"]
    assert all(name in caplog.text for name in ("klingon-empire.po", "fr.po", "de.po"))


@pytest.mark.parametrize(
    ("english", "told", "kept"),
    [
        ("%(n)s images", "%(n)s picha", True),
        ("%(n)s images", "picha", False),
        ("%(n)s images", "%(m)s picha", False),
        ("{n} done", "{n} tayari", True),
        ("{n} done", "tayari", False),
        ("50 %% sure", "50 % hakika", False),
        ("Worklist", "<script>", False),
    ],
)
def test_a_sentence_that_would_break_a_page_stays_english(tmp_path: Path, english: str, told: str, kept: bool) -> None:
    found = read_catalogue(written(tmp_path, "sw.po", **{english: told}))
    assert (english in found) == kept


def test_languages_are_named_in_their_own_words() -> None:
    assert [name_of(code) for code in ("hi", "sw", "pt-BR")] == ["हिन्दी", "Kiswahili", "Português (Brasil)"]
    assert (direction_of("ar"), direction_of("hi")) == ("rtl", "ltr")
