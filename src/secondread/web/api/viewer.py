"""The API's document as a page, made here: nothing is loaded from elsewhere and nothing runs in the browser."""

from typing import Any

from apiflask import APIBlueprint, APIFlask
from flask import current_app, render_template

from secondread.web.auth import public

viewer = APIBlueprint("viewer", __name__, url_prefix="/api/v1", enable_openapi=False)


@viewer.get("/docs")
@public
def docs() -> str:
    """Every address with what it takes and answers."""
    app = current_app
    assert isinstance(app, APIFlask)
    spec: Any = app.spec
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in spec["tags"]}
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                shown = {"path": path, "method": method.upper(), **operation, "body": _body(operation)}
                shown["parameters"] = [*operations.get("parameters", ()), *operation.get("parameters", ())]
                groups[operation["tags"][0]].append(shown)
    return render_template("api.html", info=spec["info"], groups=groups, schemas=spec["components"]["schemas"])


def _body(operation: dict[str, Any]) -> str:
    """Name of the schema that is sent, if any."""
    content = operation.get("requestBody", {}).get("content", {})
    return next((_name(media) for media in content.values()), "")


def _name(media: dict[str, Any]) -> str:
    return str(media.get("schema", {}).get("$ref", "")).rpartition("/")[2]
