"""Accounts: logging in and out, one's own password, and what administrators do with the accounts of others."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Integer, List, Nested, String
from apiflask.validators import Length, OneOf
from flask import Response, jsonify

from secondread.errors import Conflict, NotAllowed
from secondread.service import ROLES, SCOPES, User
from secondread.web.auth import (
    address,
    begin_session,
    csrf_token,
    current_actor,
    current_identity,
    current_user,
    end_session,
    identity,
    public,
    require,
)
from secondread.web.context import service
from secondread.web.document import created
from secondread.web.idempotency import KeyHeader, once
from secondread.web.schemas import Text, said

accounts = APIBlueprint("accounts", __name__, url_prefix="/api/v1", tag="accounts")
_PASSWORD = Length(min=1, max=1000)


class LoginIn(Schema):
    """Name and password."""

    name = Text(required=True, validate=Length(min=1, max=100))
    password = Text(required=True, validate=_PASSWORD)


class PasswordChangeIn(Schema):
    """One's own password, and the new one."""

    old = Text(required=True, validate=_PASSWORD)
    new = Text(required=True, validate=_PASSWORD, metadata=said("12 characters or more"))


class PasswordIn(Schema):
    """A new password for another's account."""

    password = Text(required=True, validate=_PASSWORD, metadata=said("12 characters or more"))


class UserIn(Schema):
    """A new account: with a password, or with a subject of the sign-in provider."""

    name = Text(required=True, validate=Length(min=1, max=100))
    role = Text(load_default="reader", validate=OneOf(ROLES))
    password = Text(load_default=None, allow_none=True, validate=_PASSWORD)
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


class UserRow(Schema):
    """An account."""

    name = String(required=True)
    role = String(required=True, metadata={"enum": list(ROLES)})
    created_at = String(required=True, metadata={"format": "date-time"})
    last_login_at = String(required=True, allow_none=True, metadata={"format": "date-time"})
    disabled = Boolean(required=True)
    has_password = Boolean(required=True, metadata=said("false: signs in through the provider alone"))


class UserOut(UserRow):
    """An account."""


class UsersOut(Schema):
    """Every account, by name."""

    users = List(Nested(UserRow), required=True)


class WhoOut(Schema):
    """Who asks."""

    name = String(required=True, allow_none=True, metadata=said("null where nobody is logged in"))
    role = String(required=True, allow_none=True)
    scopes = List(String(validate=OneOf(SCOPES)), required=True)
    by = String(required=True, metadata=said("local (this machine, without login), session, token or nobody"))
    csrf_token = String(
        required=True, allow_none=True, metadata=said("to send as X-CSRF-Token with every change, beside the cookie")
    )
    reviews_needed = Integer(required=True)


@accounts.get("/session")
@public
@accounts.output(WhoOut)
@accounts.doc(operation_id="whoAmI", summary="Tell who asks and what they may do")
def who() -> Response:
    """Answer for everyone, logged in or not."""
    return jsonify(_who())


@accounts.post("/session")
@public
@accounts.input(LoginIn)
@accounts.output(WhoOut)
@accounts.doc(operation_id="logIn", summary="Log this browser in")
def log_in(json_data: dict[str, Any]) -> Response:
    """Set the session's cookie. After several failures the answer is 429, for longer each time."""
    begin_session(service().accounts.log_in(json_data["name"], json_data["password"], address=address()))
    return jsonify(_who())


@accounts.delete("/session")
@public
@accounts.output(WhoOut)
@accounts.doc(operation_id="logOut", summary="Log this browser out")
def log_out() -> Response:
    """End the session of this browser."""
    found = identity()
    if found is not None and found.by == "session":
        service().trail.record(found.actor, "logout", f"user:{found.actor.name}")
    end_session()
    return jsonify(_who())


@accounts.put("/session/password")
@require("read")
@accounts.input(PasswordChangeIn)
@accounts.output(WhoOut)
@accounts.doc(operation_id="changePassword", summary="Change one's own password")
def change_password(json_data: dict[str, Any]) -> Response:
    """Every other session of the account ends."""
    user = person("to change a password")
    service().accounts.log_in(user.name, json_data["old"], address=address())
    changed = service().accounts.set_password(user.name, json_data["new"], actor=current_actor())
    begin_session(changed)
    return jsonify(_who())


