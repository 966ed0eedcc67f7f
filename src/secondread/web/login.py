"""The page to log in on, and the way through a sign-in provider."""

from typing import Any

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for

from secondread.errors import LoginRefused, LoginThrottled
from secondread.web import provider
from secondread.web.auth import address, begin_session, end_session, identity, public
from secondread.web.context import service

login = APIBlueprint("login", __name__, enable_openapi=False)


@login.get("/login")
@public
def page() -> Any:
    """The form; who is logged in already goes on."""
    if identity() is not None:
        return redirect(_next(), code=303)
    return _form()


@login.post("/login")
@public
def log_in() -> Any:
    """Check name and password, and go where the visitor wanted to."""
    name = request.form.get("name", "").replace("\0", "")
    try:
        user = service().accounts.log_in(name, request.form.get("password", ""), address=address())
    except LoginRefused as error:
        return _form(name, error), 429 if isinstance(error, LoginThrottled) else 401
    begin_session(user)
    return redirect(_next(), code=303)


@login.post("/logout")
@public
def log_out() -> Any:
    """End the session of this browser."""
    found = identity()
    if found is not None and found.by == "session":
        service().trail.record(found.actor, "logout", f"user:{found.actor.name}")
    end_session()
    return redirect(url_for("login.page"), code=303)


@login.get("/login/provider")
@public
def to_provider() -> Any:
    """Lead to the sign-in provider."""
    return provider.way_there(url_for("login.from_provider", _external=True))


@login.get("/login/provider/answer")
@public
def from_provider() -> Any:
    """Take in whom the provider vouches for, if an account belongs to them."""
    try:
        user = service().accounts.log_in_by_subject(provider.subject_of_answer(), address=address())
    except LoginRefused as error:
        return _form("", error), 401
    begin_session(user)
    return redirect("/", code=303)


def _form(name: str = "", error: LoginRefused | None = None) -> str:
    way = url_for("login.to_provider") if provider.there_is_one() else ""
    code = "login_throttled" if isinstance(error, LoginThrottled) else "login_refused"
    sentence = None if error is None else str(error)
    return render_template("login.html", name=name, error=sentence, code=code, next=_next(), provider=way)


def _next() -> str:
    """Where to go on: an address of this server alone."""
    wanted = request.values.get("next", "/")
    plain = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if plain and not wanted.startswith(("/login", "/logout")) else "/"
