"""Who asks, and whether they may: every address says which scope it needs, and is asked for it before it is served."""

import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from apiflask import APIFlask
from flask import Request, Response, current_app, g, redirect, request, session
from werkzeug.exceptions import HTTPException

from secondread.errors import LoginRefused, NotAllowed
from secondread.service import LOCAL, SCOPES, Actor, User
from secondread.web.context import service
from secondread.web.problems import problem, problem_of

_LONGEST_SESSION = 7 * 24 * 3600  # seconds, however busy it is


@dataclass(frozen=True)
class Identity:
    """The one who asks, and what they may do."""

    actor: Actor
    role: str
    user: User | None  # None without login

    @property
    def scopes(self) -> frozenset[str]:
        """What they may do."""
        return self.actor.scopes

    @property
    def by(self) -> str:
        """How they are known: 'local', 'session' or 'token'."""
        return self.actor.via.partition(":")[0]


def identity() -> Identity | None:
    """Of this request; None where it has to log in. Raises LoginRefused for a token that is none."""
    if "identity" not in g:
        g.identity = _of_token(request) or _of_session() or _local()
    found: Identity | None = g.identity
    return found


def address() -> str:
    """Of the one who asks, for the trail and for throttling."""
    return request.remote_addr or ""


def without_login() -> bool:
    """Whether this machine itself is served without login now (see the setting `login`)."""
    how = current_app.config["LOGIN"]
    return how == "off" or (how == "auto" and not _any_account())


def begin_session(user: User) -> None:
    """Log this browser in. What it had before, its token against forgery included, is thrown away."""
    session.clear()
    session["user"], session["version"], session["since"] = user.id, user.session_version, int(time.time())
    session.permanent = True
    g.pop("identity", None)


def end_session() -> None:
    """Log this browser out."""
    session.clear()
    g.pop("identity", None)


def is_loopback(address: str) -> bool:
    """Whether an address, or the name localhost, is this machine's own."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address == "localhost"
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def _of_token(asked: Request) -> Identity | None:
    kind, _, secret = asked.headers.get("Authorization", "").partition(" ")
    if not kind:
        return None
    if kind.lower() != "bearer" or not secret.strip():
        raise LoginRefused("send an API token, as 'Authorization: Bearer sr_…'")
    user, scopes = service().accounts.of_token(secret.strip())
    actor = Actor(user.name, f"token:{secret.strip()[:8]}", address(), scopes)
    return Identity(actor, user.role, user)


def _of_session() -> Identity | None:
    try:
        user_id, version, since = (int(session[key]) for key in ("user", "version", "since"))
    except (KeyError, TypeError, ValueError):
        return None
    user = service().accounts.of_session(user_id, version) if time.time() - since < _LONGEST_SESSION else None
    if user is None:
        session.clear()
        return None
    return Identity(Actor(user.name, "session", address(), user.scopes), user.role, user)


def _local() -> Identity | None:
    if not is_loopback(address()) or not without_login():
        return None
    return Identity(Actor(LOCAL.name, "local", address()), "administrator", None)


def _any_account() -> bool:
    """Once there is one, there always is: accounts are disabled, never deleted."""
    known = current_app.extensions["secondread.any_account"]
    if not known["there"]:
        known["there"] = bool(service().accounts.users())
    return bool(known["there"])


_View = TypeVar("_View", bound=Callable[..., Any])
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_MAY = {
    "read": "look at readings",
    "write": "send, delete or bring back images",
    "review": "give an opinion",
    "admin": "administer this server",
}
PUBLIC = "public"


def require(scope: str) -> Callable[[_View], _View]:
    """Mark a view as needing a scope: 'read', 'write', 'review' or 'admin'. It stands below the route's decorator.

    Who is not logged in gets 401 (a page: the way to the login), who may not gets 403. A view without a mark is for
    administrators alone.
    """
    assert scope in SCOPES, scope
    return _marked(scope)


def public(view: _View) -> _View:
    """Mark a view as open to everyone, logged in or not."""
    return _marked(PUBLIC)(view)


def scope_of(view: Callable[..., Any]) -> str:
    """The scope that a view was marked with."""
    return str(getattr(view, "_scope", "admin"))


def current_identity() -> Identity:
    """Who asks. Raises LoginRefused on a public address where no one is logged in."""
    found = identity()
    if found is None:
        raise LoginRefused("log in first")
    return found


def current_actor() -> Actor:
    """Who asks, as the trail writes it down."""
    found = current_identity().actor
    return replace(found, opinion_first=True) if opinion_first() else found


def opinion_first() -> bool:
    """Whether answers are withheld from the one who asks until they have given their own opinion.

    So the site wants it, or they themselves for this page (`blind=1`) or all of this session.
    """
    wanted = current_app.config["OPINION_FIRST"] == "on" or session.get("opinion_first") or request.args.get("blind")
    return bool(wanted) and may("review")


def current_user() -> User | None:
    """The account that asks; None where nobody is logged in, as on one's own machine."""
    found = identity()
    return None if found is None else found.user


