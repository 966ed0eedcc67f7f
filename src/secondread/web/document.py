"""What the OpenAPI document says beside the shapes of requests and answers: problems, logins, other media types."""

import re
from typing import Any

from apiflask import APIFlask
from flask import Response, jsonify

from secondread.web import problems
from secondread.web.auth import PUBLIC, public, scope_of

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
        "session": {"type": "apiKey", "in": "cookie", "name": "secondread", "description": "a browser's login"},
    }
    public(app.view_functions["openapi.spec"])
    app.spec_processor(lambda spec: _complete(spec, _scopes(app)))


def other(media_type: str, description: str, *, status: int = 200) -> Any:
    """`responses` of an operation that answers with something else than JSON."""
    return {status: {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}


def created(body: dict[str, Any], *, at: str) -> Response:
    """The answer 201: what was made, and where it is."""
    answer = jsonify(body)
    answer.status_code = 201
    answer.headers["Location"] = at
    return answer


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
    schemas = spec["components"].setdefault("schemas", {})
    schemas["Problem"] = _schema_of(schemas.ProblemOut)
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
    return {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _schema_of(schema: type) -> dict[str, Any]:
    """A schema of the answers as OpenAPI writes it; strings and integers, so nothing more is needed."""
    kinds = {"Integer": "integer", "String": "string"}
    fields = schema().fields
    properties = {name: {"type": kinds[type(field).__name__], **field.metadata} for name, field in fields.items()}
    return {"type": "object", "description": schema.__doc__, "properties": properties, "required": list(fields)}
