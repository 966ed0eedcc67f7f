"""A site's connection: takes a server's questions, answers with this program's own code, comes back when cut off."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import httpx
from flwr.app import Context, Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents, pull_objects
from flwr.supercore.retry import RetryInvoker, make_simple_http_retry_invoker
from flwr.supernode import fleet_http_connection

from secondread.errors import TrainingError, UsageError
from secondread.lab.federated.app import GOODBYE, answer, site_app
from secondread.lab.federated.keys import load_keys
from secondread.lab.federated.site import Site

_EVERY_S = 0.3  # between looks for questions
_AGAIN_S = 1.0  # before coming back to a server that was lost
_STARTING_S = 20.0  # for which a link that has just begun may not know the keys yet
_UNKNOWN = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


class _StaysAlive:
    """For Flower's heartbeat, which ends the process where the link does not know the site.

    Here only the thread that told it ends, silently.
    """

    getpid = staticmethod(os.getpid)

    @staticmethod
    def kill(pid: int, number: int) -> None:
        raise SystemExit


class _NotLetIn(Exception):
    """The link was reached in no time, or does not want this site."""


def _retries() -> RetryInvoker:
    """Flower's, which ends the process where the link does not know the site or the run is over.

    Both are so after a server was begun anew: who the sites are its link keeps in memory. Here the connection ends, and
    the site comes back under a new registration.
    """
    made = make_simple_http_retry_invoker()
    gives_up = made.should_giveup
    assert gives_up is not None, "Flower's has one"

    def over(error: Exception) -> bool:
        unknown = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _UNKNOWN
        return unknown or gives_up(error)

    made.should_giveup = over
    return made


def _no_connection(code: int, message: str = "", **_: Any) -> NoReturn:
    """For Flower's exit, whose timer ends the process five seconds later, whoever would try again."""
    raise _NotLetIn(message)


fleet_http_connection.os = _StaysAlive
fleet_http_connection.make_simple_http_retry_invoker = _retries
fleet_http_connection.flwr_exit = _no_connection

_ANSWERED, _LOST = "answered", "lost; trying again"

OnMessage = Callable[[str, str], None]  # kind of a question, what became of it


@dataclass(frozen=True)
class Server:
    """Whom a site trusts with its updates.

    tls_ca: certificate of the authority that the server's must be signed by; None: nothing is encrypted. key: the
    site's own, whose public half the server knows. patience_s: how long to try before giving up; None: for ever.
    """

    address: str
    tls_ca: Path | None = None
    key: Path | None = None
    patience_s: float | None = None

    def __post_init__(self) -> None:
        host, colon, port = self.address.rpartition(":")
        if not (host and colon and port.isdigit()):
            raise UsageError(f"--server takes HOST:PORT, such as teach.example.org:9092, not '{self.address}'")
        if self.key is not None and self.tls_ca is None:
            raise UsageError("a key is shown over TLS alone: give --tls-ca, the certificate of the server's authority")


def join(site: Site, server: Server, *, on_message: OnMessage | None = None) -> None:
    """Answer a server's questions until it says goodbye. What it asks is data; no code of it is ever run.

    Cut off, it comes back: to a server that was killed and begun anew as a site that is new there.
    Raises TrainingError if the server cannot be reached in time, or does not know this site.
    """
    app = site_app(site)
    context = Context(run_id=0, node_id=0, node_config={}, state=RecordDict(), run_config={})
    tell = telling(on_message)
    ended: list[bool] = []
    refused_at: float | None = None
    while not ended:
        try:
            with _connected(server) as talk:
                refused_at = None
                while not ended:
                    if _one_question(talk, app, context, tell):
                        ended.append(True)
        except _NotLetIn as stop:
            refused_at = refused_at or time.monotonic()
            if time.monotonic() - refused_at >= min(_STARTING_S, server.patience_s or _STARTING_S):
                raise TrainingError(
                    f"{server.address} did not let this site in; is it running, is the address right, and does it know "
                    "the key?"
                ) from stop
        if not ended:
            tell("connection", _LOST)
            time.sleep(_AGAIN_S)


def telling(on_message: OnMessage | None) -> OnMessage:
    """Tells what was answered every time, and what was refused once: a server that waits asks again and again."""
    said: set[tuple[str, str]] = set()

    def tell(kind: str, became: str) -> None:
        if on_message is not None and (kind, became) not in said:
            on_message(kind, became)
        if became not in (_ANSWERED, _LOST):
            said.add((kind, became))

    return tell


def _connected(server: Server) -> Any:
    return fleet_http_connection.http_request_response(
        server.address,
        server.tls_ca is None,
        None if server.tls_ca is None else str(server.tls_ca),
        None if server.key is None else load_keys(server.key),
        max_wait_time=server.patience_s,
    )


def _one_question(talk: Any, app: Any, context: Context, tell: OnMessage) -> bool:
    """Whether it was the last."""
    _, receive, send, _, _, pull_object, push_object, confirm = talk
    got = receive()
    if got is None:
        time.sleep(_EVERY_S)
        return False
    head, tree = got
    run_id, kind = head.metadata.run_id, head.metadata.message_type
    contents = pull_objects(
        [one.object_id for one in iterate_object_tree(tree)],
        pull_object_fn=lambda object_id: pull_object(run_id, object_id),
    )
    confirm(run_id, head.metadata.message_id)
    message = inflate_object_from_contents(head.metadata.message_id, contents)
    assert isinstance(message, Message), "only messages come"
    message.metadata.__dict__["_message_id"] = head.metadata.message_id
    errors: list[Exception] = []
    started = time.perf_counter()
    reply = answer(app, message, context, on_error=errors.append)
    _send(reply, send, push_object, time.perf_counter() - started)
    tell(kind, str(errors[0]) if errors else _ANSWERED)
    return bool(kind == GOODBYE)


def _send(reply: Message, send: Any, push_object: Any, seconds: float) -> None:
    with no_object_id_recompute():
        reply.metadata.__dict__["_message_id"] = reply.object_id
        objects = get_all_nested_objects(reply)
        wanted, session = send(reply, get_object_tree(reply), seconds)
        for object_id in wanted:
            push_object(reply.metadata.run_id, session, object_id, objects[object_id].deflate())
