"""The page of all addresses of the HTTP API, and the OpenAPI document itself."""

import json
import tempfile
import warnings
from functools import cache
from typing import Any

from docs.generate.markdown import cell, table

from secondread.web import create_app

_START = """\
# Addresses of the HTTP API

Made of the [OpenAPI document](openapi.json), which a running server has at `/api/v1/openapi.json`. What holds for all
of them (logins, errors, limits, what is kept) is told by [the API](api.md). Every address may also answer with a
problem: 400, 401, 403, 404, 413, 421, 429, 500 and 503, and one that changes something with 409 and 422
([codes](errors.md)).
"""


@cache
def openapi_document() -> dict[str, Any]:
    """The document of a server with the settings' defaults, as JSON has it."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = create_app({"DATA_FOLDER": folder, "WORKERS": 0})
        with app.app_context():
            found: dict[str, Any] = json.loads(json.dumps(app.spec, default=str))
    return found


def addresses_page(document: dict[str, Any]) -> str:
    """Every address by area: what it does, its parameters, what it takes and answers."""
    areas: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                given = [*operations.get("parameters", ()), *operation.get("parameters", ())]
                areas[operation["tags"][0]].append(_section(path, method, operation, given, schemas))
    return "\n".join(
        [_START, *(f"## {name.capitalize()}\n\n" + "\n".join(parts) for name, parts in areas.items() if parts)]
    )


def _section(path: str, method: str, operation: Any, parameters: list[Any], schemas: Any) -> str:
    rows = [
        _row(one["name"], one["schema"], one.get("description", ""), one.get("required"), one["in"])
        for one in parameters
    ]
    for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
        properties, required = _properties(media["schema"], schemas)
        rows += [_row(name, kind, "", name in required, media_type) for name, kind in properties.items()]
    answers = [
        f"`{status}` {answer['description']}{_answered(answer)}"
        for status, answer in operation["responses"].items()
        if "application/problem+json" not in answer.get("content", {}) or len(answer["content"]) > 1
    ]
    parts = [
        f"### {method.upper()} {path}\n",
        f"{operation.get('summary', '')}. {operation.get('description', '')}\n",
        table(("parameter", "where", "type", "meaning"), rows) if rows else "",
        f"Answers: {'; '.join(answers)}.\n",
    ]
    return "\n".join(parts)


def _row(name: str, schema: Any, description: str, required: bool | None, where: str) -> tuple[str, ...]:
    kind = cell(str(schema.get("type") or _name(schema) or "any"))
    kind = "string" if kind.startswith("[") else kind
    words = [f"`{one}`" for one in schema.get("enum", ()) if one]
    said = description or schema.get("description", "")
    told = "; ".join(filter(None, [said, " or ".join(words), "required" if required else ""]))
    return f"`{name}`", where, kind, cell(told)


def _properties(schema: Any, schemas: Any) -> tuple[dict[str, Any], list[str]]:
    schema = schemas[_name(schema)] if "$ref" in schema else schema
    return schema.get("properties", {}), schema.get("required", [])


def _answered(answer: Any) -> str:
    """The schema or kind of what is answered."""
    for media_type, media in answer.get("content", {}).items():
        return f" (`{_name(media.get('schema', {})) or media_type}`)"
    return ""


def _name(schema: Any) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
