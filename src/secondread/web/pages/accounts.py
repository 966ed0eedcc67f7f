"""One's own account with its tokens, and for administrators those of everyone."""

from typing import Any

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for
from flask_babel import gettext

from secondread.errors import Conflict, NotAllowed, UsageError
from secondread.service import ROLES, SCOPES, scopes_of
from secondread.web.api.accounts import person
from secondread.web.auth import address, begin_session, current_actor, current_identity, current_user, require
from secondread.web.context import service
from secondread.web.pages.parts import attempt, whole

accounts = APIBlueprint("account_pages", __name__, enable_openapi=False)


@accounts.get("/account")
@require("read")
def own() -> str:
    """Who is there, the password, tokens."""
    return _own()


@accounts.post("/account/password")
@require("read")
def change_password() -> Any:
    """Change one's own password; every other session ends."""

    def act() -> Any:
        user, new = person("to change a password"), request.form.get("new", "")
        if not new or not request.form.get("old"):
            raise UsageError("give the password until now and the new one")
        if new != request.form.get("again", ""):
            raise UsageError("the new password was typed in two ways; type it again")
        service().accounts.log_in(user.name, request.form.get("old", ""), address=address())
        begin_session(service().accounts.set_password(user.name, new, actor=current_actor()))
        return redirect(url_for("account_pages.own", said="password"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@accounts.post("/account/others")
@require("read")
def end_others() -> Any:
    """End every session of one's account but this one."""

    def act() -> Any:
        user = person("to end sessions")
        begin_session(service().accounts.end_sessions(user.name, actor=current_actor()))
        return redirect(url_for("account_pages.own", said="others"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@accounts.post("/account/tokens")
@require("read")
def add_token() -> Any:
    """Make a token and show it this once."""

    def act() -> Any:
        user = person("to make a token")
        secret, token = service().accounts.add_token(
            user.name,
            name=request.form.get("name", "").replace("\0", ""),
            scopes=request.form.getlist("scopes"),
            days=whole("days", 90, 1, 3650),
            actor=current_actor(),
        )
        return _own(secret=secret, secret_of=token.name)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@accounts.post("/account/tokens/<int:token_id>/revoke")
@require("read")
def revoke_token(token_id: int) -> Any:
    """End one of one's own tokens for good."""

    def act() -> Any:
        user = person("to revoke a token")
        service().accounts.revoke_token(min(token_id, 2**31 - 1), actor=current_actor(), owner=user.name)
        return redirect(url_for("account_pages.own"), code=303)

    return attempt(act, lambda sentence: _own(mistake=sentence))


@accounts.get("/accounts")
@require("admin")
def everyone() -> str:
    """Every account, and the form for a new one."""
    return _everyone()


@accounts.post("/accounts")
@require("admin")
def add() -> Any:
    """Make an account. On a server without accounts the first is an administrator's, who is then logged in."""

    def act() -> Any:
        role, password = request.form.get("role", "reader"), request.form.get("password", "")
        first = not service().accounts.users()
        if role != "administrator" and not service().accounts.has_administrator():
            raise Conflict("the first account has to be an administrator's, or nobody could administer this server")
        name = request.form.get("name", "").replace("\0", "")
        user = service().accounts.add(name, role=role, password=password, actor=current_actor())
        if first and current_identity().by == "local":
            begin_session(user)
        return redirect(url_for("account_pages.everyone"), code=303)

    return attempt(act, lambda sentence: _everyone(mistake=sentence))


@accounts.post("/accounts/<name>")
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
        if what == "disable" and (me := current_user()) is not None and me.name == name:
            raise NotAllowed("your own account is disabled by another administrator, not by yourself")
        acts[what]()
        return redirect(url_for("account_pages.everyone"), code=303)

    return attempt(act, lambda sentence: _everyone(mistake=sentence))


def _own(*, mistake: str = "", secret: str = "", secret_of: str = "") -> str:
    found = current_identity()
    tokens = service().accounts.tokens(found.user.name) if found.user else []
    said = {
        "password": gettext("The password was changed; every other session has ended."),
        "others": gettext("Every other session has ended."),
    }.get(request.args.get("said", ""), "")
    may_give = [scope for scope in SCOPES if scope in scopes_of(found.role)]
    shown = {"found": found, "tokens": tokens, "said_": said, "scopes": may_give, "mistake": mistake}
    return render_template("account.html", **shown, secret=secret, secret_of=secret_of)


def _everyone(mistake: str = "") -> str:
    users = service().accounts.users()
    return render_template("accounts.html", users=users, roles=ROLES, mistake=mistake, form=request.form)
