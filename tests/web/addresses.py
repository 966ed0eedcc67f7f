"""Every address of an application with every parameter that it takes, and requests with any of them made wrong.

What the OpenAPI document names, and for pages every field that a view or a template of the package speaks of: a new
address or field takes part without anyone remembering.
"""

import ast
import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from apiflask import APIFlask, Schema
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

import secondread.web
from secondread.service import LOCAL, SCOPES, accounts
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import create_app
from secondread.web.hanging import HangingIn
from secondread.web.readings import AgainForm, KeptQuery, ReadingForm
from tests.web.conftest import multipart

PASSWORD = "correct horse battery"
WEB = Path(secondread.web.__file__).parent
FILM = encode(chest_phantom(64, random_state=1), "PNG")
_LEFT_OUT = {"static"}  # files of the package, served by Flask
_FORM_CALLS = {"get", "getlist", "written", "whole", "number", "_score"}
_ASKED_BY = {  # functions that several views call → fields that these ask for
    "form_filter": {"task", "bundle", "source", "since", "until", "batch", "reviewer", "text", "order", "deleted"},
    "bundle_asked": {"bundle"},
    "bundle_of_form": {"bundle"},
    "thresholds_page": {"bundle", "split", "prevalence"},
    "way_back": {"next"},
    "_lines": {"actor", "action", "subject"},
}
_SCHEMAS: dict[tuple[str, str], type[Schema]] = {  # of pages that are parsed by one
    ("GET", "/read"): KeptQuery,
    ("PUT", "/hanging"): HangingIn,
    ("POST", "/read"): ReadingForm,
    ("POST", "/read/again"): AgainForm,
}
_METHODS = ("GET", "PATCH", "PUT", "POST", "DELETE")
_RIGHT: dict[str, Any] = {
    "task": "tuberculosis",
    "bundle": "tuberculosis/paper",
    "split": "test",
    "name": "berta",
    "language": "hi",
    "ids": "1",
    "id": 1,
    "frame": 1,
    "low": 0.2,
    "high": 0.5,
    "password": PASSWORD,
    "note": "seen",
    "subject": "issuer subject",
    "image": "film.png",
    "old": PASSWORD,
    "new": "another correct horse battery",
}


@dataclass(frozen=True)
class Address:
    """One rule with one method. Values of parameters are right ones."""

    method: str
    rule: str
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    form: dict[str, Any] = field(default_factory=dict)
    json: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict)  # fields of a form that are other pages'
    takes_files: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.rule}"

    @property
    def places(self) -> list[tuple[str, str]]:
        """(place, name) of every parameter."""
        found = [("path", name) for name in self.path] + [("query", name) for name in self.query]
        return found + [("form", name) for name in self.form] + [("json", name) for name in self.json or {}]

    def send(self, client: FlaskClient, wrong: dict[tuple[str, str], Any], **more: Any) -> TestResponse:
        """Ask with right values, but for the wrong ones."""

        def with_wrong(place: str, right: dict[str, Any]) -> dict[str, Any]:
            return right | {name: value for (at, name), value in wrong.items() if at == place}

        path = self.rule
        for name, value in with_wrong("path", self.path).items():
            path = re.sub(rf"<(?:[^:<>]+:)?{name}>", lambda _, value=value: quote(str(value), safe=""), path)
        more["query_string"] = with_wrong("query", self.query)
        if self.json is not None:
            more["json"] = with_wrong("json", self.json)
        elif self.method not in ("GET", "HEAD"):
            form = self.more | with_wrong("form", self.form)
            if self.takes_files:
                form["image"] = FileStorage(io.BytesIO(FILM), str(form.pop("image", "film.png")).replace("\0", ""))
            more["data"] = form
            more["content_type"] = "multipart/form-data" if self.takes_files else "application/x-www-form-urlencoded"
        return client.open(path, method=self.method, **more)


def addresses(app: APIFlask) -> list[Address]:
    """All of them; those that delete are the last."""
    spec = app.spec
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint in _LEFT_OUT:
            continue
        path = {name: _right(name, {"type": "integer"} if "<int:" in rule.rule else {}) for name in rule.arguments}
        operations = spec["paths"].get(re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), {})
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if operation := operations.get(method.lower()):
                found.append(_documented(rule.rule, method, path, operation, spec["components"]["schemas"]))
            else:
                found.append(_page(rule.rule, method, path, app.view_functions[rule.endpoint]))
    return sorted(found, key=lambda address: (_METHODS.index(address.method), address.rule))


def _page(rule: str, method: str, path: dict[str, Any], view: Callable[..., Any]) -> Address:
    """Every field is sent to every page; its own are those that its view asks for."""
    schema = _SCHEMAS.get((method, rule))
    names = schema().fields if schema else _fields_of(view)
    fields = {name: _right(name, {}) for name in sorted(names)}
    if method == "GET":
        return Address(method, rule, path, query=fields)
    more = {} if schema else dict.fromkeys(_fields_of_templates(), "")
    return Address(method, rule, path, form=fields, more=more, takes_files=schema is ReadingForm)


