"""The server: one loop that takes in requests and sends answers, threads that make them, and who has to wait.

Why waitress: bodies and answers pass through one loop, so a slow or silent client costs a descriptor and no thread, and
the loop is one thread whose every rule can be read here. What it lacks is added here and in `channel`.
"""

import errno
import logging
import resource
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from apiflask import APIFlask
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from secondread.web.serving.channel import Channel, Parser
from secondread.web.serving.connections import Caps, files_for, oldest_waiting
from secondread.web.serving.deadlines import Deadlines
from secondread.web.serving.door import Door
from secondread.web.serving.health import READY, Health, is_of_health
from secondread.web.serving.polling import Poller
from secondread.web.serving.refusal import Refusal, busy, refusal, too_large
from secondread.web.serving.shared import SharedConnections
from secondread.web.serving.turns import Turns

_LOG = logging.getLogger("secondread.web.serving")
_LOOK_EVERY = 1.0  # seconds
_DRAIN_SECONDS = 5.0  # that answers which are being made or sent may take at the end
_REST_SECONDS = 1.0  # after no connection could be taken for want of a descriptor
_TELL_EVERY = 60.0  # seconds
_MOST_ASKING_FOR_HEALTH = 16
_MOST_TURNED_AWAY = 64  # connections at once that are told why and let go softly; more of them are cut
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TOO_MANY = "too many connections of this address are open; close some, or come again in a moment"
_NO_TURN = "the server has as much to do as it can; send it again in a moment"
_NO_ROOM = "the server is taking in as much as it has room for; send it again in a moment"


