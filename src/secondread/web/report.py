"""The report of a reading as a page, and the line on it that says whose image it is, also over the API."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import String
from apiflask.validators import Length
from flask import redirect, render_template, url_for

from secondread.pages import data_uri
from secondread.service import PatientLine, report_facts
from secondread.service.patient_lines import LONGEST, MODES
from secondread.service.report import short
from secondread.service.tables import now
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.forms import written
from secondread.web.problems import attempt
from secondread.web.shapes import Text, one_of, said, shape_of

patient_lines = APIBlueprint("patient_lines", __name__, url_prefix="/api/v1", tag="reports")
pages = APIBlueprint("patient_line_pages", __name__, enable_openapi=False)


class PatientLineIn(Schema):
    """What was typed; all of it empty erases the line."""

    patient = Text(load_default="", validate=Length(max=LONGEST), metadata=said("as the site calls them"))
    accession = Text(load_default="", validate=Length(max=LONGEST))
    study_date = Text(load_default="", metadata=said("as 2026-03-01"))


@shape_of(PatientLine, "patient accession study_date")
class PatientLineOut(Schema):
    """Whose image it is; what is not known is empty."""

    mode = String(required=True, metadata=one_of(MODES) | said("the setting patient_line; off: nothing is kept"))


@patient_lines.get("/readings/<int:reading_id>/patient-line")
@require("read")
@patient_lines.output(PatientLineOut)
@patient_lines.doc(operation_id="getPatientLine", summary="Tell whose image it is")
def tell(reading_id: int) -> Any:
    """Answer with what the report of a reading says of its patient."""
    reading = service().readings.get(reading_id, actor=current_actor(), answer=False)
    return _shown(service().patient_lines.of(reading.image_sha256) or PatientLine())


@patient_lines.put("/readings/<int:reading_id>/patient-line")
@require("write")
@patient_lines.input(PatientLineIn)
@patient_lines.output(PatientLineOut)
@patient_lines.doc(operation_id="typePatientLine", summary="Type whose image it is")
def type_line(reading_id: int, json_data: dict[str, Any]) -> Any:
    """Keep the line with the image, for all its readings. 409 where the setting patient_line is not 'typed'."""
    return _shown(service().patient_lines.write(reading_id, PatientLine(**json_data), actor=current_actor()))


@pages.post("/readings/<int:reading_id>/patient-line")
@require("write")
def take_down(reading_id: int) -> Any:
    """Take the line down from the report's page and show the report with it."""
    typed = PatientLine(written("patient"), written("accession"), written("study_date"))

    def act() -> Any:
        service().patient_lines.write(reading_id, typed, actor=current_actor())
        return redirect(url_for("room.report", reading_id=reading_id), code=303)

    return attempt(act, lambda sentence: report_page(reading_id, typed=typed, mistake=sentence))


def report_page(reading_id: int, *, heat_map: bool = False, typed: PatientLine | None = None, mistake: str = "") -> str:
    """The reading on one page to print. typed: what the form holds in place of what is kept."""
    facts = report_facts(service(), reading_id, actor=current_actor(), heat_map=heat_map)
    service().trail.record(current_actor(), "report.made", f"reading:{reading_id}", format="html")
    return render_template(
        "report.html",
        facts=facts,
        reading=facts.on_paper,
        uri=data_uri,
        heat_map=heat_map,
        types_line=service().patient_lines.mode == "typed",
        typed=typed or facts.patient,
        mistake=mistake,
        actor=current_actor(),
        now=now(),
        short=short,
    )


def _shown(line: PatientLine) -> dict[str, str]:
    return {**vars(line), "mode": service().patient_lines.mode}
