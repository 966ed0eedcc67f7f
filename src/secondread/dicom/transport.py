"""The port: connections are bounded in number, in bytes and in time before anything of DICOM is understood.

pynetdicom waits for whatever length a PDU claims, and shakes hands for TLS where it accepts connections: one silent
client would keep all others out. Here a length beyond what was negotiated ends the connection, a PDU has a time to be
whole in, and the handshake is of the connection's own thread.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Protocol

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

_LONGEST_REQUEST = 256_000  # bytes of an association request: 128 contexts with all syntaxes are 40,000
_CHUNK = 1 << 18
_LOG = logging.getLogger("secondread.dicom")
_YOUNG = 1.0  # seconds in which a connection is not closed to make room for another


@dataclass(frozen=True)
class NodeBounds:
    """What the node lets others take of the machine."""

    associations: int = 20
    max_pdu: int = 131_072  # bytes
    request_seconds: float = 15.0  # for an association request to be here
    idle_seconds: float = 60.0  # without a message, and for one PDU to be here
    object_bytes: int = 200_000_000
    waiting_bytes: int = 1_000_000_000  # of all objects that are coming in
    networks: tuple[IPv4Network | IPv6Network, ...] = ()  # that may connect; none: all

    @property
    def connections(self) -> int:
        """Open ones, associations or not yet."""
        return 2 * self.associations + 16

    def lets_in(self, address: str) -> bool:
        """Whether this address may connect."""
        if not self.networks:
            return True
        at = ip_address(address.partition("%")[0])
        at = getattr(at, "ipv4_mapped", None) or at
        return any(at in network for network in self.networks)


class Inflow:
    """Bytes that came in and are not served yet, of all connections. Safe to share between threads."""

    def __init__(self, most: int):
        self._most = most
        self._now = 0
        self._lock = threading.Lock()

    def take(self, n: int) -> bool:
        """Whether there is room for so many more; they count until they are given back."""
        with self._lock:
            if self._now + n > self._most:
                return False
            self._now += n
            return True

    def give_back(self, n: int) -> None:
        """These were served, or their connection is closed."""
        with self._lock:
            self._now -= n

    @property
    def now(self) -> int:
        """Bytes at present."""
        return self._now


class BoundedSocket(AssociationSocket):
    """A connection that reads no more and no longer than it was let."""

    def __init__(self, assoc: Association, client_socket: socket.socket, bounds: NodeBounds, inflow: Inflow):
        super().__init__(assoc, client_socket=client_socket)
        self.bounds = bounds
        self.refusal = ""  # why it was closed from here
        self._inflow = inflow
        self._taken = 0
        self._closed = False
        self._lock = threading.Lock()

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, or fewer where the other side has closed. Raises OSError: the connection is over then."""
        bounds, request = self.bounds, not self.assoc.is_established
        if self.refusal:
            raise OSError(self.refusal)
        if nr_bytes > (_LONGEST_REQUEST if request else bounds.max_pdu + 64):
            raise self._over(f"a PDU of {nr_bytes} bytes, more than was agreed")
        if self._taken + nr_bytes > bounds.object_bytes + 2 * bounds.max_pdu:
            raise self._over(f"an object of more than {bounds.object_bytes} bytes")
        if not self._count(nr_bytes):
            raise self._over("more objects at once than there is memory for; send it again")
        assert self.socket is not None
        end = time.monotonic() + (bounds.request_seconds if request else bounds.idle_seconds)
        found = bytearray(nr_bytes)
        view, have = memoryview(found), 0
        while have < nr_bytes:
            left = end - time.monotonic()
            if left <= 0:
                raise self._over("a PDU that did not come to its end in time")
            self.socket.settimeout(left)
            n = self.socket.recv_into(view[have : have + _CHUNK])
            if not n:
                break
            have += n
        self.socket.settimeout(bounds.idle_seconds)  # for sending
        view.release()
        del found[have:]
        return found

    def _shutdown_socket(self) -> None:
        """Close the connection, also one whose other side is gone; who still waits for a request waits no longer."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                self.socket.close()
        if not self.assoc.is_established:
            self.assoc.dul.to_user_queue.put(A_P_ABORT())

    def served(self) -> None:
        """What came in until now is not held any more."""
        with self._lock:
            taken, self._taken = self._taken, 0
        self._inflow.give_back(taken)

    def forget(self) -> None:
        """The connection is over: nothing of it counts from here on."""
        with self._lock:
            self._closed = True
        self.served()

    def refuse(self, why: str) -> None:
        """Read nothing more: the connection ends at the next PDU."""
        self.refusal = why

    def _count(self, n: int) -> bool:
        if not self._inflow.take(n):
            return False
        with self._lock:
            if not self._closed:
                self._taken += n
                return True
        self._inflow.give_back(n)
        return True

    def _over(self, why: str) -> OSError:
        self.refusal = why
        return OSError(why)


class BoundedHandler(RequestHandler):
    """Starts an association on a bounded socket."""

    server: "BoundedServer"

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        assert isinstance(self.request, socket.socket)
        assoc.dul.event_queue.get_nowait()  # that the connection is open: the next line says so again
        sock = BoundedSocket(assoc, self.request, self.server.bounds, self.server.inflow)
        assoc.dul.socket = sock
        for thread in (assoc, assoc.dul):
            thread.run = _ending_quietly(thread.run, sock)  # type: ignore[method-assign]
        return assoc

    def handle(self) -> None:
        """See an association from its first byte to its last; whatever ends it, nothing of it stays behind."""
        assoc = self._create_association()
        self.server.opened(assoc)
        try:
            assoc.start()
            assoc.join()
        finally:
            sock = assoc.dul.socket
            assert isinstance(sock, BoundedSocket)
            assoc.dul.kill_dul()
            sock._shutdown_socket()
            self.request.close()
            sock.forget()
            self.server.closed(assoc)


class Watcher(Protocol):
    """Who wants to know what becomes of connections."""

    def turned_away(self, address: str, why: str) -> None:
        """One was closed at once."""

    def ended(self, assoc: Association) -> None:
        """One that was open is closed."""


def _ending_quietly(run: Callable[[], None], sock: BoundedSocket) -> Callable[[], None]:
    """What comes out of order, or is no message, ends its own association: pynetdicom raises for it in the thread."""

    def guarded() -> None:
        try:
            run()
        except Exception as error:
            _LOG.debug("an association ended: %r", error)
            sock.refuse(sock.refusal or "what came is not understood")
            sock._shutdown_socket()

    return guarded


class BoundedServer(ThreadedAssociationServer):
    """Accepts connections from whom it may, and closes the oldest that asked for nothing where there are too many."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, ae: AE, address: tuple[str, int], *, bounds: NodeBounds, watcher: Watcher, **more: Any):
        """more: as of AssociationServer."""
        self.bounds = bounds
        self.inflow = Inflow(bounds.waiting_bytes)
        self._watcher = watcher
        self._opened: dict[Association, float] = {}
        self._lock = threading.Lock()
        super().__init__(ae, address, request_handler=BoundedHandler, **more)

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection; TLS is agreed on when its own thread reads from it first."""
        assert self.socket is not None
        client, address = self.socket.accept()
        client.settimeout(self.bounds.request_seconds)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether a connection may go on."""
        address = str(client_address[0])
        if not self.bounds.lets_in(address):
            self._watcher.turned_away(address, "this address may not connect")
            request.close()
            return False
        if not self._make_room():
            self._watcher.turned_away(address, "too many connections")
            request.close()
            return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks as it is accepted is its own trouble."""
        self._watcher.turned_away(str(client_address[0]), "the connection broke at once")

    def opened(self, assoc: Association) -> None:
        """Count a connection from here on."""
        with self._lock:
            self._opened[assoc] = time.monotonic()

    def closed(self, assoc: Association) -> None:
        """Count it no more."""
        with self._lock:
            self._opened.pop(assoc, None)
        self._watcher.ended(assoc)

    def associations(self) -> list[Association]:
        """Those that are open."""
        with self._lock:
            return list(self._opened)

    def n_established(self) -> int:
        """Associations at present."""
        with self._lock:
            return sum(assoc.is_established for assoc in self._opened)

    def _make_room(self) -> bool:
        with self._lock:
            if len(self._opened) < self.bounds.connections:
                return True
            old = time.monotonic() - _YOUNG
            silent = [assoc for assoc, at in self._opened.items() if not assoc.is_established and at < old]
            if not silent:
                return False
            oldest = min(silent, key=self._opened.__getitem__)
        sock = oldest.dul.socket
        assert isinstance(sock, BoundedSocket)
        sock.refuse("it asked for nothing while others waited")
        sock._shutdown_socket()
        return True
