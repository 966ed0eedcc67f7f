"""One connection: its request is let in at the header or refused there, and it keeps the deadlines or is cut."""

import socket
from contextlib import suppress
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import WSGITask

from secondread.web.serving import framing
from secondread.web.serving.deadlines import Watch
from secondread.web.serving.health import HealthTask, is_of_health
from secondread.web.serving.refusal import Refusal, RefusalTask, refusal

# Thrown away at most of what a refused client still sends, for two seconds at most. A proxy that is cut while it writes
# says 502 instead of passing on why; with this much room it still does so now and then.
_LINGER_BYTES = 50_000_000


class Parser(HTTPRequestParser):
    """One request as it comes in. With a body it is held after the header, until the door has decided."""

    held = False
    early = b""  # of the body, what came in the same packet as the header
    asked_to_continue = False
    account = ""  # of who asks, where the door has found one
    error: Any
    body_rcv: Any
    expect_continue: bool

    def received(self, data: bytes) -> int:
        """Bytes of `data` that belong to this request."""
        if self.held:
            self.early += data  # no more than one packet: a channel whose request is held is not read
            return len(data)
        in_header = not self.headers_finished
        n = int(super().received(data))
        if in_header and (self.headers_finished or self.completed):
            # 100 Continue is said once it is let in; without a body there is nothing to continue with.
            self.asked_to_continue, self.expect_continue = self.expect_continue, False
            self.held = not self.completed
        return n

    def parse_header(self, header_plus: bytes) -> None:
        """Read first line and fields. Raises ParsingError, also for what waitress itself would stumble over."""
        framing.check(header_plus)
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # an address that cannot be split, for one
            raise ParsingError("the first line of the request is invalid") from error
        if self.chunked:
            self.body_rcv = framing.Chunks(self.body_rcv.getbuf())

    def let_in(self) -> bytes:
        """Take the body from now on; gives what of it is here already."""
        self.held, self.expect_continue = False, self.asked_to_continue
        early, self.early = self.early, b""
        return early

    @property
    def size(self) -> int:
        """Of its body, as stated, or as far as it came; 0 while it is not let in."""
        return 0 if self.held else max(self.content_length, self.body_bytes_received)


class AnswerTask(WSGITask):
    """The application's answer, of which the header and what is written first leave together."""

    wrote_header: bool

    def write(self, data: bytes) -> None:
        """A piece of the body."""
        if self.complete and not self.wrote_header:
            self.channel.ahead = self.build_response_header()
            self.wrote_header = True
        super().write(data)
        if self.channel.ahead:
            self.channel.write_soon(b"")