def current_role() -> str:
    """'reader', 'reviewer' or 'administrator'; on one's own machine without login the last."""
    return current_identity().role


def may(scope: str) -> bool:
    """Whether the one who asks may do that; for what a page shows."""
    try:
        found = identity()
    except LoginRefused:
        return False
    return found is not None and scope in found.scopes


def csrf_token() -> str:
    """What a form of this session sends back as the field `csrf_token` or the header `X-CSRF-Token`."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def register(app: APIFlask) -> None:
    """Ask before every request, and let templates ask as well."""
    app.config.update(
        SECRET_KEY=_secret_of(app),
        SESSION_COOKIE_NAME="secondread",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=app.config["SECURE_COOKIES"] == "on",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=app.config["SESSION_HOURS"]),
    )
    app.extensions["secondread.any_account"] = {"there": False}
    app.before_request(_ask)
    app.context_processor(
        lambda: {"csrf_token": csrf_token, "may": may, "current_user": current_user, "opinion_first": opinion_first}
    )


def _marked(scope: str) -> Callable[[_View], _View]:
    def mark(view: _View) -> _View:
        view._scope = scope  # type: ignore[attr-defined]
        return view

    return mark


def _secret_of(app: APIFlask) -> bytes:
    with app.app_context():
        return service().images.secret("session")


def _ask() -> Any:
    if request.endpoint is None or request.endpoint == "static":  # an address that is not there answers 404
        return None
    scope = scope_of(current_app.view_functions[request.endpoint])
    if scope == PUBLIC:
        return None if request.method in SAFE_METHODS else _check_token_of_form()
    found = identity()
    if found is None:
        return _to_login()
    if scope not in found.scopes:
        raise NotAllowed(f"{found.actor.name} may not {_MAY[scope]}; ask an administrator")
    return None if request.method in SAFE_METHODS else _check_token_of_form()


def _check_token_of_form() -> Response | None:
    """A browser sends its cookie for whoever asks it to: only a page of ours knows the token beside it."""
    if "user" not in session or request.headers.get("Authorization"):
        return None
    sent = request.headers.get("X-CSRF-Token") or (_is_form() and request.form.get("csrf_token")) or ""
    if hmac.compare_digest(str(sent).encode(), csrf_token().encode()):
        return None
    return problem(403, "this page is out of date; load it again and repeat what you did", code="csrf")


def _is_form() -> bool:
    return request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data")


def _wants_page() -> bool:
    """A browser says so of its pages and forms; of the latter it must."""
    if request.path.startswith("/api/"):
        return False
    accepts = request.headers.get("Accept", "text/html" if request.method in SAFE_METHODS else "")
    return "text/html" in accepts


def _to_login() -> Any:
    """A person with a browser goes to the login and then on; a program, or a script of a page, is told."""
    if not _wants_page():
        return problem_of(LoginRefused("log in, or send an API token as 'Authorization: Bearer sr_…'"))
    # A form is not sent again by itself: back to its page, whose script puts in what was typed.
    back = request.full_path.rstrip("?") if request.method in SAFE_METHODS else _page_of_form(request.path) + "#again"
    return redirect(f"/login?next={quote(back, safe='/')}", code=303)


def _page_of_form(path: str) -> str:
    """The nearest address above that is a page: '/readings/7' of '/readings/7/review'."""
    adapter = current_app.create_url_adapter(request)
    while adapter is not None and path.strip("/"):
        try:
            adapter.match(path, method="GET")
        except HTTPException:
            path = path.rpartition("/")[0]
        else:
            return path
    return "/"
