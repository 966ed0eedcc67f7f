"""What can be asked for: tasks, bundles, and the settings that hold."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, String
from apiflask.validators import OneOf
from flask import current_app

from secondread.evidence.held_out import broken, elsewhere
from secondread.evidence.measured import evidence_without_images, measured_rows
from secondread.evidence.outlook import below_screening
from secondread.evidence.promises import Promised, Seen, guarantees_of, promises_of
from secondread.reading import Bundle
from secondread.service import SETTINGS, Setting
from secondread.stats.promises import Shown
from secondread.stats.scale import marks
from secondread.tasks import Task, list_tasks, task_named
from secondread.web.auth import require
from secondread.web.context import readers, service
from secondread.web.entries import band_of
from secondread.web.points import IntervalRow
from secondread.web.shapes import said, shape_of

catalogue = APIBlueprint("catalogue", __name__, url_prefix="/api/v1", tag="catalogue")


@shape_of(
    Task,
    "name title question modality body_part view classes positive_class target_sensitivity target_specificity "
    "intended_use limits",
)
class TaskOut(Schema):
    """One question about one kind of image."""

    classes = said("negative, positive")


class TasksOut(Schema):
    """The tasks known here."""

    tasks = List(Nested(TaskOut), required=True)


class OperatingPointOut(Schema):
    """A threshold with its bounds of uncertainty, and what is promised of it."""

    name = String(required=True)
    threshold = Float(required=True)
    band = List(Float(), required=True, allow_none=True)
    positive_from = Integer(required=True, metadata=said("the least score of a positive answer, 0 to 100"))
    uncertain_from = Integer(required=True, allow_none=True, metadata=said("of an uncertain one, where it has a band"))
    below_screening = Boolean(
        required=True, metadata=said("it is to confirm, but calls no fewer images positive than `screening`")
    )
    chosen_by = String(required=True, metadata=said("how the threshold was found and what was shown of it, in words"))
    guaranteed = Boolean(
        required=True,
        allow_none=True,
        metadata=said("whether validation shows the promise at every source; null where nothing is promised"),
    )
    chosen = Boolean(required=True, metadata=said("used where none is asked for"))


@shape_of(Shown, "source n n_groups value lower_bound n_effective n_needed shown rare_bound useless")
class ShownOut(Schema):
    """What the validation images of one source show of a promise."""

    source = said("hospital or collection; empty where they were not told apart")
    n = said("images of the class that the rate is about")
    n_groups = said("patients or groups of these")
    value = said("the rate that was seen")
    lower_bound = said("of the rate, with the promise's confidence")
    n_effective = said("what the images are worth in independent ones")
    n_needed = said("fewer of such images could not show it")
    rare_bound = said("the lower bound should there be a rare kind of patient who is always missed")
    useless = said("the other rate where alone it could be shown, no better than a coin")


@shape_of(Seen, "split source n kept rate.value rate.low rate.high")
class SeenOut(Schema):
    """What images that chose nothing showed of a promise."""

    kept = String(required=True, validate=OneOf(["kept", "broken", "open"]))


@shape_of(
    Promised,
    "operating_point threshold guarantee.on guarantee.target guarantee.confidence guarantee.holds "
    "guarantee.worst_case guarantee.other guarantee.margin in_words",
)
class PromiseOut(Schema):
    """A rate that an operating point promises at each source of the validation images."""

    on = String(required=True, attribute="guarantee.on", validate=OneOf(["sensitivity", "specificity"]))
    holds = said("shown at every source, and better than a coin")
    worst_case = said("images of one group counted as wholly alike")
    other = said("the other rate at this threshold, all sources together")
    margin = said("logits that the threshold lies on the safe side of what is shown, for hospitals it does not know")
    sources = List(Nested(ShownOut), required=True, attribute="guarantee.sources")
    seen = List(Nested(SeenOut), required=True)


class EvidenceOut(Schema):
    """What was measured at one operating point on one set of images."""

    operating_point = String(required=True)
    split = String(required=True, metadata=said("the set of images: val, test, external, …"))
    measure = String(required=True)
    value = Float(required=True)
    low = Float(required=True, allow_none=True, metadata=said("of the interval"))
    high = Float(required=True, allow_none=True)
    n = Integer(required=True, allow_none=True, metadata=said("images the value rests on"))


class AtPointRow(Schema):
    """What an operating point does at a hospital."""

    name = String(required=True)
    sensitivity = Nested(IntervalRow, required=True)
    specificity = Nested(IntervalRow, required=True)


class ElsewhereOut(Schema):
    """What was measured at a hospital that taught nothing."""

    hospital = String(required=True)
    how = String(
        required=True,
        validate=OneOf(["left out", "external"]),
        metadata=said("left out: by networks of the same recipe that learnt without it; external: by this very bundle"),
    )
    n = Integer(required=True)
    n_positive = Integer(required=True)
    roc_auc = Nested(IntervalRow, required=True)
    points = List(Nested(AtPointRow), required=True)
    seed = Integer(required=True, allow_none=True, metadata=said("of the training without it"))
    recipe = String(required=True)
    date = String(required=True)
    command = String(required=True)
    note = String(required=True, metadata=said("what is to be known of how it was measured; often empty"))


class BundleOut(Schema):
    """A trained model that can be asked for."""

    name = String(required=True)
    task = String(required=True)
    id = String(required=True, metadata=said("as readings name it"))
    shipped = Boolean(required=True, metadata=said("whether it comes with the package; else the site's own"))
    operating_points = List(Nested(OperatingPointOut), required=True)
    promises = List(Nested(PromiseOut), required=True, metadata=said("of the points, hospital by hospital"))
    elsewhere = List(Nested(ElsewhereOut), required=True, metadata=said("at hospitals it had not seen"))
    broken = List(String(), required=True, metadata=said("promises that do not hold at a hospital, in words"))
    measured = List(Nested(EvidenceOut), required=True)
    card = String(required=True, metadata=said("the model card, Markdown"))
    evidence = Dict(required=True, allow_none=True, metadata=said("all that was measured, as kept in the bundle"))


class LeftOutOut(Schema):
    """A bundle of the site's own that cannot be asked for."""

    name = String(required=True)
    reason = String(required=True)


