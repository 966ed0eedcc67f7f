"""Everyone's accounts, for administrators: API and page."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, List, Nested
from apiflask.validators import Length, OneOf
from flask import redirect, render_template, request, url_for

from secondread.errors import UsageError
from secondread.service import ROLES, User
from secondread.web.auth import current_actor, current_identity, require
from secondread.web.context import service
from secondread.web.cookies import begin_session
from secondread.web.forms import written
from secondread.web.idempotency import once
from secondread.web.login import PASSWORD
from secondread.web.problems import attempt
from secondread.web.shapes import Happened, Text, one_of, said, shape_of

accounts = APIBlueprint("accounts", __name__, url_prefix="/api/v1", tag="accounts")
pages = APIBlueprint("accounts_pages", __name__, url_prefix="/accounts", enable_openapi=False)


class PasswordIn(Schema):
    """A new password for another's account."""

    password = Text(required=True, validate=PASSWORD, metadata=said("12 characters or more, and not a common one"))
    end_tokens = Boolean(load_default=False, metadata=said("end its tokens too; those of another's account always end"))


class UserIn(Schema):
    """A new account: with a password, or with a subject of the sign-in provider."""

    name = Text(required=True, validate=Length(min=1, max=100))
    role = Text(load_default="reader", validate=OneOf(ROLES))
    password = Text(load_default=None, allow_none=True, validate=PASSWORD)
    subject = Text(
        load_default=None,
        allow_none=True,
        validate=Length(min=1, max=300),
        metadata=said("issuer and subject, by a space"),
    )


class UserChangeIn(Schema):
    """What is to change."""

    role = Text(load_default=None, validate=OneOf(ROLES))
    disabled = Boolean(load_default=None)


@shape_of(User, "name role created_at last_login_at disabled has_password")
class UserRow(Schema):
    """An account."""

    role = one_of(ROLES)
    disabled = Happened(required=True, attribute="disabled_at")
    has_password = said("false: signs in through the provider alone")


class UserOut(UserRow):
    """An account."""


class UsersOut(Schema):
    """Every account, by name."""

    users = List(Nested(UserRow), required=True)


@accounts.get("/users")
@require("admin")
@accounts.output(UsersOut)
@accounts.doc(operation_id="listUsers", summary="List the accounts")
def list_users() -> Any:
    """Answer with every account, disabled ones too."""
    return {"users": service().accounts.users()}


@accounts.post("/users")
@require("admin")
@accounts.input(UserIn)
@accounts.doc(operation_id="addUser", summary="Make an account")
@once(accounts)
@accounts.output(UserOut, status_code=201)
def add_user(json_data: dict[str, Any]) -> Any:
    """Make an account. On a server without accounts the first one has to be an administrator's."""
    user = service().accounts.add(**json_data, actor=current_actor())
    return user, 201, {"Location": f"/api/v1/users/{user.name}"}


@accounts.get("/users/<name>")
@require("admin")
@accounts.output(UserOut)
@accounts.doc(operation_id="getUser", summary="Show an account")
def get_user(name: str) -> Any:
    """Answer with one account."""
    return service().accounts.get(name)


@accounts.patch("/users/<name>")
@require("admin")
@accounts.input(UserChangeIn)
@accounts.output(UserOut)
@accounts.doc(operation_id="changeUser", summary="Give an account another role, disable or enable it")
def change_user(name: str, json_data: dict[str, Any]) -> Any:
    """Change an account; its sessions end, and with `disabled` its tokens. The last administrator stays one."""
    user = service().accounts.get(name)
    if json_data["role"] is not None and json_data["role"] != user.role:
        user = service().accounts.set_role(user.name, json_data["role"], actor=current_actor())
    if json_data["disabled"] is not None and json_data["disabled"] != (user.disabled_at is not None):
        change = service().accounts.disable if json_data["disabled"] else service().accounts.enable
        user = change(user.name, actor=current_actor())
    return user


@accounts.put("/users/<name>/password")
@require("admin")
@accounts.input(PasswordIn)
@accounts.output(UserOut)
@accounts.doc(operation_id="setPassword", summary="Set an account's password")
def set_password(name: str, json_data: dict[str, Any]) -> Any:
    """Set a new password; the account's sessions end, and its tokens unless it is one's own."""
    return service().accounts.set_password(name, **json_data, actor=current_actor())


@accounts.delete("/users/<name>/sessions")
@require("admin")
@accounts.output(UserOut)
@accounts.doc(operation_id="endSessionsOfUser", summary="Log an account out everywhere")
def end_sessions(name: str) -> Any:
    """End every session of an account, and forget the browsers in which it logged in."""
    return service().accounts.end_sessions(name, actor=current_actor())


@pages.get("")
@require("admin")
def show() -> str:
    """Every account, and the form for a new one."""
    return _everyone()


@pages.post("")
@require("admin")
def add() -> Any:
    """Make an account. On a server without accounts the first is an administrator's, who is then logged in."""

    def act() -> Any:
        role, password = request.form.get("role", "reader"), request.form.get("password", "")
        first = not service().accounts.users()
        name = written("name")
        user = service().accounts.add(name, role=role, password=password, actor=current_actor())
        if first and current_identity().by == "local":
            begin_session(user)
        return redirect(url_for("accounts_pages.show"), code=303)

    return attempt(act, lambda sentence: _everyone(mistake=sentence))


@pages.post("/<name>")
@require("admin")
def change(name: str) -> Any:
    """Another role, another password, disabled or enabled, as the pressed button says."""

    def act() -> Any:
        what, accounts_, by = request.form.get("do", ""), service().accounts, current_actor()
        acts = {
            "role": lambda: accounts_.set_role(name, request.form.get("role", ""), actor=by),
            "password": lambda: accounts_.set_password(name, request.form.get("password", ""), actor=by),
            "disable": lambda: accounts_.disable(name, actor=by),
            "enable": lambda: accounts_.enable(name, actor=by),
            "sessions": lambda: accounts_.end_sessions(name, actor=by),
        }
        accounts_.get(name)
        if what not in acts:
            raise UsageError("press the button of what is to change")
        acts[what]()
        return redirect(url_for("accounts_pages.show"), code=303)

    return attempt(act, lambda sentence: _everyone(mistake=sentence))


def _everyone(mistake: str = "") -> str:
    users = service().accounts.users()
    return render_template("accounts.html", users=users, roles=ROLES, mistake=mistake, form=request.form)
