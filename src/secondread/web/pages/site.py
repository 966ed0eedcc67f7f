"""What belongs to no area: the choice of language and its words for scripts."""

import json
from importlib.resources import files
from typing import Any

from apiflask import APIBlueprint
from flask import Response, redirect, request
from flask_babel import force_locale

from secondread.errors import NotThere
from secondread.web.auth import public
from secondread.web.pages.language import COOKIE, LANGUAGES, script_words
from secondread.web.pages.parts import way_back

site = APIBlueprint("site", __name__, enable_openapi=False)
_YEAR = 365 * 24 * 3600  # seconds


@site.post("/language")
@public
def choose_language() -> Any:
    """Keep the language in this browser and go back to the page."""
    chosen = request.form.get("language", "")
    answer = redirect(way_back("/"), code=303)
    if chosen in LANGUAGES:
        answer.set_cookie(COOKIE, chosen, max_age=_YEAR, samesite="Lax", httponly=True, secure=request.is_secure)
    return answer


@site.get("/fonts/devanagari.ttf")
@public
def devanagari() -> Response:
    """The letters of Hindi, the same that the report as PDF is set in."""
    data = (files("secondread.service") / "fonts" / "NotoSansDevanagari-Regular.ttf").read_bytes()
    return Response(data, content_type="font/ttf")


@site.get("/words/<language>.js")
@public
def words_of(language: str) -> Response:
    """A module with every translated sentence by its English one. 404 for a language that is not there."""
    if language not in LANGUAGES:
        raise NotThere(f"there is no language '{language[:20]}' here")
    with force_locale(language):
        text = json.dumps(script_words(), ensure_ascii=False)
    return Response(f"export default {text};\n", content_type="text/javascript; charset=utf-8")
