"""The threads that requests are answered in: accounts take turns, and there is an end to how many may wait."""

import time
from typing import Any

from waitress.task import ThreadedTaskDispatcher

from secondread.service.database import OF_REQUESTS, wait_at_most
from secondread.service.fairness import RoundRobin
from secondread.web.serving.connections import key_of
from secondread.web.serving.refusal import Refusal, busy, too_many

_LONGEST_WAIT = 10.0  # seconds for a thread: a person who hears nothing for longer sends it again, and a proxy gives up
_NO_TURN = "the server has as much to do as it can; send it again in a moment"
_YOURS = "as many of your requests wait as may; send it again in a moment, and fewer at once"


class _Line(RoundRobin[Any]):
    """Channels whose first request waits, as waitress keeps them: a queue that is appended to."""

    waited = 0.0  # seconds, of the one that was taken last

    def append(self, channel: Any) -> None:
        """At the end of its account's own line."""
        self.put(account_of(channel), (channel, time.monotonic()))

    def popleft(self) -> Any:
        """The channel whose turn it is."""
        channel, since = super().popleft()
        self.waited = time.monotonic() - since
        return channel


def account_of(channel: Any) -> str:
    """Whose turn the first request of a channel takes: an account's, or an address's where none is known yet."""
    request = channel.requests[0]
    return request.account or f"address {key_of(channel.addr[0])}"


class Turns(ThreadedTaskDispatcher):
    """So many threads, and so many requests that wait for one, answered one account after the other.

    Where too many wait, or the last one waited for too long, the account with the most of them goes without; the others
    keep their places.
    """

    queue: Any

    def __init__(self, threads: int, *, most_waiting: int):
        super().__init__()
        self.queue = _Line()
        self._most_waiting = most_waiting
        self.set_thread_count(threads)

    def handler_thread(self, thread_no: int) -> None:
        """Answer what comes, until told to stop; the database is not waited for as long as by a worker."""
        wait_at_most(OF_REQUESTS)
        super().handler_thread(thread_no)

    def offer(self, channel: Any) -> tuple[Any, Refusal] | None:
        """Take its first request. Where too many wait already: the channel that goes without, and what it is told."""
        account = account_of(channel)
        turned_away = None
        with self.lock:
            idle = len(self.threads) - self.stop_count - self.active_count
            late = self.queue and self.queue.waited > _LONGEST_WAIT
            if late or len(self.queue) - idle >= self._most_waiting:
                if not self.queue:
                    return channel, busy(_NO_TURN)
                longest, n = self.queue.longest()
                if self.queue.waiting(account) + 1 >= n:
                    alone = n == len(self.queue) and longest == account
                    return channel, busy(_NO_TURN) if alone or longest != account else too_many(_YOURS)
                turned_away = self.queue.pop_last(longest)[0], too_many(_YOURS)
        self.add_task(channel)
        return turned_away
