"""Who asks, and whether they may: every address says which scope it needs, and is asked for it before it is served."""

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote

from apiflask import APIFlask
from flask import Request, Response, current_app, g, redirect, request, session
from werkzeug.exceptions import HTTPException

from secondread.errors import LoginRefused, NotAllowed
from secondread.service import LOCAL, SCOPES, Actor, User
from secondread.web import cookies
from secondread.web.context import service
from secondread.web.problems import problem, problem_of


@dataclass(frozen=True)
class Identity:
    """The one who asks, and what they may do."""

    actor: Actor
    role: str
    user: User | None  # None without login
    session_id: int | None = None  # of a browser that is logged in

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
    """Whether this machine itself is served without login now (see the setting `login`).

    Never behind a proxy: what comes through one says itself whose it is, and this machine's name is easily claimed.
    """
    if current_app.config["PROXIES"]:
        return False
    how = current_app.config["LOGIN"]
    return how == "off" or (how == "auto" and not _any_account())


@lru_cache(maxsize=1024)
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
    user, scopes = service().tokens.account_of(secret.strip())
    actor = Actor(user.name, f"token:{secret.strip()[:8]}", address(), scopes)
    return Identity(actor, user.role, user)


def _of_session() -> Identity | None:
    if not (secret := cookies.session_secret()):
        return None
    if (found := service().sessions.account_of(secret, address=address())) is None:
        cookies.forget_session()
        return None
    user, session_ = found
    return Identity(Actor(user.name, "session", address(), user.scopes), user.role, user, session_.id)


def _local() -> Identity | None:
    if not is_loopback(address()) or not without_login():
        return None
    return Identity(Actor(LOCAL.name, "local", address()), "administrator", None)


def _any_account() -> bool:
    """Once there is one, there always is: accounts are disabled, never deleted."""
    known = current_app.extensions["secondread.any_account"]
    if not known["there"]:
        known["there"] = service().accounts.any_there()
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

    So the site wants it, or they themselves: for this page (`blind=1`), or always, which is kept with the account.
    """
    if not may("review"):
        return False
    return current_app.config["OPINION_FIRST"] == "on" or bool(request.args.get("blind")) or _chose_opinion_first()


def choose_opinion_first(wanted: bool) -> None:
    """Withhold answers from the one who asks from now on, or no more; without accounts, from this browser."""
    if current_identity().user is None:
        session["opinion_first"] = wanted
    else:
        service().accounts.set_opinion_first(wanted, actor=current_identity().actor)
        g.pop("identity", None)


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
    """What a form of this session sends back as the field `csrf_token` or the header `X-CSRF-Token`; '' without one."""
    secret = cookies.session_secret()
    return cookies.csrf_of(secret) if secret else ""


def register(app: APIFlask) -> None:
    """Ask before every request, and let templates ask as well."""
    app.config.update(
        SECRET_KEY=_secret_of(app),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.extensions["secondread.any_account"] = {"there": False}
    cookies.register(app)
    app.before_request(_ask)
    app.context_processor(
        lambda: {"csrf_token": csrf_token, "may": may, "current_user": current_user, "opinion_first": opinion_first}
    )


def _chose_opinion_first() -> bool:
    """A token is a program of theirs: what a person chose to be kept from is not kept from it."""
    found = identity()
    if found is None or found.by == "token":
        return False
    return bool(session.get("opinion_first")) if found.user is None else found.user.opinion_first


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
    if request.headers.get("Authorization") or (found := identity()) is None or found.by != "session":
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
