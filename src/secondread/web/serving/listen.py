"""Where the server listens, and who may be let near it."""

import errno
import socket
from typing import Any

from secondread.errors import UsageError
from secondread.service import Service
from secondread.web.auth import is_loopback

_BACKLOG = 1024


def check_reach(service: Service, host: str) -> None:
    """Raise UsageError for an address that others reach while nobody could let them in."""
    if not is_loopback(host) and not service.accounts.has_administrator():
        raise UsageError(
            f"'{host}' can be reached by others and there is no administrator yet; make one with "
            "`secondread user add NAME --role administrator`, or serve on 127.0.0.1"
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. port: 0 takes a free one. Raises UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _cannot_listen(error, host, port) from error


def address_of(listening: socket.socket | Any, host: str) -> str:
    """Where the page is, as a person types it."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}/"


def _cannot_listen(error: OSError, host: str, port: int) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"port {port} is in use; stop the other server or choose another with --port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(f"port {port} may not be used by you; choose one from 1024 with --port")
    reason = (error.strerror or str(error)).partition(" (")[0]
    return UsageError(f"cannot listen on '{host}', port {port}: {reason}; give an address of this machine")
