"""Every rule of accounts is one rule: what a page refuses, the API and the command refuse, and all leave the same."""

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from secondread.cli import admin
from secondread.service import LOCAL, ROLES, SCOPES, Actor, Service
from secondread.web import create_app
from tests.cli.test_cli import call
from tests.web.conftest import logged_in

GOOD = "correct horse battery"


@dataclass(frozen=True)
class Case:
    """One rule: who acts, on what, and whether it is allowed. What a way lacks is None."""

    allowed: bool
    page: tuple[str, dict[str, Any]] | None  # address, form
    api: tuple[str, str, dict[str, Any] | None]  # method, address below /api/v1, JSON
    command: tuple[str, ...] | None
    who: str = "chief"
    there: dict[str, str] = field(default_factory=lambda: {"chief": "administrator", "bo": "reader"})
    typed: str = ""


def _new(name: str = "cleo", role: str = "reader", password: str = GOOD, **more: Any) -> Case:
    form = {"name": name, "role": role, "password": password}
    return Case(page=("/accounts", form), api=("POST", "/users", form),
                command=("user", "add", name, "--role", role), typed=password, **more)  # fmt: skip


def _change(do: str, name: str, api: dict[str, Any], *command: str, **more: Any) -> Case:
    return Case(page=(f"/accounts/{name}", {"do": do} | api), api=("PATCH", f"/users/{name}", api),
                command=("user", *command), **more)  # fmt: skip


def _password(name: str, password: str, **more: Any) -> Case:
    body = {"password": password}
    return Case(page=(f"/accounts/{name}", {"do": "password"} | body), api=("PUT", f"/users/{name}/password", body),
                command=("user", "password", name), typed=password, **more)  # fmt: skip


def _token(name: str, *scopes: str, days: int = 90, **more: Any) -> Case:
    body = {"name": "script", "scopes": list(scopes), "days": days}
    flags = [part for scope in scopes for part in ("--scope", scope)]
    return Case(page=("/account/tokens", body), api=("POST", "/tokens", body), who=name,
                command=("token", "add", name, "--name", "script", *flags, "--days", str(days)), **more)  # fmt: skip


TWO = {"chief": "administrator", "deputy": "administrator", "bo": "reader"}
CASES = {
    "a new account": _new(allowed=True),
    "the first account is an administrator's": _new(allowed=False, who="", there={}),
    "the first account may be an administrator's": _new(allowed=True, who="", there={}, role="administrator"),
    "names are letters, digits and a few signs": _new("a b", allowed=False),
    "'local' is no account": _new("local", allowed=False),
    "a name is given once": _new("bo", allowed=False),
    "a password has twelve characters": _new(password="short", allowed=False),
    "a password does not hold the name": _new(password="i am cleo, hello", allowed=False),
    "there are three roles": _new(role="king", allowed=False),
    "a new password has twelve characters too": _password("bo", "short", allowed=False),
    "a new password is no common one": _password("bo", "password1234", allowed=False),
    "nor one made from the product's name": _new(password="secondread2026", allowed=False),
    "a new password of one's own": _password("chief", GOOD + " staple", allowed=True),
    "and one that ends one's own tokens": Case(
        True,
        None,
        ("PUT", "/users/chief/password", {"password": GOOD + " staple", "end_tokens": True}),
        ("user", "password", "chief", "--end-tokens"),
        typed=GOOD + " staple",
    ),
    "all sessions of an account end": Case(
        True,
        ("/accounts/bo", {"do": "sessions"}),
        ("DELETE", "/users/bo/sessions", None),
        ("user", "sessions", "bo", "--end"),
    ),
    "but of none that is not there": Case(
        False,
        ("/accounts/nobody", {"do": "sessions"}),
        ("DELETE", "/users/nobody/sessions", None),
        ("user", "sessions", "nobody", "--end"),
    ),
    "a new password": _password("bo", GOOD + " staple", allowed=True),
    "another role": _change("role", "bo", {"role": "reviewer"}, "role", "bo", "reviewer", allowed=True),
    "the last administrator stays one": _change(
        "role", "chief", {"role": "reader"}, "role", "chief", "reader", allowed=False
    ),
    "of two administrators one may go": _change(
        "role", "chief", {"role": "reader"}, "role", "chief", "reader", allowed=True, there=TWO
    ),
    "another is disabled": _change(
        "disable", "deputy", {"disabled": True}, "disable", "deputy", allowed=True, there=TWO
    ),
    "the last administrator is not disabled": _change(
        "disable", "chief", {"disabled": True}, "disable", "chief", allowed=False
    ),
    "nobody disables their own account": _change(
        "disable", "chief", {"disabled": True}, "disable", "chief", allowed=False, there=TWO
    ),
    "who is not there is not disabled": _change(
        "disable", "nobody", {"disabled": True}, "disable", "nobody", allowed=False
    ),
    "a token for what one's role may do": _token("bo", "read", "write", allowed=True),
    "no token for more than that": _token("bo", "read", "admin", allowed=False),
    "no token for ever so long": _token("bo", "read", days=4000, allowed=False),
    "no token without a scope that is known": _token("bo", "rea", allowed=False),
    "one's own token is revoked": Case(
        True, ("/account/tokens/2/revoke", {}), ("DELETE", "/tokens/2", None), ("token", "revoke", "2"), who="bo"
    ),
    "an administrator revokes anyone's": Case(
        True, ("/account/tokens/2/revoke", {}), ("DELETE", "/tokens/2", None), ("token", "revoke", "2")
    ),
    "nobody else does": Case(False, ("/account/tokens/1/revoke", {}), ("DELETE", "/tokens/1", None), None, who="bo"),
    "what is no token is not revoked": Case(
        False, ("/account/tokens/99/revoke", {}), ("DELETE", "/tokens/99", None), ("token", "revoke", "99")
    ),
    "tokens for others are made by administrators": Case(
        False, None, ("POST", "/tokens", {"name": "x", "scopes": ["read"], "user": "chief"}), None, who="bo"
    ),
    "only administrators make accounts": replace(_new(allowed=False, who="bo"), command=None),
}


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("secondread.service.accounts.PasswordHasher", quick)


