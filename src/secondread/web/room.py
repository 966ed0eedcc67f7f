"""The room of one reading: looked at, judged, settled, compared, printed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean
from flask import Response, redirect, render_template, request, url_for

from secondread.errors import UsageError
from secondread.service import Filter, ReadingRequest, StoredReading, answer_facts, bundle_of, check_shown, report_facts
from secondread.tasks import list_tasks, task_named
from secondread.web.auth import current_actor, current_role, require
from secondread.web.context import desk, service
from secondread.web.document import other
from secondread.web.filters import form_filter, telling_nothing
from secondread.web.forms import bundles, plain_name, written
from secondread.web.hanging import hanging_of
from secondread.web.language import said, script_words
from secondread.web.problems import attempt
from secondread.web.report import report_page

room = APIBlueprint("room", __name__, url_prefix="/readings/<int:reading_id>", enable_openapi=False)
reports = APIBlueprint("report", __name__, tag="reports")


class ReportQuery(Schema):
    """What the report is to show."""

    heatmap = Boolean(load_default=False, metadata={"description": "true: the heat map of a negative too"})


@room.get("")
@require("read")
def show(reading_id: int) -> Any:
    """The viewer, the answer and the opinions. With `blind=1` the answer stays hidden until an opinion is given."""
    return _page(reading_id)


@room.post("/review")
@require("review")
def review(reading_id: int) -> Any:
    """Take an opinion down."""
    form = request.form
    saw = form.get("saw_answer") != "0"

    def act() -> Any:
        found, verdict = form.get("finding", ""), form.get("verdict", "")
        finding = {"1": 1, "0": 0}.get(found)
        if found:  # where there is no answer to agree with, or it was hidden, what is found counts
            verdict = "unsure" if finding is None else "agree"
        if not verdict:
            raise UsageError("say whether you agree, disagree or are unsure; or what you find")
        service().reviews.add(
            reading_id,
            verdict=verdict,
            finding=finding,
            note=written("note"),
            saw_answer=saw,
            actor=current_actor(),
            role=current_role(),
        )
        return _back(reading_id)

    return attempt(act, lambda sentence: _page(reading_id, mistake=sentence))


@room.post("/adjudication")
@require("review")
def adjudicate(reading_id: int) -> Any:
    """Settle what reviewers differ on."""

    def act() -> Any:
        if request.form.get("finding") not in ("0", "1"):
            raise UsageError("say what is found: disease or none")
        service().reviews.adjudicate(
            reading_id,
            finding=int(request.form["finding"]),
            note=written("note"),
            actor=current_actor(),
            role=current_role(),
        )
        return _back(reading_id)

    return attempt(act, lambda sentence: _page(reading_id, mistake=sentence))


@room.get("/compare")
@require("read")
def compare(reading_id: int) -> Any:
    """This reading beside another bundle's of the same image."""
    return _comparison(reading_id)


@room.post("/compare")
@require("write")
def read_with(reading_id: int) -> Any:
    """Let another bundle read the same image, keep what it answers, and show both."""

    def act() -> Any:
        first = service().readings.get(reading_id, actor=current_actor())
        name = written("bundle")
        if name not in (known := [plain_name(bundle) for bundle in bundles()]):
            raise UsageError(f"choose one of the bundles that are here: {', '.join(known)}")
        second = desk().read_again(first, ReadingRequest("auto", name), actor=current_actor())
        return redirect(url_for("room.compare", reading_id=reading_id, other=second.id), code=303)

    return attempt(act, lambda sentence: _comparison(reading_id, mistake=sentence))


@room.post("/as")
@require("write")
def read_as(reading_id: int) -> Any:
    """Let another task read the same image, where the first was not the right one, and show what it answers."""

    def act() -> Any:
        asked = ReadingRequest(written("task"))
        desk().check(asked)
        first = service().readings.get(reading_id, actor=current_actor())
        found = desk().read_again(first, asked, actor=current_actor())
        return redirect(url_for("room.show", reading_id=found.id), code=303)

    return attempt(act, lambda sentence: _page(reading_id, mistake=sentence))


@room.get("/report")
@require("read")
def report(reading_id: int) -> str:
    """The reading on one page to print."""
    return report_page(reading_id, heat_map=request.args.get("heatmap") == "true")


