"""The node: answers echoes, takes objects in, and says what is kept; to whom may call, within bounds."""

import logging
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context

from secondread.dicom.arrivals import Received, Sender, arrivals_of
from secondread.dicom.associations import Diary, Visit
from secondread.dicom.classes import COMMITMENT, PLAIN, STORAGE, SYNTAXES, VERIFICATION
from secondread.dicom.commitment import Commitments
from secondread.dicom.destinations import Destination
from secondread.dicom.rules import Rules
from secondread.dicom.storing import SUCCESS, keep_out_of_logs, stored
from secondread.dicom.transport import BoundedServer, BoundedSocket, NodeBounds
from secondread.errors import SecondReadError, UsageError
from secondread.service import OF_REQUESTS, Actor, Service, wait_at_most

_REJECTED_FOR_GOOD, _BY_USER, _CALLING_UNKNOWN, _CALLED_UNKNOWN = 1, 1, 3, 7  # PS3.8 table 9-21
_REJECTED_NOW, _BY_PRESENTATION, _LIMIT_REACHED = 2, 3, 2
_MOST_QUEUED = 1  # messages that wait behind the one at hand: nobody was offered more (PS3.7 annex D.3.3.3)
_LOG = logging.getLogger("secondread.dicom")


@dataclass(frozen=True)
class NodeSettings:
    """How the node is called, and whom it answers."""

    aet: str = "SECONDREAD"
    host: str = "127.0.0.1"
    port: int = 11112
    callers: frozenset[str] = frozenset()  # AE titles that may call; none: all
    any_called: bool = False  # answers to another title than its own, too
    bounds: NodeBounds = field(default_factory=NodeBounds)
    tls: ssl.SSLContext | None = None
    peers: Mapping[str, Destination] = field(default_factory=dict)  # AE title → where it takes what we send it
    send_tls: ssl.SSLContext | None = None  # for what we send there
    commitment: bool = True


