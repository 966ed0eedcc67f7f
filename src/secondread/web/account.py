"""One's own account: its password and sessions, and API tokens, made for programs, shown once; API and page."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from flask import redirect, render_template, request, url_for
from flask_babel import gettext

from secondread.errors import UsageError
from secondread.service import SCOPES, LoginSession, Token, scopes_of
from secondread.web.auth import current_actor, current_identity, require
from secondread.web.context import service
from secondread.web.cookies import begin_session, device
from secondread.web.forms import whole, written
from secondread.web.idempotency import once
from secondread.web.login import PASSWORD, WhoOut, who_asks
from secondread.web.problems import attempt
from secondread.web.shapes import Happened, Text, said, shape_of

own = APIBlueprint("own_account", __name__, url_prefix="/api/v1", tag="accounts")
tokens = APIBlueprint("tokens", __name__, url_prefix="/api/v1", tag="tokens")
pages = APIBlueprint("account_pages", __name__, url_prefix="/account", enable_openapi=False)


class PasswordChangeIn(Schema):
    """One's own password, and the new one."""

    old = Text(required=True, validate=PASSWORD)
    new = Text(required=True, validate=PASSWORD, metadata=said("12 characters or more, and not a common one"))
    end_tokens = Boolean(load_default=False, metadata=said("end one's API tokens too"))


class SessionsQuery(Schema):
    """Whose sessions."""

    user = Text(load_default=None, metadata=said("an account's name; needs the scope admin unless it is one's own"))


@shape_of(LoginSession, "id user created_at seen_at expires_at address browser")
class SessionRow(Schema):
    """A browser that is logged in."""

    seen_at = said("its last request, to a minute")
    expires_at = said("when it ends unless it is used before; a week after the login in any case")
    browser = said("as 'Firefox, Linux'; empty where it did not say")
    current = Boolean(required=True, metadata=said("whether it is the one that asks"))


class SessionsOut(Schema):
    """Sessions."""

    sessions = List(Nested(SessionRow), required=True)


class TokensQuery(Schema):
    """Whose tokens."""

    user = Text(load_default=None, metadata=said("an account's name; needs the scope admin unless it is one's own"))


class TokenIn(Schema):
    """A new token."""

    name = Text(required=True, validate=Length(min=1, max=100), metadata=said("what it is for"))
    scopes = List(Text(validate=OneOf(SCOPES)), required=True, validate=Length(min=1, max=4))
    days = Integer(
        load_default=90, allow_none=True, validate=Range(1, 3650), metadata=said("until it expires; null: never")
    )
    user = Text(load_default=None, allow_none=True, metadata=said("for another's account; needs the scope admin"))


@shape_of(Token, "id user name start scopes created_at expires_at last_used_at")
class TokenRow(Schema):
    """What is known of a token."""

    start = said("its first characters")
    revoked = Happened(required=True, attribute="revoked_at")


class TokenOut(TokenRow):
    """What is known of a token."""


class NewTokenOut(TokenRow):
    """A new token, shown this once."""

    token = String(required=True)


class TokensOut(Schema):
    """Tokens."""

    tokens = List(Nested(TokenRow), required=True)


@own.put("/session/password")
@require("read")
@own.input(PasswordChangeIn)
@own.output(WhoOut)
@own.doc(operation_id="changePassword", summary="Change one's own password")
def put_password(json_data: dict[str, Any]) -> Any:
    """Every other session of the account ends, and its tokens where that is asked for."""
    begin_session(service().accounts.change_own_password(**json_data, device=device(), actor=current_actor()))
    return who_asks()


@own.delete("/session/others")
@require("read")
@own.output(WhoOut)
@own.doc(operation_id="endOtherSessions", summary="Log out everywhere else")
def delete_others() -> Any:
    """End every session of one's account but this one."""
    service().sessions.end_others(current_identity().session_id or 0, actor=current_actor())
    return who_asks()


@own.get("/sessions")
@require("read")
@own.input(SessionsQuery, location="query")
@own.output(SessionsOut)
@own.doc(operation_id="listSessions", summary="List the browsers that are logged in")
def list_sessions(query_data: dict[str, Any]) -> Any:
    """Answer with one's own sessions; administrators may ask for those of another account."""
    return {"sessions": _sessions(query_data["user"] or None)}


@own.delete("/sessions/<int:session_id>")
@require("read")
@own.output({}, status_code=204)
@own.doc(operation_id="endSession", summary="Log a browser out")
def delete_session(session_id: int) -> Any:
    """End a session: one's own, or as an administrator anyone's."""
    service().sessions.end_one(session_id, actor=current_actor())
    return ""