@reports.get("/api/v1/readings/<int:reading_id>/report.pdf")
@require("read")
@reports.input(ReportQuery, location="query")
@reports.doc(
    summary="Print a reading",
    operation_id="getReport",
    responses=other("application/pdf", "One page of A4"),
)
def for_programs(reading_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with one page: pictures, answer, operating point, known limits, warnings and reviewers."""
    return _pdf(reading_id, heat_map=query_data["heatmap"])


@reports.get("/readings/<int:reading_id>/report.pdf")
@require("read")
@reports.doc(hide=True)
def for_people(reading_id: int) -> Response:
    """The same in the language of the page, under its address."""
    told = script_words()
    heat_map = request.args.get("heatmap") == "true"
    return _pdf(reading_id, lambda sentence: told.get(sentence) or said(sentence), heat_map)


def _page(reading_id: int, mistake: str = "") -> str:
    try:
        asked = form_filter(request.args)
    except UsageError:
        asked = form_filter({})
    actor = current_actor()
    if request.form.get("saw_answer") == "0":  # what was wrong with an opinion is told without the answer
        actor = replace(actor, opinion_first=True)
    asked = telling_nothing(asked) if actor.opinion_first else asked
    facts = report_facts(service(), reading_id, actor=actor, with_pictures=False)
    reading, history = facts.reading, service().reviews.of(reading_id)
    before, after = service().worklist.neighbours(reading, asked.only, order=asked.order)
    around = service().studies.around(reading, actor=actor)
    mine = [one for one in history if one.current and one.reviewer == current_actor().name]
    drawn = service().boxes.of(reading_id)
    my_boxes = [one for one in drawn if one.current and one.person == current_actor().name]
    can_draw = actor.may("review") and reading.facts.get("width") and reading.erased_at is None and not reading.hidden
    others = [task_named(name) for name in list_tasks() if name != reading.task]
    return render_template(
        "room.html",
        facts=facts,
        reading=reading,
        history=history,
        around=around,
        hung=hanging_of(reading, around),
        maps_lesions=_maps_lesions(reading),
        mine=mine[-1] if mine else None,
        drawn=drawn,
        my_boxes=[one.to_dict() for one in my_boxes[-1].boxes] if my_boxes else None,
        may_draw=bool(can_draw),
        blind=reading.hidden,
        before=before,
        after=after,
        asked=asked,
        mistake=mistake,
        needed=service().reviews.needed,
        other_tasks=[task for task in others if not task.asked_after],
        next_tasks=[task for task in others if task.asked_after == reading.task and _leads_on(reading)],
        can_settle=reading.review_state == "disputed" and not mine,
    )


def _leads_on(reading: StoredReading) -> bool:
    """Whether a question that follows another may be asked."""
    return reading.decision in ("positive", "uncertain")


def _comparison(reading_id: int, mistake: str = "") -> str:
    first = service().readings.get(reading_id, actor=current_actor())
    check_shown(first)
    same = (
        service().worklist.page(Filter(image=first.image_sha256), order="newest", limit=100, actor=current_actor()).rows
    )
    others = [one for one in same if one.id != first.id]
    wanted = request.args.get("other", "")
    second = next((one for one in others if str(one.id) == wanted), others[0] if others else None)
    fitting = [plain_name(bundle) for bundle in bundles() if bundle.task.name == first.task]
    used = {one.bundle.partition("@")[0] for one in same}
    pair: list[StoredReading] = [first] if second is None else [first, second]
    facts = [(one, answer_facts(service(), one)) for one in pair]
    return render_template(
        "compare.html",
        first=first,
        pair=facts,
        has_boxes=any(each.marks is not None for _, each in facts),
        maps_lesions=any(_maps_lesions(one) for one in pair),
        others=others,
        second=second,
        unread=[name for name in fitting if name not in used],
        mistake=mistake,
    )


def _maps_lesions(reading: StoredReading) -> bool:
    bundle = bundle_of(reading)
    return bundle is not None and bundle.maps_lesions


def _back(reading_id: int) -> Any:
    """To the reading, or to the next one in the list where that was asked for."""
    target = request.form.get("then", "")
    goal = int(target) if target.isascii() and target.isdigit() and len(target) < 10 else reading_id
    asked = urlencode({name: value for name, value in request.args.items() if name != "blind"})
    return redirect(url_for("room.show", reading_id=goal) + (asked and f"?{asked}"), code=303)


def _pdf(reading_id: int, translate: Callable[[str], str] = str, heat_map: bool = False) -> Response:
    from secondread.service.pdf import reading_pdf  # with ReportLab, which only reports need

    pdf = reading_pdf(service(), reading_id, actor=current_actor(), translate=translate, heat_map=heat_map)
    answer = Response(pdf, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'inline; filename="reading-{reading_id}.pdf"'  # never the file's own name
    return answer
