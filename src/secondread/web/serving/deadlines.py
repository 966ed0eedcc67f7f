"""How long a connection may take over what it does: pure arithmetic, so that no test has to wait."""

from dataclasses import dataclass
from typing import Any

GRACE_SECONDS = 10.0  # before a rate is asked for: a slow start, a moment without a network


@dataclass(frozen=True)
class Deadlines:
    """In seconds, and bytes a second."""

    header: float = 15.0  # for the whole header of a request, however its bytes drip in
    idle: float = 60.0  # between two requests of one connection
    linger: float = 2.0  # for a refused client to stop sending and read why
    rate: float = 16_000.0  # least average of a body that comes in, and of an answer that is read; 0 asks for none
    grace: float = GRACE_SECONDS

    def too_slow(self, n_bytes: int, seconds: float) -> bool:
        """Whether so few bytes in so many seconds are fewer than the floor allows."""
        return seconds > self.grace and n_bytes < self.rate * (seconds - self.grace)


@dataclass
class Watch:
    """Since when a connection has been at what it is at, and how many bytes had passed by then.

    It is looked at about once a second, so a deadline is kept to a second.
    """

    doing: tuple[str, Any] = ("", None)
    since: float = 0.0
    n_bytes: int = 0

    def look(self, doing: tuple[str, Any], n_bytes: int, now: float) -> tuple[float, int]:
        """Seconds and bytes since it began with what it is doing: what, and with which request."""
        if doing[0] != self.doing[0] or doing[1] is not self.doing[1]:
            self.doing, self.since, self.n_bytes = doing, now, n_bytes
        return now - self.since, n_bytes - self.n_bytes