class Channel(HTTPChannel):
    """One connection. All methods but `service` run in the server's loop."""

    parser_class = Parser
    error_task_class = RefusalTask
    request: Parser | None
    _asked: Parser | None = None  # the request that the door was last asked about
    _served = False  # whether a request was answered yet
    _refused = False
    turned_away = False  # it has no place among the connections, and is only told so
    _lingering = False
    _sent = _drained = 0  # bytes
    ahead = b""  # the header of the answer that is being made, until the first piece of its body is there

    def __init__(self, *args: Any, **kwargs: Any):
        self._receiving, self._sending = Watch(), Watch()
        super().__init__(*args, **kwargs)

    @staticmethod
    def task_class(channel: "Channel", request: Parser) -> Any:
        """What answers a request: of health the server itself, else the application."""
        return (HealthTask if is_of_health(request) else AnswerTask)(channel, request)

    # What comes in.

    def readable(self) -> bool:
        """Whether to wait for bytes of this connection."""
        held = self.request is not None and self.request.held
        return self._lingering or (not held and bool(super().readable()))

    def received(self, data: bytes) -> bool:
        """Take in bytes; at the end of a header with a body, ask at the door."""
        taken = bool(super().received(data))
        if (request := self.request) is not None and request.held and request is not self._asked:
            self._asked = request
            self.server.ask_at_the_door(self, request)
        return taken

    def decided(self, request: Parser, refused: Refusal | None) -> None:
        """The door's answer on a request that is held."""
        if self.request is not request or not self.connected:
            return
        early = request.let_in()
        if refused is not None:
            self.refuse(refused)
            return
        with self.requests_lock:
            if request.expect_continue and not self.requests:  # else it is said after the request before
                self.send_continue()
        self.received(early)

    def refuse(self, refused: Refusal) -> None:
        """Answer the request that is coming in with this, read no more of it, and close."""
        request = self.request or self.parser_class(self.adj)
        request.error, request.completed, request.held = refused, True, False
        self._refused = True
        with self.requests_lock:
            self.request = None
            self.requests.append(request)
            if len(self.requests) == 1:
                self.server.add_task(self)

    def turn_away(self, refused: Refusal) -> None:
        """There is no room for this connection: answer with this whatever it sends, and close it softly."""
        self.turned_away = True
        self.refuse(refused)

    # What goes out.

    def write_soon(self, data: Any) -> int:
        """Bytes that are on their way."""
        ahead, self.ahead = self.ahead, b""
        if not isinstance(data, bytes):  # a file, which goes out by itself
            return int(super().write_soon(ahead)) + int(super().write_soon(data))
        return int(super().write_soon(ahead + data if ahead else data))

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Bytes that the network took."""
        n = int(super().send(data, do_close=do_close))
        self._sent += n
        return n

    def service(self) -> None:
        """Answer the first request; in a thread of the server's turns, or in the loop what it answers itself."""
        super().service()
        self._served = True

    def writable(self) -> bool:
        """Whether there is something to send, or to close."""
        return not self._lingering and bool(super().writable())

    def handle_write(self) -> None:
        """Send; a refused client's connection is closed softly, or it would never read why (RFC 9112 section 9.6)."""
        if self._refused and self.close_when_flushed and not self.total_outbufs_len:
            self._lingering = True
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            return
        super().handle_write()

    def handle_read(self) -> None:
        """Take what is there; of a refused client it is thrown away."""
        if not self._lingering:
            super().handle_read()
            return
        self._drained += len(self.recv(self.adj.recv_bytes))  # closes at the end
        if self._drained > _LINGER_BYTES:
            self.handle_close()

    # How long it may take.

    @property
    def waits(self) -> bool:
        """Whether nobody would lose anything but time if it were closed: no whole header has come, or no request."""
        in_header = self.request is None or not self.request.headers_finished
        return not self.requests and in_header and not self.total_outbufs_len

    def keep_time(self, now: float) -> None:
        """Cut what takes too long. now: seconds of a clock that is never set."""
        limits = self.server.deadlines
        doing, n_bytes = self._doing()
        seconds, n = self._receiving.look((doing, self.request), n_bytes, now)
        if doing == "header" and seconds > limits.header:
            sentence = f"the header of a request was not here whole after {limits.header:g} s; send it at once"
            self._give_up(sentence if self.request is not None else "")
        elif doing == "body" and limits.too_slow(n, seconds):
            sentence = f"it came in more slowly than {limits.rate / 1000:g} kB a second; send it over a faster line"
            self._give_up(sentence)
        elif (doing == "idle" and seconds > limits.idle) or (doing == "lingering" and seconds > limits.linger):
            self.handle_close()
        pending = "sending" if self.total_outbufs_len else ""
        seconds, n = self._sending.look((pending, None), self._sent, now)
        if pending and limits.too_slow(n, seconds):
            self.handle_close()

    def _doing(self) -> tuple[str, int]:
        """What the client is at, and how many bytes of it have come."""
        if self._lingering:
            return "lingering", 0
        if self.requests or self.close_when_flushed or self.will_close:
            return "being answered", 0
        if self.request is None:
            return ("idle" if self._served else "header"), 0
        if not self.request.headers_finished:
            return "header", 0
        return ("at the door" if self.request.held else "body"), self.request.body_bytes_received

    def _give_up(self, sentence: str) -> None:
        if sentence:
            self.refuse(refusal(408, sentence))
        else:
            self.handle_close()  # it never said a word