class BundlesOut(Schema):
    """The bundles installed here."""

    bundles = List(Nested(BundleOut), required=True)
    left_out = List(Nested(LeftOutOut), required=True, metadata=said("of the site's own, with the reason"))


class SettingRow(Schema):
    """A setting and the value that holds."""

    name = String(required=True)
    value = String(required=True)
    default = String(required=True)
    variable = String(required=True, metadata=said("of the environment"))
    help = String(required=True)


class SettingsOut(Schema):
    """Every setting."""

    settings = List(Nested(SettingRow), required=True)


@catalogue.get("/tasks")
@require("read")
@catalogue.output(TasksOut)
@catalogue.doc(operation_id="listTasks", summary="List the tasks")
def tasks() -> Any:
    """Answer with the questions that can be asked of an image."""
    return {"tasks": [task_named(name) for name in list_tasks()]}


@catalogue.get("/bundles")
@require("read")
@catalogue.output(BundlesOut)
@catalogue.doc(operation_id="listBundles", summary="List the bundles")
def bundles() -> Any:
    """Answer with the trained models, their operating points and what was measured of them."""
    left_out = [{"name": name, "reason": why} for name, why in readers().own().skipped.items()]
    return {"bundles": [_bundle(bundle) for bundle in readers().bundled()], "left_out": left_out}


@catalogue.get("/settings")
@require("admin")
@catalogue.output(SettingsOut)
@catalogue.doc(operation_id="listSettings", summary="List the settings that hold")
def settings() -> Any:
    """Answer with every setting; passwords and secrets are left out."""
    return {"settings": [vars(row) | {"variable": row.variable, "value": _shown(row)} for row in SETTINGS]}


def _shown(row: Setting) -> str:
    value = str(current_app.config[row.key])
    if row.name == "database":
        return service().database.name if value else ""
    if value and (row.name.endswith("_secret") or "@" in value):
        return "set, not shown"
    return value


def _bundle(bundle: Bundle) -> dict[str, Any]:
    promises, places = promises_of(bundle), elsewhere(bundle.evidence)
    return {
        "name": bundle.name,
        "task": bundle.task.name,
        "id": bundle.id,
        "shipped": bundle.shipped,
        "operating_points": [
            {
                "name": point.name,
                "threshold": point.threshold,
                "band": band_of(point),
                "positive_from": marks(point.threshold, point.low)[1],
                "uncertain_from": marks(point.threshold, point.low)[0],
                "below_screening": below_screening(bundle, point),
                "chosen_by": point.chosen_by,
                "guaranteed": all(one.holds for one in told) if (told := guarantees_of(bundle, point)) else None,
                "chosen": point.name == bundle.operating_point().name,
            }
            for point in bundle.operating_points.values()
        ],
        "elsewhere": places,
        "broken": [one.in_words for one in broken(promises, places)],
        "promises": promises,
        "measured": measured_rows(bundle),
        "card": bundle.card,
        "evidence": evidence_without_images(bundle),
    }
