"""The loop asks a connection what it waits for only where that may have changed; counted, with real sockets."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from secondread.web.serving.polling import Poller


class Line:
    """One end of a connection: reads all that comes, and counts how often it was asked."""

    accepting = False

    def __init__(self, end: socket.socket):
        self.end, self.wants, self.has_to_send = end, True, False
        self.asked = self.sent = 0
        self.got = b""

    def readable(self) -> bool:
        self.asked += 1
        return self.wants

    def writable(self) -> bool:
        return self.has_to_send

    def handle_read_event(self) -> None:
        self.got += self.end.recv(100)

    def handle_write_event(self) -> None:
        self.sent += 1
        self.has_to_send = False

    def handle_close(self) -> None:
        raise AssertionError("nobody hung up")


class Loop:
    """A trigger, one who is always asked, and lines."""

    def __init__(self, held: ExitStack):
        self.lines: list[Line] = []
        self.others: list[socket.socket] = []
        self.map: dict[int, Line] = {}
        for _ in range(4):
            one, other = (held.enter_context(end) for end in socket.socketpair())
            self.lines.append(Line(one))
            self.others.append(other)
            self.map[one.fileno()] = self.lines[-1]
        numbers = list(self.map)
        self.poller = Poller(self.map, always=numbers[0], trigger=numbers[1])  # type: ignore[arg-type]
        self.poller.look_at_all()
        self.forget()

    def forget(self) -> None:
        for line in self.lines:
            line.asked = 0

    @property
    def asked(self) -> list[int]:
        return [line.asked for line in self.lines]


@pytest.fixture
def loop() -> Iterator[Loop]:
    with ExitStack() as held:
        yield Loop(held)


def test_who_gets_something_is_asked_again_and_the_others_are_not(loop: Loop) -> None:
    loop.others[2].send(b"a")
    assert not loop.poller.turn(1)
    assert loop.lines[2].got == b"a"
    assert loop.asked == [1, 0, 1, 0]


def test_after_the_trigger_all_may_have_changed(loop: Loop) -> None:
    loop.others[1].send(b"x")
    assert loop.poller.turn(1)
    loop.lines[3].has_to_send = True
    loop.poller.look_at_all()
    assert min(loop.asked) >= 1
    loop.poller.turn(1)
    assert loop.lines[3].sent == 1


def test_who_wants_nothing_is_not_read_until_it_does(loop: Loop) -> None:
    loop.lines[2].wants = False
    loop.poller.look_at_all()
    loop.others[2].send(b"a")
    assert loop.poller.turn(0)  # nothing came: time has passed, and all may have changed
    assert loop.lines[2].got == b""
    loop.lines[2].wants = True
    loop.poller.look_at_all()
    loop.poller.turn(1)
    assert loop.lines[2].got == b"a"


def test_a_number_that_another_has_now_is_the_others(loop: Loop) -> None:
    gone, number = loop.lines[3], loop.lines[3].end.fileno()
    with ExitStack() as held:
        one, other = (held.enter_context(end) for end in socket.socketpair())
        os.dup2(one.fileno(), number)
        loop.map[number] = new = Line(socket.socket(fileno=os.dup(number)))
        held.enter_context(new.end)
        loop.poller.look_at_all()
        other.send(b"a")
        loop.poller.turn(1)
    assert (gone.got, new.got) == (b"", b"a")


def test_who_is_gone_is_not_waited_for(loop: Loop) -> None:
    loop.others[3].send(b"a")
    del loop.map[loop.lines[3].end.fileno()]
    loop.poller.turn(1)
    assert loop.poller.turn(0)  # of the one that is gone nothing is told again
    assert loop.lines[3].got == b""
