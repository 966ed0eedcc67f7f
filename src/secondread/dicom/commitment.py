"""Storage commitment (PS3.4 annex J): which of the objects that are asked about are kept, said after the request.

What is promised is that an object was received and lies here to be read, without what identifies. A node that reads is
no archive: the conformance statement says so.
"""

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, build_context, build_role
from pynetdicom.association import Association

from secondread.dicom.classes import COMMITMENT, COMMITMENT_INSTANCE, PLAIN
from secondread.dicom.destinations import Destination
from secondread.dicom.identities import text_of
from secondread.errors import SecondReadError

MOST_OBJECTS = 10_000  # of one request
_MOST_WAITING = 1000  # requests that are not answered yet
_WAITS = (0.0, 2.0, 10.0, 60.0)  # seconds before each try to reach who asked
_NO_SUCH_OBJECT = 0x0112
_LOG = logging.getLogger("secondread.dicom")


@dataclass(frozen=True)
class Request:
    """What was asked. objects: SOP class and instance, as the sender calls them."""

    calling_aet: str
    transaction: str
    objects: tuple[tuple[str, str], ...]


class Commitments:
    """Answers requests one after the other, in a thread of its own.

    kept: which of these SOP instances are here. peers: where a calling AE title takes its answer; one that is not among
    them is answered on the association that asked, while it lasts. tls: what peers are called with.
    """

    def __init__(
        self,
        kept: Callable[[list[str]], set[str]],
        peers: Mapping[str, Destination],
        *,
        aet: str,
        tls: ssl.SSLContext | None = None,
    ):
        self._kept = kept
        self._tls = tls
        self._peers = dict(peers)
        self._aet = aet
        self._waiting: queue.Queue[tuple[Request, Association] | None] = queue.Queue(_MOST_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storage commitment", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """End; who was not answered asks again."""
        self._stopping.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(timeout=10)

    def ask(self, asked: Dataset, assoc: Association, calling_aet: str) -> int:
        """Take a request; the status of the N-ACTION (PS3.4 J.3.2)."""
        transaction = text_of(asked, "TransactionUID")
        items = asked.get("ReferencedSOPSequence") or []
        if not transaction or not items:
            return 0x0120  # missing attribute
        if len(items) > MOST_OBJECTS:
            return 0x0213  # resource limitation
        objects = tuple(
            (text_of(one, "ReferencedSOPClassUID"), text_of(one, "ReferencedSOPInstanceUID")) for one in items
        )
        try:
            self._waiting.put_nowait((Request(calling_aet, transaction, objects), assoc))
        except queue.Full:
            return 0x0213
        return 0x0000

    def _run(self) -> None:
        while (asked := self._waiting.get()) is not None and not self._stopping.is_set():
            try:
                self._answer(*asked)
            except (SecondReadError, OSError, RuntimeError, ValueError) as error:
                _LOG.error("a storage commitment could not be answered: %s", error)

    def _answer(self, asked: Request, assoc: Association) -> None:
        report = report_of(asked, self._kept([instance for _, instance in asked.objects]))
        event = 2 if "FailedSOPSequence" in report else 1
        peer = self._peers.get(asked.calling_aet)
        for wait in _WAITS:
            if self._stopping.wait(wait):
                return
            if self._send_to(peer, report, event) if peer else _send_on(assoc, report, event):
                return
            if peer is None and not assoc.is_established:
                break
        _LOG.error("a storage commitment could not be delivered to %s; it asks again", asked.calling_aet)

    def _send_to(self, peer: Destination, report: Dataset, event: int) -> bool:
        """On an association of our own, on which we are the provider (PS3.4 J.3.3)."""
        ae = AE(self._aet)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 15
        assoc = ae.associate(
            peer.host,
            peer.port,
            ae_title=peer.aet,
            contexts=[build_context(COMMITMENT, list(PLAIN))],
            ext_neg=[build_role(COMMITMENT, scp_role=True)],
            tls_args=None if self._tls is None else (self._tls, peer.host),
        )
        if not assoc.is_established:
            return False
        try:
            return _send(assoc, report, event)
        finally:
            assoc.release()


def report_of(asked: Request, kept: set[str]) -> Dataset:
    """The event's information (PS3.4 table J.3-2)."""
    report = Dataset()
    report.TransactionUID = asked.transaction
    good = [_reference(*one) for one in asked.objects if one[1] in kept]
    bad = [_reference(*one) for one in asked.objects if one[1] not in kept]
    for one in bad:
        one.FailureReason = _NO_SUCH_OBJECT
    if good:
        report.ReferencedSOPSequence = Sequence(good)
    if bad:
        report.FailedSOPSequence = Sequence(bad)
    return report


def _reference(sop_class: str, instance: str) -> Dataset:
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = sop_class, instance
    return one


def _send_on(assoc: Association, report: Dataset, event: int) -> bool:
    """On the association that asked, once it has its response."""
    time.sleep(0.05)
    return assoc.is_established and _send(assoc, report, event)


def _send(assoc: Association, report: Dataset, event: int) -> bool:
    status, _ = assoc.send_n_event_report(report, event, COMMITMENT, COMMITMENT_INSTANCE)
    return bool(status) and status.Status == 0x0000
