"""How long ago: a moment as the wall's clock tells it, and as counted since the machine was started.

Somebody sets the clock, or the network does, by a day or by years. What lasts (a session) is measured by the count,
which nobody sets; only what a restart of the machine lies between, or another machine wrote, is measured by the clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from secondread.service.tables import now

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux; elsewhere the clock alone is there


@dataclass(frozen=True)
class Moment:
    """One moment, told in two ways."""

    at: datetime  # by the wall's clock, in UTC
    ticks: float  # seconds since the machine was started, its sleep included
    boot: str  # which start of which machine; '' where that is not known


Clock = Callable[[], Moment]


def this_moment() -> Moment:
    """Now."""
    return Moment(now(), _ticks(), _boot())


def elapsed(since: Moment, until: Moment) -> timedelta:
    """The time between, never less than none: what lies in the future by a clock that was set back counts as now."""
    counted = until.ticks - since.ticks
    if since.boot and since.boot == until.boot and counted >= 0:
        return timedelta(seconds=counted)
    return max(until.at - since.at, timedelta())


def _ticks() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@cache
def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()[:64]
    except OSError:
        return ""