class Server(TcpWSGIServer):
    """Serves an application on a socket that listens. clock: seconds, never set back; given by tests."""

    channel_class = Channel

    def __init__(
        self,
        app: APIFlask,
        listening: socket.socket,
        *,
        deadlines: Deadlines | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        config = app.config
        self.deadlines = deadlines or Deadlines(
            header=config["HEADER_SECONDS"], rate=1000.0 * config["LEAST_KB_PER_SECOND"]
        )
        # Behind a proxy every connection is the proxy's, and it is the proxy that counts those of an address.
        self.socket: socket.socket | None
        self.caps = Caps(files_for(config["CONNECTIONS"]), 0 if config["PROXIES"] else config["ADDRESS_CONNECTIONS"])
        self.door, self.health = Door(app), Health(app)
        self.clock = clock
        self._max_megabytes, self._room = config["MAX_BODY_MB"], config["MAX_WAITING_MB"] * 10**6
        self.neighbours: SharedConnections | None = None  # of the other processes that take from the same socket
        self._soon: deque[Callable[[], None]] = deque()
        self._pulled = False
        self._rests_until = self._looked_at = 0.0
        self._told_at = -_TELL_EVERY
        self._stopping_since: float | None = None
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="door")
        self._reserved = ThreadedTaskDispatcher()
        self._reserved.set_thread_count(1)
        adjustments = Adjustments(
            sockets=[listening],
            max_request_body_size=config["MAX_CONTENT_LENGTH"] + 1,  # waitress refuses what is not below it
            connection_limit=2**31,  # see Caps
            recv_bytes=65536,
            # Without a proxy in front nothing of X-Forwarded-For reaches the application; with one it judges itself.
            clear_untrusted_proxy_headers=not config["PROXIES"],
            ident="secondread",
        )
        super().__init__(
            app,
            _sock=listening,
            bind_socket=False,
            adj=adjustments,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            dispatcher=Turns(config["THREADS"], most_waiting=config["WAITING_REQUESTS"]),
        )
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # else a line for every request that waits a moment

    # The loop.

    def run(self) -> None:
        """Serve until `stop`; what is being answered then is finished."""
        waiting = Poller(self._map, always=self._fileno, trigger=self.trigger._fileno)
        may_have_changed = True
        while not self._stopped():
            if self.neighbours is not None:
                self.neighbours.tell(len(self.active_channels), time.monotonic())
            if may_have_changed:
                waiting.look_at_all()
            may_have_changed = waiting.turn(_LOOK_EVERY)
            self._pulled = False  # who pulls from here on is seen in the next turn
            for _ in range(len(self._soon)):
                self._soon.popleft()()
                may_have_changed = True
            may_have_changed |= self._keep_time()

    def stop(self) -> None:
        """Take no more connections and end. May be called from a signal's handler."""
        self.soon(self._begin_to_stop)

    def soon(self, act: Callable[[], None]) -> None:
        """Do it in the loop. From any thread."""
        self._soon.append(act)
        self.pull_trigger()

    def pull_trigger(self) -> None:
        """Have the loop look at everybody. From any thread; once is enough until the loop has turned."""
        if not self._pulled:
            self._pulled = True
            super().pull_trigger()

    def close(self) -> None:
        """Give everything back."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self.health.close()
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        self.task_dispatcher.shutdown(timeout=_DRAIN_SECONDS)
        self._reserved.shutdown(timeout=_DRAIN_SECONDS)
        super().close()

    def _keep_time(self) -> bool:
        """Whether it was time to."""
        now = self.clock()
        if now - self._looked_at < _LOOK_EVERY:
            return False
        self._looked_at = now
        for channel in list(self.active_channels.values()):
            channel.keep_time(now)
        return True

    def _begin_to_stop(self) -> None:
        self._stopping_since = self._stopping_since or self.clock()
        self.accepting = False
        if self.socket is not None:
            self.del_channel()
            self.socket.close()
            self.socket = None

    def _stopped(self) -> bool:
        if self._stopping_since is None:
            return False
        for channel in list(self.active_channels.values()):
            if channel.waits:
                channel.handle_close()
        return not self.active_channels or self.clock() - self._stopping_since > _DRAIN_SECONDS

    # Who comes in.

    def readable(self) -> bool:
        """Whether connections are taken now."""
        if not self.accepting or self.clock() < self._rests_until:
            return False
        return self.neighbours is None or self.neighbours.may_take(len(self.active_channels), time.monotonic())

    def handle_accept(self) -> None:
        """Take one connection, where there is room for it or another gives it room."""
        try:
            found = self.accept()
        except OSError as error:
            self._rest(error)
            return
        if found is None:
            return
        connection, address = found
        here = [channel for channel in self.active_channels.values() if not channel.turned_away]
        may, gone = self.caps.find_room(address[0], here)
        if gone is not None:
            gone.handle_close()
        if not may and len(self._turned_away()) >= _MOST_TURNED_AWAY:
            _turn_away(connection)
            return
        try:
            self.set_socket_options(connection)
        except OSError:  # it is gone already
            connection.close()
            return
        channel = self.channel_class(self, connection, address, self.adj, map=self._map)
        if not may:
            channel.turn_away(busy(_TOO_MANY))

    def _turned_away(self) -> list[Channel]:
        return [channel for channel in self.active_channels.values() if channel.turned_away]

    def _rest(self, error: OSError) -> None:
        """Without descriptors the same connection would be refused in a turning loop: wait, and make room."""
        if error.errno not in _EXHAUSTED:
            return  # one that broke off while it was taken
        now = self.clock()
        self._rests_until = now + _REST_SECONDS
        if (gone := oldest_waiting(self.active_channels.values())) is not None:
            gone.handle_close()
        if now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            _LOG.error(
                "no connection can be taken: %s (%d are open, %d files allowed); raise LimitNOFILE, or lower the "
                "setting connections",
                error.strerror,
                len(self.active_channels),
                soft,
            )

    # What is answered where.

    def ask_at_the_door(self, channel: Channel, request: Parser) -> None:
        """Have it decided in a thread of its own whether a body is taken, so that no database holds up the loop.

        Who sends one film after the other is asked for once a second.
        """
        if self.door.has_just_let_in(channel, request):
            channel.decided(request, self._no_room(request))
        else:
            self._asking.submit(self._ask, channel, request)

    def _ask(self, channel: Channel, request: Parser) -> None:
        refused: Refusal | None
        try:
            refused = self.door.refuses(channel, request)
        except Exception:
            _LOG.exception("a request could not be looked at")
            refused = busy(_NO_TURN)
        self.soon(lambda: channel.decided(request, refused or self._no_room(request)))

    def _no_room(self, request: Parser) -> Refusal | None:
        """Where those that are let in already take up so much that this one has to come again."""
        taken = sum(_bytes_of(one) for one in self.active_channels.values())
        return busy(_NO_ROOM) if taken and taken + request.content_length > self._room else None

    def add_task(self, channel: Channel) -> None:
        """Have the first request of a channel answered. From any thread."""
        request = channel.requests[0]
        if request.error is None and is_of_health(request):
            self._answer_health(channel, request)
        elif request.error is None:
            if (turned_away := self.task_dispatcher.offer(channel)) is not None:
                goes, why = turned_away
                self._refuse(goes, goes.requests[0], why)
        elif request.error is not None:
            self.soon(channel.service)

    def told(self, status: int, detail: str) -> Refusal:
        """One of waitress's own errors, in our words where a person can do something about it."""
        return too_large(self._max_megabytes) if status == 413 else refusal(status, detail)

    def _answer_health(self, channel: Channel, request: Parser) -> None:
        if request.path != READY:
            self.soon(channel.service)
        elif len(self._reserved.queue) < _MOST_ASKING_FOR_HEALTH:
            self._reserved.add_task(channel)
        else:
            self._refuse(channel, request, busy(_NO_TURN))

    def _refuse(self, channel: Channel, request: Parser, refused: Refusal) -> None:
        request.error = refused
        self.soon(channel.service)


def _bytes_of(channel: Channel) -> int:
    """Bodies that are here or are coming."""
    coming: list[Parser] = [channel.request] if channel.request is not None else []
    return sum(request.size for request in (*coming, *channel.requests))


def _turn_away(connection: socket.socket) -> None:
    """Say why, if it can be said at once; who is sending something just then may see the connection cut instead."""
    with connection:
        connection.setblocking(False)
        try:
            connection.send(busy(_TOO_MANY).raw())
        except OSError:
            return
