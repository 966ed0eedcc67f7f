"""Builds the application from its settings."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from apiflask import APIFlask
from flask.json.provider import DefaultJSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix

from secondread import __version__
from secondread.errors import UnknownName, UsageError
from secondread.service import OF_REQUESTS, SETTINGS, Service, readers_of, settings_from, wait_at_most
from secondread.web import (
    account,
    accounts,
    auth,
    batches,
    bodies,
    boxes,
    catalogue,
    dicom,
    document,
    erasure,
    fhir,
    frame,
    hanging,
    health,
    language,
    learn,
    login,
    models,
    pictures,
    points,
    prevalence,
    problems,
    readings,
    report,
    reviews,
    room,
    security,
    statistics,
    telemetry,
    trail,
    worklist,
)
from secondread.web.context import KEY as SERVICE
from secondread.web.security import UploadRequest

_API = (
    readings.readings,
    worklist.lists,
    pictures.pictures,
    batches.batches,
    reviews.reviews,
    boxes.boxes,
    statistics.statistics,
    points.points,
    prevalence.prevalences,
    models.models,
    catalogue.catalogue,
    login.session,
    account.own,
    accounts.accounts,
    account.tokens,
    trail.trail,
    health.health,
    room.reports,
    report.patient_lines,
    erasure.erasures,
    fhir.results,
)
_PAGES = (
    login.login,
    readings.pages,
    worklist.worklist,
    batches.uploads,
    room.room,
    hanging.hanging,
    report.pages,
    statistics.pages,
    points.thresholds,
    prevalence.pages,
    models.pages,
    account.pages,
    accounts.pages,
    trail.pages,
    erasure.pages,
    dicom.pages,
    learn.learn,
    frame.site,
    document.viewer,
)
_LOGINS = ("auto", "on", "off")


def create_app(config: Mapping[str, Any] | None = None) -> APIFlask:
    """The WSGI application.

    config: settings by their keys (MAX_FILES, …; see SETTINGS), which win over the environment; also READERS: readers
    by name that need no loading, LOAD: a function that loads a reader in place of secondread.load, SERVICE: a service
    that is open already, and RESULTS: what makes DICOM objects of readings (see fhir), without which none are made.
    Raises UsageError for a key that is not known or a value that cannot be, and ServiceError where data folder or
    database cannot be used.
    """
    config = dict(config or {})
    ready, load, opened = config.pop("READERS", None), config.pop("LOAD", None), config.pop("SERVICE", None)
    results = config.pop("RESULTS", None)
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
    kept = app.extensions[SERVICE]
    app.extensions[fhir.RESULTS] = results
    app.extensions["secondread"] = readers_of(app.config, ready=ready, load=load).follow(
        kept.upgrades.chosen, kept.points.active_point
    )
    telemetry.register(app)  # first: the time of a request counts from here
    app.before_request(lambda: wait_at_most(OF_REQUESTS))  # a locked database must not hold the threads
    for part in (health, security, bodies, auth, problems, batches, document, login, language, frame):
        part.register(app)
    app.before_request(bodies.check_json)  # who is not let in has nothing parsed
    for blueprint in (*_API, *_PAGES):
        app.register_blueprint(blueprint)
    return app


def behind_proxies(app: APIFlask, inner: Callable[..., Any]) -> Callable[..., Any]:
    """What is asked behind as many proxies as the setting `proxies` says: they tell the address of who asks."""
    proxies = app.config["PROXIES"]
    return ProxyFix(inner, x_for=proxies, x_proto=proxies, x_host=0) if proxies else inner


def _configure(app: APIFlask) -> None:
    if (login := app.config["LOGIN"]) not in _LOGINS:
        raise UnknownName.of("value of the setting 'login':", str(login), _LOGINS)
    if (first := app.config["OPINION_FIRST"]) not in ("on", "off"):
        raise UnknownName.of("value of the setting 'opinion_first':", str(first), ("on", "off"))
    if app.config["PROXIES"] and login == "off":
        raise UsageError(
            "login is 'off' and proxies is set: whoever the proxy lets through would be taken for somebody at this "
            'machine; set login = "on", or proxies = 0 and stop the proxy'
        )
    app.wsgi_app = behind_proxies(app, app.wsgi_app)  # type: ignore[method-assign]
    app.config.update(
        MAX_CONTENT_LENGTH=app.config["MAX_BODY_MB"] * 10**6,
        MAX_FORM_PARTS=app.config["MAX_FILES"] + 16,
        PROPAGATE_EXCEPTIONS=False,
        VALIDATION_ERROR_STATUS_CODE=400,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_SERVERS=False,
    )
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False  # the order of the keys is part of the contract
        app.json.ensure_ascii = False
