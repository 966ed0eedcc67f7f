"""Which bundle answers for each task: shown with what it did elsewhere, shadowed by another, switched, and back."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Float, Integer, List, Nested, String
from apiflask.validators import Length
from flask import redirect, render_template, request, url_for

from secondread.errors import SecondReadError, UnknownName, UsageError
from secondread.evidence.held_out import broken, elsewhere, spares_none
from secondread.evidence.promises import promises_of
from secondread.reading import Bundle
from secondread.service import ANSWERS, SHADOW, BundleChoice
from secondread.service.changes import ANSWERS as SAID
from secondread.service.changes import Changes
from secondread.tasks import list_tasks, task_named
from secondread.web.auth import current_actor, require
from secondread.web.context import readers, service
from secondread.web.forms import plain_name, written
from secondread.web.language import said as in_language
from secondread.web.points import IntervalRow
from secondread.web.problems import attempt
from secondread.web.shapes import Text, said, shape_of

models = APIBlueprint("models", __name__, url_prefix="/api/v1/models", tag="models")
pages = APIBlueprint("models_pages", __name__, url_prefix="/models", enable_openapi=False)


class OtherBundleIn(Schema):
    """Another bundle of the task."""

    bundle = Text(required=True, metadata=said("task/name"))
    note = Text(load_default="", validate=Length(max=2000))


@shape_of(BundleChoice, "task role name bundle beside note chosen_by chosen_at ended_at ended_by")
class ChoiceRow(Schema):
    """A choice that was made."""

    role = said("answers: in place of the package's own choice; shadow: after what answers")
    bundle = said("task/name@hash: the choice holds for these weights alone")
    beside = said("what answered when it was chosen")


class ChangeRow(Schema):
    """How many images the two said this of."""

    old = String(required=True, metadata={"enum": list(SAID)})
    new = String(required=True, metadata={"enum": list(SAID)})
    n = Integer(required=True)
    changes = Boolean(required=True)


class DifferenceRow(Schema):
    """A reading whose decision would change."""

    reading_id = Integer(required=True)
    old = String(required=True)
    new = String(required=True)
    old_probability = Float(required=True, allow_none=True)
    new_probability = Float(required=True, allow_none=True)
    finding = Integer(required=True, allow_none=True, metadata=said("what reviewers concluded: 1 disease, 0 none"))


class BothRatesRow(Schema):
    """Against what reviewers concluded."""

    sensitivity = Nested(IntervalRow, required=True)
    specificity = Nested(IntervalRow, required=True)


class BothJudgedRow(Schema):
    """Both bundles on the reviewed images that both read."""

    n = Integer(required=True)
    n_positive = Integer(required=True)
    old = Nested(BothRatesRow, required=True)
    new = Nested(BothRatesRow, required=True)


class ChangesRow(Schema):
    """What would change."""

    n = Integer(required=True, metadata=said("images that both read"))
    changed = Nested(IntervalRow, required=True, metadata=said("share whose decision would change"))
    table = List(Nested(ChangeRow), required=True)
    judged = Nested(BothJudgedRow, required=True, allow_none=True)
    examples = List(Nested(DifferenceRow), required=True)


class ModelRow(Schema):
    """What answers for one task."""

    task = String(required=True)
    bundle = String(required=True, allow_none=True, metadata=said("null: the bundle switched to cannot be loaded"))
    switched = Nested(ChoiceRow, required=True, allow_none=True, metadata=said("null: the package's own choice"))
    shadow = Nested(ChoiceRow, required=True, allow_none=True)
    changes = Nested(ChangesRow, required=True, allow_none=True, metadata=said("by what the shadow said"))


class ModelsOut(Schema):
    """What answers for each task, and every choice, the newest first."""

    models = List(Nested(ModelRow), required=True)
    history = List(Nested(ChoiceRow), required=True)


@models.get("")
@require("admin")
@models.output(ModelsOut)
@models.doc(operation_id="listModels", summary="Show which bundle answers for each task")
def list_models() -> Any:
    """Answer with what answers, what reads in its shadow, and what would change by it."""
    return _all()


@models.put("/<task>/shadow")
@require("admin")
@models.input(OtherBundleIn)
@models.output(ModelsOut)
@models.doc(operation_id="beginShadow", summary="Let a bundle read in the shadow")
def begin_shadow(task: str, json_data: dict[str, Any]) -> Any:
    """Let a bundle read after what answers, while nothing waits; what it says is shown to nobody as an answer."""
    _shade(task, json_data["bundle"], json_data["note"])
    return _all()


@models.delete("/<task>/shadow")
@require("admin")
@models.output(ModelsOut)
@models.doc(operation_id="endShadow", summary="Let nothing read in the shadow")
def end_shadow(task: str) -> Any:
    """End it; what it said is kept."""
    service().upgrades.unshade(task_named(task).name, actor=current_actor())
    return _all()


@models.put("/<task>/switch")
@require("admin")
@models.input(OtherBundleIn)
@models.output(ModelsOut)
@models.doc(operation_id="switchBundle", summary="Let another bundle answer")
def switch(task: str, json_data: dict[str, Any]) -> Any:
    """Let a bundle answer for the task from now on. A site's threshold for the one before does not hold for it."""
    _switch(task, json_data["bundle"], json_data["note"])
    return _all()


