"""A reading's report as PDF, for the page and for the API."""

from collections.abc import Callable

from apiflask import APIBlueprint
from flask import Response

from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.document import other
from secondread.web.pages.language import script_words

report = APIBlueprint("report", __name__, tag="reports")


@report.get("/api/v1/readings/<int:reading_id>/report.pdf")
@require("read")
@report.doc(
    summary="Print a reading",
    operation_id="getReport",
    responses=other("application/pdf", "One page of A4"),
)
def for_programs(reading_id: int) -> Response:
    """Answer with one page: pictures, answer, operating point, known limits, warnings and reviewers."""
    return _pdf(reading_id)


@report.get("/readings/<int:reading_id>/report.pdf")
@require("read")
@report.doc(hide=True)
def for_people(reading_id: int) -> Response:
    """The same in the language of the page, under its address."""
    told = script_words()
    return _pdf(reading_id, lambda sentence: told.get(sentence, sentence))


def _pdf(reading_id: int, translate: Callable[[str], str] = str) -> Response:
    from secondread.service.pdf import reading_pdf  # with ReportLab, which only reports need

    pdf = reading_pdf(service(), reading_id, actor=current_actor(), translate=translate)
    answer = Response(pdf, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'inline; filename="reading-{reading_id}.pdf"'  # never the file's own name
    return answer
