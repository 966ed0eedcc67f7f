"""What can be asked for: tasks, bundles, and the settings that hold."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Dict, Float, Integer, List, Nested, String
from flask import current_app

from secondread.evidence.measured import evidence_without_images, measured_rows
from secondread.reading import Reader
from secondread.service import SETTINGS, Setting
from secondread.tasks import Task, list_tasks, load_task
from secondread.web.auth import require
from secondread.web.context import readers, service
from secondread.web.entries import band_of
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
    chosen_by = String(required=True, metadata=said("how the threshold was found and what is proven of it, in words"))
    guaranteed = Boolean(
        required=True, allow_none=True, metadata=said("whether the promise is proven; null where nothing is promised")
    )
    chosen = Boolean(required=True, metadata=said("used where none is asked for"))


class EvidenceOut(Schema):
    """What was measured at one operating point on one set of images."""

    operating_point = String(required=True)
    split = String(required=True, metadata=said("the set of images: val, test, external, …"))
    measure = String(required=True)
    value = Float(required=True)
    low = Float(required=True, allow_none=True, metadata=said("of the interval"))
    high = Float(required=True, allow_none=True)
    n = Integer(required=True, allow_none=True, metadata=said("images the value rests on"))


class BundleOut(Schema):
    """A trained model that can be asked for."""

    name = String(required=True)
    task = String(required=True)
    id = String(required=True, metadata=said("as readings name it"))
    operating_points = List(Nested(OperatingPointOut), required=True)
    measured = List(Nested(EvidenceOut), required=True)
    card = String(required=True, metadata=said("the model card, Markdown"))
    evidence = Dict(required=True, allow_none=True, metadata=said("all that was measured, as kept in the bundle"))


class BundlesOut(Schema):
    """The bundles installed here."""

    bundles = List(Nested(BundleOut), required=True)


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
    return {"tasks": [load_task(name) for name in list_tasks()]}


@catalogue.get("/bundles")
@require("read")
@catalogue.output(BundlesOut)
@catalogue.doc(operation_id="listBundles", summary="List the bundles")
def bundles() -> Any:
    """Answer with the trained models, their operating points and what was measured of them."""
    return {"bundles": [_bundle(reader) for reader in readers().bundled()]}


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


def _bundle(reader: Reader) -> dict[str, Any]:
    bundle = reader.bundle
    return {
        "name": bundle.name,
        "task": bundle.task.name,
        "id": bundle.id,
        "operating_points": [
            {
                "name": point.name,
                "threshold": point.threshold,
                "band": band_of(point),
                "chosen_by": point.chosen_by,
                "guaranteed": None if point.guarantee is None else point.guarantee["holds"],
                "chosen": point.name == reader.operating_point.name,
            }
            for point in bundle.operating_points.values()
        ],
        "measured": measured_rows(bundle),
        "card": bundle.card,
        "evidence": evidence_without_images(bundle),
    }