@models.delete("/<task>/switch")
@require("admin")
@models.output(ModelsOut)
@models.doc(operation_id="switchBack", summary="Undo the last switch")
def switch_back(task: str) -> Any:
    """What answered before does so again."""
    service().upgrades.back(task_named(task).name, actor=current_actor())
    return _all()


@pages.get("")
@require("admin")
def show() -> Any:
    """The page."""
    return models_page()


@pages.post("")
@require("admin")
def change() -> Any:
    """What the page's buttons ask for."""

    def act() -> Any:
        task, bundle, note = written("task"), written("bundle"), written("note")
        todo = request.form.get("act", "")
        if todo in ("shadow", "switch") and not bundle:
            raise UsageError("choose the other bundle first")
        if todo == "shadow":
            _shade(task, bundle, note)
        elif todo == "switch":
            _switch(task, bundle, note)
        elif todo == "end":
            service().upgrades.unshade(task_named(task).name, actor=current_actor())
        elif todo == "back":
            service().upgrades.back(task_named(task).name, actor=current_actor())
        else:
            raise UnknownName.of("act", todo, ("shadow", "switch", "end", "back"))
        return redirect(f"{url_for('models_pages.show')}#{task}", code=303)

    return attempt(act, models_page)


def models_page(mistake: str = "") -> str:
    """Every task that has a bundle."""
    every = readers().bundled()
    rows = [_shown(task, [one for one in every if one.task.name == task]) for task in _tasks(every)]
    history = service().upgrades.history()
    return render_template("models.html", models=rows, history=history, mistake=mistake, plain=plain_name)


def _tasks(every: list[Bundle]) -> list[str]:
    return [task for task in list_tasks() if any(one.task.name == task for one in every)]


def _shown(task: str, of_task: list[Bundle]) -> dict[str, Any]:
    row = _model(task)
    bundle, switched = row["now"], row["switched"]
    others = [one for one in of_task if bundle is None or one.sha256 != bundle.sha256]
    places = elsewhere(bundle.evidence) if bundle else []
    return row | {
        "title": task_named(task).title,
        "others": others,
        "places": places,
        "left_out": [place for place in places if place.how == "left out"],
        "useless": spares_none(places, in_language),
        "broken": broken(promises_of(bundle), places) if bundle else [],
        "point": service().points.active(bundle) if bundle else None,
        "trouble": f"{switched.bundle}" if switched and bundle is None else "",
    }


def _model(task: str) -> dict[str, Any]:
    upgrades = service().upgrades
    switched, shadow = upgrades.holding(task, ANSWERS), upgrades.holding(task, SHADOW)
    changes: Changes | None = None if shadow is None else service().shadows.changes(shadow, actor=current_actor())
    now = _now(task, switched)
    return {
        "task": task,
        "now": now,
        "bundle": now.id if now else None,
        "switched": switched,
        "shadow": shadow,
        "changes": changes.to_dict() if changes else None,
    }


def _now(task: str, switched: BundleChoice | None) -> Bundle | None:
    """What answers; None where a person switched to what is not there, or has other weights now."""
    try:
        found = readers().bundle(task)
    except SecondReadError:
        return None
    return found if switched is None or found is None or found.sha256 == switched.bundle_sha256 else None


def _all() -> dict[str, Any]:
    return {"models": [_model(task) for task in _tasks(readers().bundled())], "history": service().upgrades.history()}


def _pair(task: str, reference: str) -> tuple[Bundle, Bundle]:
    """The other bundle, and what answers now. Raises UnknownName or UsageError."""
    name = task_named(task).name
    other = readers().bundle(name, reference.partition("@")[0])
    now = _now(name, service().upgrades.holding(name, ANSWERS)) or readers().default(name)
    if now is None or other is None:
        raise UnknownName.of("bundle", reference, readers().names())
    return other, now


def _shade(task: str, reference: str, note: str) -> None:
    other, now = _pair(task, reference)
    service().upgrades.shade(other, beside=now, note=note, actor=current_actor())


def _switch(task: str, reference: str, note: str) -> None:
    other, now = _pair(task, reference)
    service().upgrades.switch(other, beside=now, note=note, actor=current_actor())
