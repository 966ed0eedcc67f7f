"""Who may speak to the server, how often and with how much, and what its pages may load."""

import ipaddress
from functools import lru_cache
from typing import IO
from urllib.parse import urlsplit

from apiflask import APIFlask
from flask import Request, Response, current_app, request
from flask_limiter import Limiter

from secondread.errors import LoginRefused, UsageError
from secondread.web.auth import SAFE_METHODS, address, identity, is_loopback, without_login
from secondread.web.multipart import FormParser
from secondread.web.problems import problem

_UNCOUNTED = {"static", "health.healthz", "health.readyz", "health.metrics"}
_FIELDS = 16  # of a form, besides its files
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
}


class UploadRequest(Request):
    """Closes every file that came in, also those of a form that is refused half-way through.

    A file of more than 500 kB may pass through a temporary file that has no name; nothing else reaches the disk.
    """

    form_data_parser_class = FormParser

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        stream = super()._get_file_stream(total_content_length, content_type, filename, content_length)
        self.__dict__.setdefault("taken_in", []).append(stream)
        return stream

    def _load_form_data(self) -> None:
        """An upload of many files has more parts than a request that is answered at once."""
        if self.endpoint == "batches.submit":
            self.max_form_parts = current_app.config["MAX_BATCH_FILES"] + _FIELDS
        super()._load_form_data()

    def close(self) -> None:
        """Called by Flask when the answer is on its way."""
        super().close()
        for stream in self.__dict__.get("taken_in", ()):
            stream.close()


def register(app: APIFlask) -> None:
    """Check every request before it is served: the browser's facts decide, before any login. Raises UsageError."""
    app.before_request(refusal_of_foreign)
    app.before_request(_refuse_large_body)
    app.after_request(_set_headers)
    _limit(app)


def refusal_of_foreign() -> Response | None:
    """What a request is refused with by where it comes from alone, before it is known who asks."""
    return _refuse_foreign_host() or _refuse_foreign_origin()


def _refuse_foreign_host() -> Response | None:
    """Another site's name that was made to point at this machine (DNS rebinding) arrives in the Host header."""
    name = _name_of(request.host)
    if is_loopback(name) or name in _own_names():
        return None
    if _is_address(name) and not (is_loopback(address()) and without_login()):
        return None
    if _is_address(name):
        sentence = "without login this machine alone is served; open it as localhost"
    else:
        sentence = (
            f"this server is not reached under the name '{name}'; use its address, or set SECONDREAD_HOSTS={name}"
        )
    return problem(421, sentence, code="foreign_host")


@lru_cache(maxsize=256)
def _name_of(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _refuse_foreign_origin() -> Response | None:
    """A page of another site must not make this browser's user send images or read answers.

    Nor ask for them: a picture that it shows from here would be a line of the trail, and tell it by its size that it is
    there. A link that a person follows comes as a page of its own, and is served.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    if request.method in SAFE_METHODS and _is_link():
        return None
    if origin == "null" and site == "same-origin":
        origin = None  # a form of ours: without referrer the browser names no origin either
    if (origin is not None and not _is_own(origin)) or site not in ("same-origin", "none"):
        return problem(403, "requests from pages of other sites are not answered", code="cross_origin")
    return None


def _is_link() -> bool:
    """Whether a browser opens this address as a page of its own (Fetch Metadata Request Headers)."""
    found = (request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest"))
    return found == ("navigate", "document")


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
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def _limit(app: APIFlask) -> None:
    """Count requests of an account or address, in memory, or in Redis where several servers stand side by side."""
    allowed = str(app.config["RATE_LIMIT"]).strip()
    if not allowed:
        return
    try:
        limiter = Limiter(
            _who,
            storage_uri=app.config["RATE_LIMIT_STORAGE"],
            application_limits=[allowed],
            headers_enabled=True,
            strategy="moving-window",
            in_memory_fallback_enabled=app.config["RATE_LIMIT_STORAGE"] != "memory://",
        )
        limiter.request_filter(_is_free)
        limiter.init_app(app)
    except Exception as error:  # of limits, which has no error of its own for every mistake
        raise UsageError(
            f"the settings rate_limit ('{allowed}') and rate_limit_storage cannot be used: {error}; "
            "write '1200 per minute', and memory:// or redis://host:6379/0"
        ) from error


def _who() -> str:
    try:
        found = identity()
    except LoginRefused:
        found = None
    return f"address:{address()}" if found is None else f"account:{found.actor.name}"


def _is_free() -> bool:
    """This machine without login is never slowed down."""
    if request.endpoint in _UNCOUNTED:
        return True
    try:
        found = identity()
    except LoginRefused:
        return False
    return found is not None and found.by == "local"
