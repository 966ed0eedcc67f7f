"""The worklist: the readings that are kept, in the order in which they need a person; listed, exported, on a page."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import List, Nested, String
from flask import Response, current_app, redirect, render_template, request, url_for
from flask_babel import gettext

from secondread.service import ORDERS, REVIEW_STATES, News, csv_text, news_since, position_now, together
from secondread.tasks import list_tasks, task_named
from secondread.web.auth import choose_opinion_first, current_actor, opinion_first, require
from secondread.web.context import service
from secondread.web.document import other
from secondread.web.entries import placed_rows
from secondread.web.filters import FormFilter, OrderedQuery, PageQuery, filter_of, form_filter, telling_nothing
from secondread.web.problems import attempt
from secondread.web.reading_shapes import StoredRow
from secondread.web.shapes import said

lists = APIBlueprint("lists", __name__, url_prefix="/api/v1", tag="readings")
worklist = APIBlueprint("worklist", __name__, enable_openapi=False)
_ROWS = 50
_DIGITS = 16  # of a line's number


class ListOut(Schema):
    """Readings."""

    readings = List(Nested(StoredRow), required=True)


class PageOut(ListOut):
    """A page of readings."""

    next = String(
        required=True,
        allow_none=True,
        metadata=said(
            "give it as `after` for the next page; null at the end. A page may have fewer rows than asked, even none, "
            "and others follow"
        ),
    )


@lists.get("/readings")
@require("read")
@lists.input(PageQuery, location="query")
@lists.output(PageOut)
@lists.doc(operation_id="listReadings", summary="List readings")
def list_readings(query_data: dict[str, Any]) -> Any:
    """Answer with a page of the worklist. `next` leads to the page after; null at the end."""
    page = service().worklist.page(
        filter_of(query_data),
        order=query_data["order"],
        after=query_data["after"] or None,
        limit=query_data["limit"],
        actor=current_actor(),
    )
    counting = service().prevalences.counting()
    return {"readings": placed_rows(page.rows, counting=counting), "next": page.next}


@lists.get("/readings.json")
@require("read")
@lists.input(OrderedQuery, location="query")
@lists.output(ListOut)
@lists.doc(operation_id="exportReadingsAsJson", summary="Export readings as JSON")
def export_json(query_data: dict[str, Any]) -> Response:
    """Answer with every reading that the filter leaves, however many."""
    rows = _exported(query_data)

    def chunks() -> Iterator[str]:
        yield '{"readings": ['
        for number, row in enumerate(rows):
            yield (",\n" if number else "\n") + json.dumps(row, ensure_ascii=False)
        yield "\n]}\n"

    return Response(chunks(), mimetype="application/json", headers=_as_file("readings.json"))


@lists.get("/readings.csv")
@require("read")
@lists.input(OrderedQuery, location="query")
@lists.doc(
    operation_id="exportReadingsAsCsv",
    summary="Export readings as CSV",
    responses=other("text/csv", "One line a reading"),
)
def export_csv(query_data: dict[str, Any]) -> Response:
    """Answer with every reading that the filter leaves, however many. Lists are JSON in their cell."""
    rows = _exported(query_data)
    names = [name for name in StoredRow().fields if name != "belongs"]
    lines = csv_text(names, ([row.get(name) for name in names] for row in rows))
    return Response(lines, content_type="text/csv; charset=utf-8", headers=_as_file("readings.csv"))


@worklist.get("/worklist")
@require("read")
def show() -> Any:
    """A page of the list; with `part=rows` only its rows, to be put below those there are."""

    def act() -> str:
        position = position_now(service().database)  # first: what comes while the page is made is told afterwards
        asked = telling_nothing(form_filter(request.args)) if opinion_first() else form_filter(request.args)
        after = request.args.get("after") or None
        page = service().worklist.page(asked.only, order=asked.order, after=after, limit=_ROWS, actor=current_actor())
        belongs = service().studies.of([row.id for row in page.rows], actor=current_actor())
        page = replace(page, rows=tuple(together(page.rows, belongs)))
        if request.args.get("part") == "rows":
            return render_template("_rows.html", asked=asked, page=page, belongs=belongs, fragment=True)
        about = service().worklist.about(asked.only, page=None if after else page)
        shown = {"page": page, "about": about, "belongs": belongs, "position": position}
        return render_template("worklist.html", **_form(asked), **shown)

    return attempt(
        act, lambda sentence: render_template("worklist.html", **_form(form_filter({}), sentence), page=None)
    )


@worklist.get("/worklist/changes")
@require("read")
def changes() -> Any:
    """Whether there is anything new after a line of the trail, and where that is now: `since`, as the page has it."""
    since = request.args.get("since", "")
    if not (since.isascii() and since.isdigit() and len(since) < _DIGITS):
        return vars(News(position_now(service().database), changed=True))
    return vars(news_since(service().database, int(since)))


@worklist.post("/worklist/opinion-first")
@require("review")
def switch() -> Any:
    """Withhold answers from oneself until one's own opinion is given, from now on; or no more."""
    choose_opinion_first(request.form.get("on") == "1")
    return redirect(url_for("worklist.show"), code=303)


def _form(asked: FormFilter, mistake: str = "") -> dict[str, Any]:
    titles = {name: gettext(task_named(name).title) for name in list_tasks()}
    return {
        "asked": asked,
        "orders": ORDERS,
        "states": REVIEW_STATES,
        "choices": service().worklist.choices(),
        "titles": titles,
        "mistake": mistake,
        "always_first": current_app.config["OPINION_FIRST"] == "on",
    }


def _exported(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    counting, only = service().prevalences.counting(), filter_of(query)
    rows = service().worklist.export(only, order=query["order"], actor=current_actor())
    told = service().prevalences.meaning_of  # rows are made when there is no request any more
    return (row.to_dict() | told(row, counting=counting).to_dict() for row in rows)


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