@pytest.fixture
def folder(tmp_path: Path, sqlite_file: Path) -> Callable[[str, Case], Path]:
    """A data folder with the accounts of a case, each with a token."""

    def made(way: str, case: Case) -> Path:
        (tmp_path / way).mkdir()
        shutil.copy(sqlite_file, tmp_path / way)
        service = Service.open({"DATA_FOLDER": str(tmp_path / way)})
        for name, role in case.there.items():
            service.accounts.add(name, role=role, password=GOOD, actor=LOCAL)
            service.tokens.add(name, name="old", scopes=["read"], actor=LOCAL)
        service.close()
        return tmp_path / way

    return made


def _left(folder: Path) -> tuple[Any, ...]:
    """What is there: accounts, how often their sessions ended, and tokens."""
    service = Service.open({"DATA_FOLDER": str(folder)})
    accounts = service.accounts
    users = [(one.name, one.role, one.disabled_at is None, one.session_version) for one in accounts.users()]
    tokens = [(one.user, one.name, one.scopes, one.revoked_at is None) for one in service.tokens.find(actor=LOCAL)]
    service.close()
    return users, tokens


def _client(app: Flask, who: str) -> FlaskClient:
    client = app.test_client()
    if who:
        client.environ_base["HTTP_X_CSRF_TOKEN"] = logged_in(client, who)
    return client


def _by_web(folder: Path, case: Case, way: str) -> bool:
    app = create_app({"DATA_FOLDER": str(folder)})
    client = _client(app, case.who)
    if way == "page":
        assert case.page is not None
        status = client.post(case.page[0], data=case.page[1]).status_code
    else:
        method, address, body = case.api
        status = client.open(f"/api/v1{address}", method=method, json=body).status_code
    app.extensions["secondread.service"].close()
    assert status < 500
    return status < 400


def _by_command(folder: Path, case: Case, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    assert case.command is not None
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{case.typed}\n"))
    monkeypatch.setattr("getpass.getuser", lambda: case.who or "root")
    code, _, _ = call(capsys, *case.command, "--data-folder", folder)
    assert code in (0, 2)
    return bool(code == 0)


@pytest.mark.parametrize("rule", CASES)
def test_page_api_and_command_hold_the_same_rule(
    rule: str,
    folder: Callable[[str, Case], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES[rule]
    monkeypatch.delenv("SECONDREAD_DATABASE", raising=False)
    ways: dict[str, tuple[bool, Any]] = {}
    for way, given in (("page", case.page), ("api", case.api), ("command", case.command)):
        if given is None:
            continue
        place = folder(way, case)
        before = _left(place)
        done = _by_command(place, case, capsys, monkeypatch) if way == "command" else _by_web(place, case, way)
        ways[way] = done, _left(place)
        assert done or ways[way][1] == before, f"{way}: refused, and yet something was changed"
    assert {way: done for way, (done, _) in ways.items()} == dict.fromkeys(ways, case.allowed)
    first, *others = ways.values()
    assert [left for _, left in others] == [first[1]] * len(others)


@pytest.mark.parametrize(
    ("name", "change", "ends"),
    [
        ("bo", "set_password", True),
        ("chief", "set_password", False),
        ("bo", "disable", True),
        ("bo", "set_role", False),
        ("bo", "end_sessions", False),
    ],
)
def test_tokens_end_with_what_another_does_because_something_got_out(
    folder: Callable[[str, Case], Path], name: str, change: str, ends: bool
) -> None:
    service = Service.open({"DATA_FOLDER": str(folder("here", CASES["a new account"]))})
    arguments = {"set_password": (GOOD + " staple",), "set_role": ("reviewer",)}.get(change, ())
    getattr(service.accounts, change)(name, *arguments, actor=Actor("chief", "session"))
    assert [one.revoked_at is not None for one in service.tokens.find(name, actor=LOCAL)] == [ends]
    (line,) = list(service.trail.lines(subject=f"user:{name}"))[-1:]
    assert ("tokens_ended" in line["detail"]) == ends
    service.close()


def test_the_command_offers_the_roles_and_scopes_that_there_are() -> None:
    role = next(option for option in admin.add_user.params if option.name == "role")
    scope = next(option for option in admin.add_token.params if option.name == "scopes")
    assert (tuple(role.type.choices), tuple(scope.type.choices)) == (ROLES, SCOPES)  # type: ignore[attr-defined]
