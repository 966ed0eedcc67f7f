"""The page that teaches: ten drawn pictures, read as anybody's would be, with a question and an answer each."""

from apiflask import APIBlueprint
from flask import Response, abort, render_template, request

from secondread.service.lessons import LESSONS, Lesson, png_of, read_lesson
from secondread.web.auth import require
from secondread.web.context import desk, facts_of

learn = APIBlueprint("learn", __name__, url_prefix="/learn", enable_openapi=False)
_DAY = 24 * 3600  # seconds


@learn.get("")
@require("read")
def show() -> str:
    """What is taught, and the way to each picture."""
    return render_template("learn.html", lessons=LESSONS)


@learn.get("/<int:number>")
@require("read")
def lesson(number: int) -> str:
    """One picture with its answer and question; with `choice` in the address also what is right, and why."""
    one = _lesson(number)
    chosen = request.args.get("choice", "")
    reading = read_lesson(desk(), number)
    return render_template(
        "lesson.html",
        lesson=one,
        number=number,
        n=len(LESSONS),
        reading=reading,
        facts=facts_of(reading),
        chosen=int(chosen) if chosen in ("0", "1", "2") else None,
    )


@learn.get("/<int:number>.png")
@require("read")
def picture(number: int) -> Response:
    """The picture of a lesson."""
    _lesson(number)
    answer = Response(png_of(number), mimetype="image/png")
    answer.headers["Cache-Control"] = f"private, max-age={_DAY}"
    return answer


def _lesson(number: int) -> Lesson:
    if not 1 <= number <= len(LESSONS):
        abort(404)
    return LESSONS[number - 1]
