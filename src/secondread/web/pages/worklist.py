"""The worklist, in the order in which readings need a person, and the uploads that fill it."""

from typing import Any

from apiflask import APIBlueprint
from flask import current_app, render_template, request
from flask_babel import gettext

from secondread.errors import UsageError
from secondread.service import ORDERS, REVIEW_STATES
from secondread.tasks import list_tasks, load_task
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.pages.asked import Asked, asked_of

worklist = APIBlueprint("worklist", __name__, enable_openapi=False)
_ROWS = 50


@worklist.get("/worklist")
@require("read")
def show() -> Any:
    """A page of the list; with `part=rows` only its rows, to be put below those there are."""
    try:
        asked = asked_of(request.args)
        page = service().worklist.page(
            asked.only, order=asked.order, after=request.args.get("after") or None, limit=_ROWS, actor=current_actor()
        )
    except UsageError as error:
        return render_template("worklist.html", **_form(asked_of({}), str(error)), page=None), 400
    if request.args.get("part") == "rows":
        return render_template("_rows.html", asked=asked, page=page, fragment=True)
    return render_template("worklist.html", **_form(asked), page=page, n=service().worklist.count(asked.only))


@worklist.get("/uploads")
@require("read")
def uploads() -> str:
    """The form for many files, folders and archives, and how the latest uploads stand."""
    latest = service().queue.batches(limit=20)
    waiting = {
        batch.id: [item for item in service().queue.items(batch.id) if item.state == "failed"][:20]
        for batch in latest
        if batch.counts.get("failed")
    }
    tasks = [load_task(name) for name in list_tasks()]
    return render_template("uploads.html", batches=latest, failed=waiting, tasks=tasks, settings=current_app.config)


def _form(asked: Asked, mistake: str = "") -> dict[str, Any]:
    titles = {name: gettext(load_task(name).title) for name in list_tasks()}
    return {
        "asked": asked,
        "orders": ORDERS,
        "states": REVIEW_STATES,
        "choices": service().worklist.choices(),
        "titles": titles,
        "mistake": mistake,
    }
