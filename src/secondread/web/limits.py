"""How many requests one account or address may make; this machine without login is never slowed down."""

from apiflask import APIFlask
from flask import request
from flask_limiter import Limiter

from secondread.errors import LoginRefused, UsageError
from secondread.web.auth import address, identity

_FREE = {"static", "health.healthz", "health.readyz", "health.metrics"}


def register(app: APIFlask) -> None:
    """Count requests in memory, or in Redis where several servers stand side by side. Raises UsageError."""
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
    if request.endpoint in _FREE:
        return True
    try:
        found = identity()
    except LoginRefused:
        return False
    return found is not None and found.by == "local"