@tokens.get("/tokens")
@require("read")
@tokens.input(TokensQuery, location="query")
@tokens.output(TokensOut)
@tokens.doc(operation_id="listTokens", summary="List tokens")
def list_tokens(query_data: dict[str, Any]) -> Any:
    """Answer with one's own tokens; administrators see everyone's, or those of one account."""
    return {"tokens": service().tokens.find(query_data["user"] or None, actor=current_actor())}


@tokens.post("/tokens")
@require("read")
@tokens.input(TokenIn)
@tokens.doc(operation_id="addToken", summary="Make a token")
@once(tokens, secret=True)
@tokens.output(NewTokenOut, status_code=201)
def post_token(json_data: dict[str, Any]) -> Any:
    """Make a token. It is shown this once; only its hash is kept. A token cannot make another one."""
    secret, token = service().tokens.add(**json_data, actor=current_actor())
    return vars(token) | {"token": secret}, 201, {"Location": "/api/v1/tokens"}


@tokens.delete("/tokens/<int:token_id>")
@require("read")
@tokens.output(TokenOut)
@tokens.doc(operation_id="revokeToken", summary="Revoke a token")
def delete_token(token_id: int) -> Any:
    """End a token for good: one's own, or as an administrator anyone's."""
    return service().tokens.revoke(token_id, actor=current_actor())


@pages.get("")
@require("read")
def show() -> str:
    """Who is there, the password, sessions, tokens."""
    return _own()


@pages.post("/password")
@require("read")
def change_password() -> Any:
    """Change one's own password; every other session ends, and the tokens where the box is ticked."""

    def act() -> Any:
        old, new = request.form.get("old", ""), request.form.get("new", "")
        if new != request.form.get("again", ""):
            raise UsageError("the new password was typed in two ways; type it again")
        end_tokens = request.form.get("end_tokens") == "1"
        changed = service().accounts.change_own_password(
            old, new, end_tokens=end_tokens, device=device(), actor=current_actor()
        )
        begin_session(changed)
        return redirect(url_for("account_pages.show", said="tokens" if end_tokens else "password"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@pages.post("/others")
@require("read")
def end_others() -> Any:
    """End every session of one's account but this one."""

    def act() -> Any:
        service().sessions.end_others(current_identity().session_id or 0, actor=current_actor())
        return redirect(url_for("account_pages.show", said="others"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@pages.post("/sessions/<int:session_id>/end")
@require("read")
def end_session(session_id: int) -> Any:
    """End one of one's own sessions."""

    def act() -> Any:
        service().sessions.end_one(session_id, actor=current_actor())
        return redirect(url_for("account_pages.show", said="session"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@pages.post("/tokens")
@require("read")
def add_token() -> Any:
    """Make a token and show it this once."""

    def act() -> Any:
        secret, token = service().tokens.add(
            name=written("name"),
            scopes=request.form.getlist("scopes"),
            days=whole("days", 90, 1, 3650),
            actor=current_actor(),
        )
        return _own(secret=secret, secret_of=token.name)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@pages.post("/tokens/<int:token_id>/revoke")
@require("read")
def revoke_token(token_id: int) -> Any:
    """End one of one's own tokens for good."""

    def act() -> Any:
        service().tokens.revoke(token_id, actor=current_actor())
        return redirect(url_for("account_pages.show"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


def _own(*, mistake: str = "", secret: str = "", secret_of: str = "") -> str:
    found = current_identity()
    tokens = service().tokens.find(found.user.name, actor=found.actor) if found.user else []
    sessions = _sessions() if found.by == "session" else []
    said = {
        "password": gettext("The password was changed; every other session has ended."),
        "tokens": gettext("The password was changed; every other session and all tokens have ended."),
        "session": gettext("The session has ended."),
        "others": gettext("Every other session has ended."),
    }.get(request.args.get("said", ""), "")
    may_give = [scope for scope in SCOPES if scope in scopes_of(found.role)]
    shown = {"found": found, "tokens": tokens, "said_": said, "scopes": may_give, "mistake": mistake}
    shown["sessions"] = sessions
    return render_template("account.html", **shown, secret=secret, secret_of=secret_of)


def _sessions(user: str | None = None) -> list[dict[str, Any]]:
    found = current_identity()
    rows = service().sessions.find(user, actor=found.actor)
    return [vars(row) | {"current": row.id == found.session_id} for row in rows]
