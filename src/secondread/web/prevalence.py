"""How common disease is at this site, task by task: shown and set, by program and on the page of thresholds."""

from typing import Any
from urllib.parse import urlencode

from apiflask import APIBlueprint, Schema
from apiflask.fields import Float, List, Nested
from apiflask.validators import Length, Range
from flask import redirect, url_for

from secondread.errors import UsageError
from secondread.service import SitePrevalence
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.forms import number, plain_name, written
from secondread.web.points import bundle_of_form, thresholds_page
from secondread.web.problems import attempt
from secondread.web.shapes import Text, said, shape_of

prevalences = APIBlueprint("prevalences", __name__, url_prefix="/api/v1/prevalences", tag="thresholds")
pages = APIBlueprint("prevalence_pages", __name__, url_prefix="/thresholds/prevalence", enable_openapi=False)
SHARE = Range(0, 1, min_inclusive=False, max_inclusive=False)


class PrevalenceIn(Schema):
    """How common disease is here."""

    prevalence = Float(
        required=True,
        allow_none=True,
        validate=SHARE,
        metadata=said("share of the diseased among those examined here, as 0.02 for 2 %; null: none counts any more"),
    )
    note = Text(load_default="", validate=Length(max=2000), metadata=said("where it is known from"))


@shape_of(SitePrevalence, "task prevalence note chosen_by chosen_at ended_at ended_by")
class PrevalenceRow(Schema):
    """What was set."""


class PrevalencesOut(Schema):
    """What counts now, and everything that was set, the newest first."""

    active = List(Nested(PrevalenceRow), required=True)
    history = List(Nested(PrevalenceRow), required=True)


@prevalences.get("")
@require("read")
@prevalences.output(PrevalencesOut)
@prevalences.doc(operation_id="listPrevalences", summary="Show how common disease is here")
def list_prevalences() -> Any:
    """Answer with what counts for each task. Readings have `local` by it."""
    return _all()


@prevalences.put("/<task>")
@require("admin")
@prevalences.input(PrevalenceIn)
@prevalences.output(PrevalencesOut)
@prevalences.doc(operation_id="setPrevalence", summary="Set how common disease is here")
def set_prevalence(task: str, json_data: dict[str, Any]) -> Any:
    """Let a share count for a task from now on, for readings that are kept as well; null takes it back."""
    _set(task, json_data["prevalence"], json_data["note"])
    return _all()


@pages.post("")
@require("admin")
def choose() -> Any:
    """Set it for the task of the bundle shown, in percent; an empty field takes it back."""

    def act() -> Any:
        bundle = bundle_of_form()
        given = number("local")
        if given is not None and not 0 < given < 100:
            raise UsageError(f"a prevalence of {given:g} % is no share; give one between 0 and 100, as 2 for 2 %")
        _set(bundle.task.name, None if given is None else given / 100, written("note"))
        return redirect(f"{url_for('thresholds.show')}?{urlencode({'bundle': plain_name(bundle)})}", code=303)

    return attempt(act, thresholds_page)


def _set(task: str, prevalence: float | None, note: str) -> None:
    if prevalence is None:
        service().prevalences.clear(task, actor=current_actor())
    else:
        service().prevalences.choose(task, prevalence=prevalence, note=note, actor=current_actor())


def _all() -> dict[str, Any]:
    history = service().prevalences.history()
    return {"active": [one for one in history if one.ended_at is None], "history": history}