@accounts.delete("/session/others")
@require("read")
@accounts.output(WhoOut)
@accounts.doc(operation_id="endOtherSessions", summary="Log out everywhere else")
def end_others() -> Response:
    """End every session of one's account but this one."""
    user = person("to end sessions")
    begin_session(service().accounts.end_sessions(user.name, actor=current_actor()))
    return jsonify(_who())


@accounts.get("/users")
@require("admin")
@accounts.output(UsersOut)
@accounts.doc(operation_id="listUsers", summary="List the accounts")
def list_users() -> Response:
    """Answer with every account, disabled ones too."""
    return jsonify(users=[_user(user) for user in service().accounts.users()])


@accounts.post("/users")
@require("admin")
@accounts.input(UserIn)
@accounts.input(KeyHeader, location="headers")
@accounts.output(UserOut, status_code=201)
@accounts.doc(operation_id="addUser", summary="Make an account")
@once()
def add_user(json_data: dict[str, Any]) -> Response:
    """Make an account. On a server without accounts the first one has to be an administrator's."""
    if json_data["role"] != "administrator" and not service().accounts.has_administrator():
        raise Conflict("the first account has to be an administrator's, or nobody could administer this server")
    user = service().accounts.add(**json_data, actor=current_actor())
    return created(_user(user), at=f"/api/v1/users/{user.name}")


@accounts.get("/users/<name>")
@require("admin")
@accounts.output(UserOut)
@accounts.doc(operation_id="getUser", summary="Show an account")
def get_user(name: str) -> Response:
    """Answer with one account."""
    return jsonify(_user(service().accounts.get(_checked(name))))


@accounts.patch("/users/<name>")
@require("admin")
@accounts.input(UserChangeIn)
@accounts.output(UserOut)
@accounts.doc(operation_id="changeUser", summary="Give an account another role, disable or enable it")
def change_user(name: str, json_data: dict[str, Any]) -> Response:
    """Change an account; its sessions end. The last administrator stays one."""
    user = service().accounts.get(_checked(name))
    if json_data["role"] is not None and json_data["role"] != user.role:
        user = service().accounts.set_role(user.name, json_data["role"], actor=current_actor())
    if json_data["disabled"] is not None and json_data["disabled"] != (user.disabled_at is not None):
        change = service().accounts.disable if json_data["disabled"] else service().accounts.enable
        user = change(user.name, actor=current_actor())
    return jsonify(_user(user))


@accounts.put("/users/<name>/password")
@require("admin")
@accounts.input(PasswordIn)
@accounts.output(UserOut)
@accounts.doc(operation_id="setPassword", summary="Set an account's password")
def set_password(name: str, json_data: dict[str, Any]) -> Response:
    """Set a new password; the account's sessions end."""
    return jsonify(_user(service().accounts.set_password(_checked(name), json_data["password"], actor=current_actor())))


def person(why: str) -> User:
    """The account of a person who is logged in with a browser. Raises NotAllowed for a token, or without login."""
    user = current_user()
    if user is None or current_identity().by != "session":
        raise NotAllowed(f"log in with name and password {why}")
    return user


def _checked(name: str) -> str:
    return name.replace("\0", "")


def _who() -> dict[str, Any]:
    found = identity()
    return {
        "name": None if found is None else found.actor.name,
        "role": None if found is None else found.role,
        "scopes": [] if found is None else sorted(found.scopes),
        "by": "nobody" if found is None else found.by,
        "csrf_token": csrf_token() if found is not None and found.by == "session" else None,
        "reviews_needed": service().reviews.needed,
    }


def _user(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "created_at": user.created_at.isoformat(),
        "last_login_at": None if user.last_login_at is None else user.last_login_at.isoformat(),
        "disabled": user.disabled_at is not None,
        "has_password": user.has_password,
    }
