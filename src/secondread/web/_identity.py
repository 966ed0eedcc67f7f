"""Who asks: someone at this very machine, a session's cookie, or an API token."""

import ipaddress
import time
from dataclasses import dataclass

from flask import Request, current_app, g, request, session

from secondread.errors import LoginRefused
from secondread.service import LOCAL, SCOPES, Actor, User
from secondread.web._service import service

_LONGEST_SESSION = 7 * 24 * 3600  # seconds, however busy it is


@dataclass(frozen=True)
class Identity:
    """The one who asks, and what they may do."""

    actor: Actor
    scopes: frozenset[str]
    role: str
    user: User | None  # None without login
    by: str  # 'local', 'session' or 'token'


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
    actor = Actor(user.name, f"token:{secret.strip()[:8]}", address())
    return Identity(actor, scopes, user.role, user, "token")


def _of_session() -> Identity | None:
    try:
        user_id, version, since = (int(session[key]) for key in ("user", "version", "since"))
    except (KeyError, TypeError, ValueError):
        return None
    user = service().accounts.of_session(user_id, version) if time.time() - since < _LONGEST_SESSION else None
    if user is None:
        session.clear()
        return None
    return Identity(Actor(user.name, "session", address()), user.scopes, user.role, user, "session")


def _local() -> Identity | None:
    if not is_loopback(address()) or not without_login():
        return None
    return Identity(Actor(LOCAL.name, "local", address()), frozenset(SCOPES), "administrator", None, "local")


def _any_account() -> bool:
    """Once there is one, there always is: accounts are disabled, never deleted."""
    known = current_app.extensions["secondread.any_account"]
    if not known["there"]:
        known["there"] = bool(service().accounts.users())
    return bool(known["there"])
