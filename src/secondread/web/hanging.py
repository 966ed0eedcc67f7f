"""Images beside a reading's own: each a piece of the page, without an answer withheld; and how many one wants."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, String
from apiflask.validators import OneOf
from flask import g, render_template, request, session
from flask_babel import gettext

from secondread.service import LAYOUTS, Around, Hanging, StoredReading, answer_facts
from secondread.web.auth import current_actor, current_identity, current_user, require
from secondread.web.context import service
from secondread.web.frame import task_title

hanging = APIBlueprint("hanging", __name__, enable_openapi=False)
MOST_BESIDE = 3  # images beside the page's own


class HangingIn(Schema):
    """How images hang from now on."""

    layout = String(required=True, validate=OneOf(LAYOUTS))
    linked = Boolean(required=True)


@hanging.get("/readings/<int:reading_id>/pane")
@require("read")
def pane(reading_id: int) -> str:
    """One image with its frames; with `blind=1` no answer that one has not seen."""
    reading = service().readings.get(reading_id, actor=current_actor())
    return render_template("_pane.html", reading=reading, facts=answer_facts(service(), reading))


@hanging.put("/hanging")
@require("write")
@hanging.input(HangingIn)
def choose(json_data: dict[str, Any]) -> Any:
    """Keep it with the account; without accounts with this browser's session."""
    wanted = Hanging(**json_data)
    if current_identity().user is None:
        session["hanging"] = str(wanted)
    else:
        service().accounts.set_hanging(wanted, actor=current_identity().actor)
        g.pop("identity", None)
    return json_data


def hanging_of(reading: StoredReading, around: Around) -> dict[str, Any]:
    """What the page needs to hang others beside a reading: how one wants it, what there is, and what was asked for."""
    user = current_user()
    found = Hanging.of(str(session.get("hanging", "")) if user is None else user.hanging)
    views = [one for one in around.views if one.id != reading.id]
    others = [_other(one, gettext("this study")) for one in views]
    others += [_other(one, gettext("earlier")) for one in around.priors]
    return {
        "layout": found.layout,
        "linked": found.linked,
        "others": others,
        "beside": _asked(request.args.get("beside", ""), reading),
        "blind": "?blind=1" if request.args.get("blind") or request.form.get("saw_answer") == "0" else "",
    }


def _other(one: StoredReading, which: str) -> dict[str, Any]:
    """Nothing of its answer: it stands in a list."""
    said = f"{which}: {one.name or one.id} · {task_title(one.task)} · {one.created_at:%Y-%m-%d}"
    return {"id": one.id, "said": said}


def _asked(text: str, reading: StoredReading) -> list[int]:
    """The numbers in an address, as '12,13'; what is no number is left out."""
    ids = [int(one) for one in text.split(",") if one.isascii() and one.isdigit() and len(one) < 10]
    return list(dict.fromkeys(one for one in ids if one != reading.id))[:MOST_BESIDE]
