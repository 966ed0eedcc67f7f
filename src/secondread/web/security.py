"""Who may speak to the server and what its pages may load: the browser's facts decide, before any login."""

import ipaddress
from urllib.parse import urlsplit

from apiflask import APIFlask
from flask import Response, current_app, request

from secondread.web.problems import problem

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
}


def register(app: APIFlask) -> None:
    """Check every request before it is served, and set the headers of every answer."""
    app.before_request(_refuse_foreign_host)
    app.before_request(_refuse_foreign_origin)
    app.before_request(_refuse_large_body)
    app.after_request(_set_headers)


def _refuse_foreign_host() -> Response | None:
    """Another site's name that was made to point at this machine (DNS rebinding) arrives in the Host header."""
    name = urlsplit(f"//{request.host}").hostname or ""
    if _is_address(name) or name == "localhost" or name in _own_names():
        return None
    sentence = f"this server is not reached under the name '{name}'; use its address, or set SECONDREAD_HOSTS={name}"
    return problem(421, sentence, code="foreign_host")


def _refuse_foreign_origin() -> Response | None:
    """A page of another site must not make this browser's user send images or read answers."""
    if request.method in _SAFE_METHODS:
        return None
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    if origin == "null" and site == "same-origin":
        origin = None  # a form of ours: without referrer the browser names no origin either
    if (origin is not None and not _is_own(origin)) or site not in ("same-origin", "none"):
        return problem(403, "requests from pages of other sites are not answered", code="cross_origin")
    return None


def _refuse_large_body() -> Response | None:
    """Early, so that nothing is parsed; without a stated length Flask counts while it reads."""
    limit = request.max_content_length
    if limit is not None and (request.content_length or 0) > limit:
        request.max_content_length = limit
        megabytes = current_app.config["MAX_BODY_MB"]
        return problem(413, f"a request holds at most {megabytes} MB; send fewer files at once", code="body_too_large")
    return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> set[str]:
    return {name.strip().lower() for name in str(current_app.config["HOSTS"]).split(",") if name.strip()}


def _is_own(origin: str) -> bool:
    """Same host and port; the scheme may differ because a proxy in front may speak TLS for this server."""
    try:
        theirs = urlsplit(origin)
        ours = urlsplit(f"{theirs.scheme}://{request.host}")
        standard = {"http": 80, "https": 443}.get(theirs.scheme)
        return (theirs.hostname, theirs.port or standard) == (ours.hostname, ours.port or standard) and bool(standard)
    except ValueError:
        return False


def _set_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
