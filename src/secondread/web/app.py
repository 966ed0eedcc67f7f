"""Builds the application from its settings."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from apiflask import APIFlask
from flask.json.provider import DefaultJSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix

from secondread import __version__
from secondread.errors import UnknownName, UsageError
from secondread.images import Limits
from secondread.reading import load
from secondread.service import SETTINGS, Service, settings_from
from secondread.web import _auth, _problems, _schemas, _security
from secondread.web._readers import Readers
from secondread.web._service import KEY as SERVICE
from secondread.web._uploads import UploadRequest
from secondread.web.api import api, health
from secondread.web.pages import pages

_LOGINS = ("auto", "on", "off")
_EVERY_REFUSED = {
    413: "Every file is too large",
    415: "No file is an image of a kind that is read here",
    422: "Every file was refused, for more than one reason or another one",
}
_PROBLEMS = {
    400: "The form is wrong, or names what is not known here",
    403: "The request comes from a page of another site",
    413: "The request is too large",
    421: "The server is not reached under that name",
    500: "Something went wrong here",
    503: "The model for this task cannot be loaded",
}


def create_app(config: Mapping[str, Any] | None = None) -> APIFlask:
    """The WSGI application.

    config: settings by their keys (MAX_FILES, …; see SETTINGS), which win over the environment; also READERS: readers
    by name that need no loading, LOAD: a function that loads a reader in place of secondread.load, and SERVICE: a
    service that is open already. Raises UsageError for a key that is not known or a value that cannot be, and
    ServiceError where data folder or database cannot be used.
    """
    config = dict(config or {})
    ready, load_reader, opened = config.pop("READERS", None), config.pop("LOAD", None), config.pop("SERVICE", None)
    if unknown := sorted(set(config) - {row.key for row in SETTINGS}):
        raise UsageError(f"no such setting: {', '.join(unknown)}; known: {', '.join(row.key for row in SETTINGS)}")
    app = APIFlask(
        "secondread.web",
        title="secondread",
        version=__version__,
        spec_path="/api/v1/openapi.json",
        docs_path=None,  # its page would load scripts from elsewhere
        json_errors=False,
    )
    app.request_class = UploadRequest
    app.config.update(settings_from(os.environ) | config)
    _configure(app)
    app.extensions[SERVICE] = opened or Service.open(app.config)
    limits = Limits(max_pixels=app.config["MAX_MEGAPIXELS"] * 10**6, max_bytes=app.config["MAX_FILE_MB"] * 10**6)
    parallel = app.config["PARALLEL_READINGS"]
    load_reader = load_reader or partial(load, gate=app.config["GATE"] != "off")
    app.extensions["secondread"] = Readers(limits=limits, parallel=parallel, ready=ready, load=load_reader)
    _security.register(app)
    _auth.register(app)
    _problems.register(app)
    for blueprint in (api, health, pages):
        app.register_blueprint(blueprint)
    return app


def _configure(app: APIFlask) -> None:
    if (login := app.config["LOGIN"]) not in _LOGINS:
        raise UnknownName.of("value of the setting 'login':", str(login), _LOGINS)
    if proxies := app.config["PROXIES"]:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0)  # type: ignore[method-assign]
    app.config.update(
        MAX_CONTENT_LENGTH=app.config["MAX_BODY_MB"] * 10**6,
        MAX_FORM_PARTS=app.config["MAX_FILES"] + 16,
        PROPAGATE_EXCEPTIONS=False,
        VALIDATION_ERROR_STATUS_CODE=400,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_SERVERS=False,
    )
    app.description = "Second readings of medical images. Assists a qualified reader; it is not a medical device."
    app.license = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    app.spec_processor(_describe_errors)
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False  # the order of the keys is part of the contract
        app.json.ensure_ascii = False


def _describe_errors(spec: Any) -> Any:
    """Add to every operation the problems it may answer, and to readings the statuses where all were refused."""
    schemas = spec["components"]["schemas"]
    schemas["Problem"] = _schema_of(_schemas.ProblemOut, schemas)
    for path, operations in spec["paths"].items():
        for operation in operations.values():
            statuses = _PROBLEMS if path.endswith("/readings") else {421: _PROBLEMS[421], 500: _PROBLEMS[500]}
            for status, description in statuses.items():
                operation["responses"][str(status)] = {"description": description, "content": _problem_content()}
    answers = spec["paths"]["/api/v1/readings"]["post"]["responses"]
    readings = answers["200"]["content"]["application/json"]
    for status, description in _EVERY_REFUSED.items():
        both = answers.setdefault(str(status), {"description": "", "content": {}})
        both["description"] = "; or: ".join(filter(None, [description, both["description"]]))
        both["content"]["application/json"] = readings
    return spec


def _problem_content() -> dict[str, Any]:
    return {_problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _schema_of(schema: type, known: dict[str, Any]) -> dict[str, Any]:
    """A schema of the answers as OpenAPI writes it; strings and integers, so nothing more is needed."""
    kinds = {"Integer": "integer", "String": "string"}
    fields = schema().fields
    properties = {name: {"type": kinds[type(field).__name__], **field.metadata} for name, field in fields.items()}
    return {"type": "object", "description": schema.__doc__, "properties": properties, "required": list(fields)}
