"""Errors as a page where a browser asked for one; programs keep getting problem details."""

from apiflask import APIFlask
from flask import Response, render_template, request

from secondread.web.problems import MEDIA_TYPE


def register(app: APIFlask) -> None:
    """Dress problems for people."""
    app.after_request(_dress)


def _dress(answer: Response) -> Response:
    if answer.mimetype != MEDIA_TYPE or not _wants_page():
        return answer
    problem = answer.get_json()
    answer.set_data(render_template("problem.html", problem=problem))
    answer.content_type = "text/html; charset=utf-8"
    return answer


def _wants_page() -> bool:
    return (
        not request.path.startswith("/api/")
        and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
        and "text/html" in request.headers.get("Accept", "")
    )
