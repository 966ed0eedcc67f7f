"""Logging in and out: over the API, on a page, and through a sign-in provider (OpenID Connect, by Authlib)."""

from typing import Any

from apiflask import APIBlueprint, APIFlask, Schema
from apiflask.fields import Integer, List, String
from apiflask.validators import Length, OneOf
from flask import current_app, redirect, render_template, request, url_for
from flask import session as flask_session

from secondread.errors import ExtraMissing, LoginRefused, NotThere, UsageError
from secondread.files import on_a_line
from secondread.service import SCOPES
from secondread.web.auth import address, csrf_token, identity, public
from secondread.web.context import service
from secondread.web.cookies import begin_session, device, forget_session, session_secret
from secondread.web.forms import way_back, written
from secondread.web.problems import status_of
from secondread.web.shapes import Text, said

session = APIBlueprint("session", __name__, url_prefix="/api/v1", tag="accounts")
login = APIBlueprint("login", __name__, enable_openapi=False)
PASSWORD = Length(min=1, max=1000)
_KEY = "secondread.provider"
_SETTINGS = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")


class LoginIn(Schema):
    """Name and password."""

    name = Text(required=True, validate=Length(min=1, max=100))
    password = Text(required=True, validate=PASSWORD)


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


@session.get("/session")
@public
@session.output(WhoOut)
@session.doc(operation_id="whoAmI", summary="Tell who asks and what they may do")
def who() -> Any:
    """Answer for everyone, logged in or not."""
    return who_asks()


@session.post("/session")
@public
@session.input(LoginIn)
@session.output(WhoOut)
@session.doc(operation_id="logIn", summary="Log this browser in")
def begin(json_data: dict[str, Any]) -> Any:
    """Set the session's cookie. After several failures the answer is 429, for longer each time."""
    begin_session(service().accounts.log_in(json_data["name"], json_data["password"], **_asking()))
    return who_asks()


@session.delete("/session")
@public
@session.output(WhoOut)
@session.doc(operation_id="logOut", summary="Log this browser out")
def end() -> Any:
    """End the session of this browser."""
    _log_out()
    return who_asks()


@login.get("/login")
@public
def page() -> Any:
    """The form; who is logged in already goes on."""
    return _form() if identity() is None else redirect(_next(), code=303)


@login.post("/login")
@public
def log_in() -> Any:
    """Check name and password, and go where the visitor wanted to."""
    name = written("name")
    try:
        begin_session(service().accounts.log_in(name, request.form.get("password", ""), **_asking()))
    except LoginRefused as error:
        return _form(name, error), status_of(error)[0]
    return redirect(_next(), code=303)


@login.post("/logout")
@public
def log_out() -> Any:
    """End the session of this browser."""
    _log_out()
    return redirect(url_for("login.page"), code=303)


@login.get("/login/provider")
@public
def to_provider() -> Any:
    """Lead to the sign-in provider."""
    provider = _provider()
    flask_session["next"] = _next()
    try:
        return provider.authorize_redirect(url_for("login.from_provider", _external=True))
    except (OSError, ValueError) as error:
        raise _away(error) from error


@login.get("/login/provider/answer")
@public
def from_provider() -> Any:
    """Take in whom the provider vouches for, if an account belongs to them."""
    try:
        begin_session(service().accounts.log_in_by_subject(_subject(), address=address()))
    except LoginRefused as error:
        return _form("", error), 401
    return redirect(str(flask_session.pop("next", "/")), code=303)


def register(app: APIFlask) -> None:
    """Prepare the provider, which is asked at the first sign-in. Raises UsageError, ExtraMissing."""
    issuer, client_id, secret = (str(app.config[name]) for name in _SETTINGS)
    if not issuer:
        return
    if not client_id or not secret:
        raise UsageError("oidc_issuer needs oidc_client_id and oidc_client_secret beside it; set them too")
    try:
        from authlib.integrations.flask_client import OAuth
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("sign-in through a provider", "oidc") from error
    app.extensions[_KEY] = OAuth(app).register(
        "provider",
        client_id=client_id,
        client_secret=secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid", "code_challenge_method": "S256"},
    )


def who_asks() -> dict[str, Any]:
    """The shape of WhoOut."""
    found = identity()
    return {
        "name": None if found is None else found.actor.name,
        "role": None if found is None else found.role,
        "scopes": [] if found is None else sorted(found.scopes),
        "by": "nobody" if found is None else found.by,
        "csrf_token": csrf_token() if found is not None and found.by == "session" else None,
        "reviews_needed": service().reviews.needed,
    }


def _log_out() -> None:
    found = identity()
    if found is not None and found.by == "session":
        service().sessions.end(session_secret(), actor=found.actor)
    forget_session()


def _asking() -> dict[str, str]:
    """From where somebody logs in: what guesses are counted by."""
    return {"address": address(), "device": device()}


def _form(name: str = "", error: LoginRefused | None = None) -> str:
    way = url_for("login.to_provider", next=_next()) if _KEY in current_app.extensions else ""
    code = "login_refused" if error is None else status_of(error)[1]
    sentence = None if error is None else str(error)
    return render_template("login.html", name=name, error=sentence, code=code, next=_next(), provider=way)


def _next() -> str:
    """Where to go on: a page of this server, but none of these."""
    wanted = way_back()
    return "/" if wanted.startswith(("/login", "/logout")) else wanted


def _provider() -> Any:
    if _KEY not in current_app.extensions:
        raise NotThere("no sign-in provider is set here; log in with name and password")
    return current_app.extensions[_KEY]


def _subject() -> str:
    """'issuer subject' of whom the provider vouches for. Raises NotThere, LoginRefused."""
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    try:
        claims = _provider().authorize_access_token()["userinfo"]
        return f"{claims['iss']} {claims['sub']}"
    except (AuthlibBaseError, JoseError, KeyError, TypeError) as error:
        current_app.logger.warning("a sign-in through the provider failed: %s", on_a_line(str(error))[:300])
        raise LoginRefused("the sign-in did not succeed, or took too long; try again") from error
    except (OSError, ValueError) as error:
        raise _away(error) from error


def _away(error: Exception) -> LoginRefused:
    current_app.logger.error("the sign-in provider cannot be used: %s", on_a_line(str(error))[:300])
    return LoginRefused("the sign-in provider cannot be reached now; try again later, or use name and password")
