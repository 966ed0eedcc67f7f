"""The OpenAPI document: what it says beside the shapes (problems, logins, other media types), and its page."""

import re
from typing import Any

from apiflask import APIBlueprint, APIFlask
from flask import current_app, render_template

from secondread.web.auth import PUBLIC, public, scope_of
from secondread.web.cookies import session_cookie
from secondread.web.problems import MEDIA_TYPE, ProblemOut

viewer = APIBlueprint("viewer", __name__, url_prefix="/api/v1", enable_openapi=False)

_EVERY_REFUSED = {
    413: "Every file is too large",
    415: "No file is an image of a kind that is read here",
    422: "Every file was refused, for more than one reason or another one",
}
_ALWAYS = {
    400: "The request is wrong, or names what is not known here",
    401: "Who asks is not logged in, or sent a token that is none",
    403: "This may not be done by who asks, or the request comes from a page of another site",
    404: "What is asked for is not there",
    413: "The request is too large",
    421: "The server is not reached under that name",
    429: "Too many requests, or too many failed logins; Retry-After says when to try again",
    500: "Something went wrong here",
    503: "A model or the database cannot be used now",
}
_CHANGING = {409: "The state of things does not allow it", 422: "What was sent cannot be taken"}


def register(app: APIFlask) -> None:
    """Complete the document when it is made."""
    app.description = "Second readings of medical images. Assists a qualified reader; it is not a medical device."
    app.license = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    app.security_schemes = {
        "token": {"type": "http", "scheme": "bearer", "description": "an API token, made by its account"},
        "session": {"type": "apiKey", "in": "cookie", "name": session_cookie(app), "description": "a browser's login"},
    }
    public(app.view_functions["openapi.spec"])
    app.spec_processor(lambda spec: _complete(spec, _scopes(app)))


def other(media_type: str, description: str, *, status: int = 200) -> Any:
    """`responses` of an operation that answers with something else than JSON."""
    return {status: {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}


@viewer.get("/docs")
@public
def docs() -> str:
    """Every address with what it takes and answers. Nothing is loaded from elsewhere, nothing runs in the browser."""
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


def _scopes(app: APIFlask) -> dict[tuple[str, str], str]:
    """(path as the document writes it, method) → scope."""
    found = {}
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
        for method in rule.methods or ():
            found[path, method.lower()] = scope_of(app.view_functions[rule.endpoint])
    return found


def _complete(spec: Any, scopes: dict[tuple[str, str], str]) -> Any:
    """Add to every operation the problems it may answer, and to readings the statuses where all were refused."""
    spec["tags"] = list({tag["name"]: tag for tag in spec["tags"]}.values())  # several blueprints may share one
    schemas = spec["components"].setdefault("schemas", {})
    schemas["Problem"] = _schema_of(ProblemOut)
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            scope = scopes[path, method]
            statuses = _ALWAYS | ({} if method == "get" else _CHANGING)
            for status, description in statuses.items():
                operation["responses"][str(status)] = {"description": description, "content": _problem_content()}
            if scope != PUBLIC:
                operation["security"] = [{"token": []}, {"session": []}, {}]
                said = f"Needs the scope `{scope}`."
                operation["description"] = " ".join(filter(None, [operation.get("description"), said]))
    answers = spec["paths"]["/api/v1/readings"]["post"]["responses"]
    readings = answers["200"]["content"]["application/json"]
    for status, description in _EVERY_REFUSED.items():
        both = answers.setdefault(str(status), {"description": "", "content": {}})
        both["description"] = "; or: ".join(filter(None, [description, both["description"]]))
        both["content"]["application/json"] = readings
    return spec


def _problem_content() -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _schema_of(schema: type) -> dict[str, Any]:
    """A schema of the answers as OpenAPI writes it; strings and integers, so nothing more is needed."""
    kinds = {"Integer": "integer", "String": "string"}
    fields = schema().fields
    properties = {name: {"type": kinds[type(field).__name__], **field.metadata} for name, field in fields.items()}
    return {"type": "object", "description": schema.__doc__, "properties": properties, "required": list(fields)}


def _body(operation: dict[str, Any]) -> str:
    """Name of the schema that is sent, if any."""
    content = operation.get("requestBody", {}).get("content", {})
    return next((_name(media) for media in content.values()), "")


def _name(media: dict[str, Any]) -> str:
    return str(media.get("schema", {}).get("$ref", "")).rpartition("/")[2]
