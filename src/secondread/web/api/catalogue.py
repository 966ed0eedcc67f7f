"""What can be asked for: tasks, bundles, and the settings that hold."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, jsonify

from secondread.reading import Reader
from secondread.service import SETTINGS, Setting
from secondread.tasks import list_tasks, load_task
from secondread.web import schemas as shapes
from secondread.web.auth import require
from secondread.web.context import readers, service
from secondread.web.entries import band_of
from secondread.web.measured import evidence_without_images, measured_rows

catalogue = APIBlueprint("catalogue", __name__, url_prefix="/api/v1", tag="catalogue")


@catalogue.get("/tasks")
@require("read")
@catalogue.output(shapes.TasksOut)
@catalogue.doc(operation_id="listTasks", summary="List the tasks")
def tasks() -> Response:
    """Answer with the questions that can be asked of an image."""
    known = [load_task(name) for name in list_tasks()]
    return jsonify(tasks=[{key: getattr(task, key) for key in shapes.TaskOut().fields} for task in known])


@catalogue.get("/bundles")
@require("read")
@catalogue.output(shapes.BundlesOut)
@catalogue.doc(operation_id="listBundles", summary="List the bundles")
def bundles() -> Response:
    """Answer with the trained models, their operating points and what was measured of them."""
    return jsonify(bundles=[_bundle(reader) for reader in readers().bundled()])


@catalogue.get("/settings")
@require("admin")
@catalogue.output(shapes.SettingsOut)
@catalogue.doc(operation_id="listSettings", summary="List the settings that hold")
def settings() -> Response:
    """Answer with every setting; passwords and secrets are left out."""
    rows = [
        {
            "name": row.name,
            "value": _shown(row),
            "default": str(row.default),
            "variable": row.variable,
            "help": row.help,
        }
        for row in SETTINGS
    ]
    return jsonify(settings=rows)


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