class Node:
    """Listens from `start` to `close`. on_kept: called when an object was kept, from the thread that took it in."""

    def __init__(self, service: Service, rules: Rules, settings: NodeSettings, *, on_kept: Any = lambda: None):
        self._service = service
        self._rules = rules
        self._settings = settings
        self._on_kept = on_kept
        self._arrivals = arrivals_of(service, rules)
        self._diary = Diary(service.trail, aet=settings.aet)
        self._commitments = Commitments(self._kept, settings.peers, aet=settings.aet, tls=settings.send_tls)
        self._visits: dict[Association, Visit] = {}
        self._server: BoundedServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._server is not None, "not started"
        return self._server.server_address[0], self._server.server_address[1]

    def start(self) -> None:
        """Listen. Raises UsageError where that port cannot be had."""
        keep_out_of_logs()
        settings = self._settings
        ae = AE(settings.aet)
        ae.maximum_pdu_size = settings.bounds.max_pdu
        ae.maximum_associations = 10**6  # counted by us: pynetdicom counts connections that asked for nothing, too
        ae.acse_timeout, ae.dimse_timeout = settings.bounds.request_seconds, settings.bounds.idle_seconds
        ae.network_timeout = settings.bounds.idle_seconds
        contexts = [build_context(VERIFICATION, list(PLAIN))]
        contexts += [build_context(one, list(SYNTAXES)) for one in STORAGE]
        if settings.commitment:
            contexts.append(build_context(COMMITMENT, list(PLAIN)))
        try:
            self._server = BoundedServer(
                ae,
                (settings.host, settings.port),
                ae_title=settings.aet,
                contexts=contexts,
                ssl_context=settings.tls,
                evt_handlers=self._handlers(),
                bounds=settings.bounds,
                watcher=self,
            )
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                f"the node cannot listen on {settings.host}:{settings.port} ({why}); choose another host or port"
            ) from error
        ae._servers.append(self._server)
        self._diary.start()
        self._commitments.start()
        told = [f"{rule.name}: {rule.sentence}" for rule in self._rules.rules]
        self._service.trail.record(
            Actor("node", "dicom"), "dicom.started", f"node:{settings.aet}", **self._told(), rules=told
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="DICOM node", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all associations; what was not acknowledged is the sender's to send again."""
        if self._server is None or self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._server.shutdown()
        thread.join()
        for assoc in self._server.associations():
            _refuse(assoc, "the node is stopping")
            if assoc.is_established:
                assoc.abort(block=False)
            else:
                assoc.dul.socket._shutdown_socket()  # type: ignore[union-attr]
        for assoc in self._server.associations():
            assoc.join(timeout=5)
        self._server.server_close()
        self._commitments.close()
        self._diary.close()

    def turned_away(self, address: str, why: str) -> None:
        """A connection was closed at once."""
        self._diary.note_turned_away(address, why)

    def ended(self, assoc: Association) -> None:
        """A connection is closed, whatever it was."""
        visit = self._visits.pop(assoc, None)
        if visit is None:
            address = assoc.requestor.address or ""
            visit = Visit("", "", address, ended=_lost(assoc, "no association was asked for"))
        visit.ended = visit.ended or _lost(assoc, "the connection was lost")
        self._diary.note(visit)
        if visit.series:
            try:
                self._service.dicom.note_sent(visit.series)
            except SecondReadError as error:
                _LOG.error("the end of an association cannot be noted now: %s", error)
            self._on_kept()

    def _told(self) -> dict[str, Any]:
        settings = self._settings
        host, port = self.address
        return {
            "aet": settings.aet,
            "host": host,
            "port": port,
            "tls": settings.tls is not None,
            "callers": sorted(settings.callers),
            "networks": [str(one) for one in settings.bounds.networks],
            "send_to": list(self._rules.all_destinations()),
        }

    def _handlers(self) -> list[Any]:
        return [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_RELEASED, lambda event: self._note_end(event, "released")),
            (evt.EVT_ABORTED, lambda event: self._note_end(event, _aborted(event.assoc))),
            (evt.EVT_DIMSE_RECV, self._message_came),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._action),
        ]

    def _requested(self, event: Any) -> None:
        """Whether an association may be: asked before pynetdicom negotiates what about."""
        assoc, settings = event.assoc, self._settings
        asked = assoc.requestor.primitive
        if not isinstance(asked, A_ASSOCIATE):  # the connection was closed before anything was asked for
            assoc.is_aborted = True
            return
        visit = Visit(
            str(asked.calling_ae_title).strip()[:16],
            str(asked.called_ae_title).strip()[:16],
            assoc.requestor.address or "",
        )
        self._visits[assoc] = visit
        assert self._server is not None
        if settings.callers and visit.calling_aet not in settings.callers:
            self._reject(assoc, "calling AE title not known", _REJECTED_FOR_GOOD, _BY_USER, _CALLING_UNKNOWN)
        elif not settings.any_called and visit.called_aet != settings.aet:
            self._reject(assoc, "called by another AE title", _REJECTED_FOR_GOOD, _BY_USER, _CALLED_UNKNOWN)
        elif self._server.n_established() >= settings.bounds.associations:
            self._reject(assoc, "too many associations", _REJECTED_NOW, _BY_PRESENTATION, _LIMIT_REACHED)

    def _reject(self, assoc: Association, why: str, *told: int) -> None:
        self._visits[assoc].ended = f"rejected: {why}"
        assoc.acse.send_reject(*told)
        assoc.kill()

    def _note_end(self, event: Any, how: str) -> None:
        if (visit := self._visits.get(event.assoc)) is not None:
            visit.ended = visit.ended or how

    def _message_came(self, event: Any) -> None:
        assoc = event.assoc
        if assoc.dimse.msg_queue.qsize() > _MOST_QUEUED:
            _refuse(assoc, "more messages at once than was agreed")

    def _echo(self, event: Any) -> int:
        _served(event.assoc)
        self._visits[event.assoc].counts["echoes"] += 1
        return SUCCESS

    def _store(self, event: Any) -> Any:
        """See `stored`."""
        wait_at_most(OF_REQUESTS)
        visit = self._visits[event.assoc]
        sender = Sender(visit.calling_aet, visit.called_aet, visit.address)

        def take() -> Received:
            data = event.encoded_dataset()
            visit.n_bytes += len(data)
            announced = str(event.request.AffectedSOPInstanceUID or "")
            return self._arrivals.take(data, sender, actor=_actor(sender), announced=announced)

        found = stored(take)
        _served(event.assoc)
        visit.counts[found.counted] += 1
        if found.series_uid:
            visit.stored_of(found.series_uid)
        if found.status == SUCCESS:
            self._on_kept()
        return found.answer

    def _action(self, event: Any) -> tuple[int, None]:
        _served(event.assoc)
        if event.request.ActionTypeID != 1:
            return 0x0123, None  # no such action
        visit = self._visits[event.assoc]
        visit.counts["commitments"] += 1
        try:
            asked = event.action_information
        except Exception:  # pydicom raises nearly anything for damaged bytes
            return 0x0115, None  # invalid argument value
        return self._commitments.ask(asked, event.assoc, visit.calling_aet), None

    def _kept(self, instances: list[str]) -> set[str]:
        """Which of these are kept, by the UIDs that their sender knows."""
        stand_ins = {self._service.intake.stand_in(one): one for one in instances}
        return {stand_ins[one] for one in self._service.dicom.kept(list(stand_ins))}


def _actor(sender: Sender) -> Actor:
    return Actor(f"dicom:{sender.calling_aet}", "dicom", sender.address)


def _served(assoc: Association) -> None:
    if isinstance(assoc.dul.socket, BoundedSocket):
        assoc.dul.socket.served()


def _refuse(assoc: Association, why: str) -> None:
    if isinstance(assoc.dul.socket, BoundedSocket):
        assoc.dul.socket.refuse(why)


def _aborted(assoc: Association) -> str:
    """By us, which happens to one that is silent, or that speaks of a context which was not agreed on; or by them."""
    return _lost(assoc, "lost: silent for too long, or out of turn" if assoc._sent_abort else "aborted")


def _lost(assoc: Association, otherwise: str) -> str:
    why = assoc.dul.socket.refusal if isinstance(assoc.dul.socket, BoundedSocket) else ""
    return f"lost: {why}" if why else otherwise
