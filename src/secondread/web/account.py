"""One's own account: its password and sessions, and API tokens, made for programs, shown once; API and page."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from flask import redirect, render_template, request, url_for
from flask_babel import gettext

from secondread.errors import UsageError
from secondread.service import SCOPES, Token, scopes_of
from secondread.web.auth import begin_session, current_actor, current_identity, require
from secondread.web.context import service
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
    new = Text(required=True, validate=PASSWORD, metadata=said("12 characters or more"))


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
    """Every other session of the account ends."""
    begin_session(service().accounts.change_own_password(json_data["old"], json_data["new"], actor=current_actor()))
    return who_asks()


@own.delete("/session/others")
@require("read")
@own.output(WhoOut)
@own.doc(operation_id="endOtherSessions", summary="Log out everywhere else")
def delete_others() -> Any:
    """End every session of one's account but this one."""
    begin_session(service().accounts.end_own_sessions(actor=current_actor()))
    return who_asks()


@tokens.get("/tokens")
@require("read")
@tokens.input(TokensQuery, location="query")
@tokens.output(TokensOut)
@tokens.doc(operation_id="listTokens", summary="List tokens")
def list_tokens(query_data: dict[str, Any]) -> Any:
    """Answer with one's own tokens; administrators see everyone's, or those of one account."""
    return {"tokens": service().accounts.tokens(query_data["user"] or None, actor=current_actor())}


@tokens.post("/tokens")
@require("read")
@tokens.input(TokenIn)
@tokens.doc(operation_id="addToken", summary="Make a token")
@once(tokens, secret=True)
@tokens.output(NewTokenOut, status_code=201)
def post_token(json_data: dict[str, Any]) -> Any:
    """Make a token. It is shown this once; only its hash is kept. A token cannot make another one."""
    secret, token = service().accounts.add_token(**json_data, actor=current_actor())
    return vars(token) | {"token": secret}, 201, {"Location": "/api/v1/tokens"}


@tokens.delete("/tokens/<int:token_id>")
@require("read")
@tokens.output(TokenOut)
@tokens.doc(operation_id="revokeToken", summary="Revoke a token")
def delete_token(token_id: int) -> Any:
    """End a token for good: one's own, or as an administrator anyone's."""
    return service().accounts.revoke_token(token_id, actor=current_actor())


@pages.get("")
@require("read")
def show() -> str:
    """Who is there, the password, tokens."""
    return _own()


@pages.post("/password")
@require("read")
def change_password() -> Any:
    """Change one's own password; every other session ends."""

    def act() -> Any:
        old, new = request.form.get("old", ""), request.form.get("new", "")
        if new != request.form.get("again", ""):
            raise UsageError("the new password was typed in two ways; type it again")
        begin_session(service().accounts.change_own_password(old, new, actor=current_actor()))
        return redirect(url_for("account_pages.show", said="password"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@pages.post("/others")
@require("read")
def end_others() -> Any:
    """End every session of one's account but this one."""

    def act() -> Any:
        begin_session(service().accounts.end_own_sessions(actor=current_actor()))
        return redirect(url_for("account_pages.show", said="others"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@pages.post("/tokens")
@require("read")
def add_token() -> Any:
    """Make a token and show it this once."""

    def act() -> Any:
        secret, token = service().accounts.add_token(
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
        service().accounts.revoke_token(token_id, actor=current_actor())
        return redirect(url_for("account_pages.show"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


def _own(*, mistake: str = "", secret: str = "", secret_of: str = "") -> str:
    found = current_identity()
    tokens = service().accounts.tokens(found.user.name, actor=found.actor) if found.user else []
    said = {
        "password": gettext("The password was changed; every other session has ended."),
        "others": gettext("Every other session has ended."),
    }.get(request.args.get("said", ""), "")
    may_give = [scope for scope in SCOPES if scope in scopes_of(found.role)]
    shown = {"found": found, "tokens": tokens, "said_": said, "scopes": may_give, "mistake": mistake}
    return render_template("account.html", **shown, secret=secret, secret_of=secret_of)
