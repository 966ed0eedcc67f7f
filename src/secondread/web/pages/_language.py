"""The language of the pages: chosen by the reader, else the browser's own."""

from pathlib import Path

from apiflask import APIFlask
from flask import request
from flask_babel import Babel, get_translations
from flask_babel import get_locale as _get_locale

COOKIE = "language"
_FOLDER = Path(__file__).parent.parent / "translations"
_NAMES = {"en": "English", "hi": "हिन्दी"}
# What the pages are written in, and every language whose catalogue is there.
LANGUAGES = {code: name for code, name in _NAMES.items() if code == "en" or (_FOLDER / code).is_dir()}


def register(app: APIFlask) -> None:
    """Let templates translate; the catalogues come with the package."""
    Babel(app, default_translation_directories=str(_FOLDER), locale_selector=_choose, default_timezone="UTC")


def language() -> str:
    """Of this request, as 'en'."""
    found = _get_locale()
    return "en" if found is None else str(found.language)


def words() -> dict[str, str]:
    """Every translated sentence by its English one; empty in English. For the scripts of the pages."""
    catalogue = getattr(get_translations(), "_catalog", {})
    return {english: said for english, said in catalogue.items() if isinstance(english, str) and english and said}


def _choose() -> str:
    wanted = request.cookies.get(COOKIE, "")
    return wanted if wanted in LANGUAGES else request.accept_languages.best_match(list(LANGUAGES), "en") or "en"