class Administrator:
    """Asks with a token of every scope, with a session where a token does not do; begins anew where either ended."""

    def __init__(self, app: APIFlask):
        """Make two accounts, so that nothing is let in without login any more."""
        self._app = app
        self._session = self.client = app.test_client()
        for name, role in (("anna", "administrator"), ("berta", "reader")):
            account = {"name": name, "role": role, "password": PASSWORD}
            assert self._session.post("/api/v1/users", json=account).status_code == 201
            self._log_in()
        self._make_token()

    def send(self, address: Address, wrong: dict[tuple[str, str], Any], **more: Any) -> TestResponse:
        """As `Address.send`."""
        answer = address.send(self.client, wrong, **more)
        if answer.status_code == 401 and self.client.get("/api/v1/session").status_code == 401:
            self._log_in()  # its token was revoked by what was asked before
            self._make_token()
            answer = address.send(self.client, wrong, **more)
        if answer.status_code != 403:
            return answer
        who = self._session.get("/api/v1/session").json
        if who["by"] != "session":
            who = self._log_in()
        self._session.environ_base["HTTP_X_CSRF_TOKEN"] = who["csrf_token"]
        return address.send(self._session, wrong, **more)

    def _make_token(self) -> None:
        asked = {"name": "t", "scopes": list(SCOPES)}
        secret = [self._session.post("/api/v1/tokens", json=asked).json["token"] for _ in range(3)][-1]
        self.client = self._app.test_client()
        self.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"

    def _log_in(self) -> dict[str, Any]:
        self._session = self._app.test_client()
        opened = self._session.post("/api/v1/session", json={"name": "anna", "password": PASSWORD})
        if opened.status_code != 200:  # a request has changed it
            self._app.extensions["secondread.service"].accounts.set_password("anna", PASSWORD, actor=LOCAL)
            opened = self._session.post("/api/v1/session", json={"name": "anna", "password": PASSWORD})
        self._session.environ_base["HTTP_X_CSRF_TOKEN"] = opened.json["csrf_token"]
        return dict(opened.json)


@contextmanager
def room(folder: Path, **more: Any) -> Iterator[Administrator]:
    """An application with a reading and an upload, asked by an administrator. Passwords are hashed cheaply."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "PasswordHasher", partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1))
        yield from _room(folder, more)


def _room(folder: Path, more: dict[str, Any]) -> Iterator[Administrator]:
    app = create_app({"GATE": "off", "DATA_FOLDER": str(folder), "RATE_LIMIT": "", "EVENT_STREAMS": 0} | more)
    asker = Administrator(app)
    for where in ("/api/v1/readings", "/api/v1/batches"):
        body, content_type = multipart(("a.png", FILM), task="tuberculosis", bundle="tuberculosis/paper")
        assert asker.client.post(where, data=body, content_type=content_type).status_code < 300
    yield asker
    app.extensions["secondread.service"].close()


def _documented(rule: str, method: str, path: dict[str, Any], operation: dict[str, Any], schemas: Any) -> Address:
    asked = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
    query = {one["name"]: _right(one["name"], one["schema"]) for one in asked}
    content = operation.get("requestBody", {}).get("content", {})
    for kind, media in content.items():
        schema = schemas[media["schema"]["$ref"].rpartition("/")[2]]
        values = {name: _right(name, about) for name, about in schema["properties"].items()}
        if kind == "application/json":
            return Address(method, rule, path, query, json=values)
        return Address(method, rule, path, query, form=values, takes_files="image" in values)
    return Address(method, rule, path, query)


def _right(name: str, schema: dict[str, Any]) -> Any:
    if name in _RIGHT:
        return _RIGHT[name]
    if choices := schema.get("enum"):
        return choices[0]
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if schema.get("format") == "date-time":
        return "2026-03-01T00:00:00Z"
    if kind == "array":
        return [_right("", schema["items"])] if schema["items"].get("format") != "binary" else "film.png"
    plain: dict[str, Any] = {"integer": schema.get("minimum", 1), "number": 0.5, "boolean": False}
    return plain.get(kind, "")


def _fields_of(view: Callable[..., Any]) -> set[str]:
    """Names that a view, or what it calls of its module, asks a form or a query for."""
    functions = _functions(Path(sys.modules[view.__module__].__file__ or ""))
    todo, seen, found = [view.__name__], set(), set[str]()
    while todo:
        name = todo.pop()
        found |= _ASKED_BY.get(name, set())
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in ast.walk(functions[name]):
            todo += [node.id] if isinstance(node, ast.Name) else []
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in _FORM_CALLS and re.fullmatch(r"[a-z_]+", str(node.args[0].value)):
                    found.add(str(node.args[0].value))
    return found


@cache
def _functions(path: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@cache
def _fields_of_templates() -> frozenset[str]:
    texts = (path.read_text(encoding="utf-8") for path in WEB.rglob("*.html"))
    return frozenset(name for text in texts for name in re.findall(r'name="([a-z_]+)"', text))
