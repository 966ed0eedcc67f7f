"""What a browser keeps for us: its session, the device that it is, and the steps of a sign-in through a provider."""

import hashlib
import hmac
import re
from typing import Any

from apiflask import APIFlask
from flask import Response, current_app, g, request
from flask.sessions import SecureCookieSessionInterface

from secondread.service import DEVICE_LASTS, LONGEST_SESSION, User
from secondread.web.context import service

_SESSION, _DEVICE = "secondread", "secondread_device"
_BROWSERS = (  # in this order: most name others besides themselves
    ("Edge", r"Edg(e|A|iOS)?/"),
    ("Opera", r"OPR/"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"(Firefox|FxiOS)/"),
    ("Chrome", r"(Chrome|CriOS)/"),
    ("Safari", r"Safari/"),
)
_SYSTEMS = (
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows"),
    ("ChromeOS", r"CrOS"),
    ("macOS", r"Mac OS X"),
    ("Linux", r"Linux"),
)


def session_secret() -> str:
    """What proves the session of this browser; '' where it has none."""
    if "session_secret" in g:
        return str(g.session_secret)
    return request.cookies.get(_name(_SESSION), "")


def device() -> str:
    """What tells this browser from others; '' where nobody logged in with it."""
    return request.cookies.get(_name(_DEVICE), "")


def begin_session(user: User) -> None:
    """Log this browser in, under a secret that nobody had before. A session that it had is over.

    Raises LoginRefused where the account was changed since it was proved.
    """
    begun = service().sessions.begin(
        user,
        address=request.remote_addr or "",
        browser=browser_of(request.headers.get("User-Agent", "")),
        device=device(),
        instead_of=session_secret(),
    )
    g.session_secret, g.device = begun.secret, begun.device
    g.pop("identity", None)


def forget_session() -> None:
    """Let this browser have no session any more; what it had was ended, or never was one."""
    g.session_secret = ""
    g.pop("identity", None)


def csrf_of(secret: str) -> str:
    """What a form of this session sends back: made from the secret, which no other site knows, and telling it not."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hexdigest()[:32]


def browser_of(agent: str) -> str:
    """The browser and the system of a User-Agent, as 'Firefox, Linux'; '' where neither is known."""
    found = (next((name for name, sign in kinds if re.search(sign, agent)), "") for kinds in (_BROWSERS, _SYSTEMS))
    return ", ".join(filter(None, found))


def register(app: APIFlask) -> None:
    """Set and delete the cookies when a request is answered."""
    app.session_interface = _SignInCookie()
    app.after_request(_send)


def session_cookie(app: APIFlask) -> str:
    """What the session's cookie is called, for the API's document."""
    return f"__Host-{_SESSION}" if app.config["SECURE_COOKIES"] == "on" else _SESSION


def _send(response: Response) -> Response:
    if "session_secret" in g:
        _put(response, _SESSION, g.session_secret, LONGEST_SESSION.total_seconds())
    if "device" in g:
        _put(response, _DEVICE, g.device, DEVICE_LASTS.total_seconds())
    return response


def _put(response: Response, name: str, value: str, seconds: float) -> None:
    how: dict[str, Any] = {"path": "/", "secure": _only_tls(), "httponly": True, "samesite": "Lax"}
    if value:
        response.set_cookie(_name(name), value, max_age=int(seconds), **how)
    elif request.cookies.get(_name(name)):
        response.delete_cookie(_name(name), **how)


def _name(name: str) -> str:
    """Over TLS with the prefix that no other host, and no page without TLS, can set (RFC 6265bis)."""
    return f"__Host-{name}" if _only_tls() else name


def _only_tls() -> bool:
    return current_app.config["SECURE_COOKIES"] == "on" or request.is_secure


class _SignInCookie(SecureCookieSessionInterface):
    """Flask's own cookie, signed: what a provider's answer is checked against. Nobody is known by it."""

    def get_cookie_name(self, app: Any) -> str:
        """As of the other cookies."""
        return _name("secondread_sign_in")

    def open_session(self, app: Any, request: Any) -> Any:
        """Without a cookie an empty one, and no key is derived to look into it."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Any) -> bool:
        """As of the other cookies."""
        return _only_tls()
