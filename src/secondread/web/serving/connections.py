"""How many connections there may be, of one address and in all, and which is given up for a newer one."""

import ipaddress
import resource
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

_SPARE_FILES = 164  # for the database, images, models and the log, and 64 connections that are turned away


class Connection(Protocol):
    """What is asked of one: whose it is, since when, and whether it waits for its client to say something."""

    addr: tuple[str, int]
    creation_time: float

    @property
    def waits(self) -> bool:
        """See Channel."""

    def handle_close(self) -> None:
        """Give it up."""


@dataclass(frozen=True)
class Caps:
    """Most connections in all, and of one address (0: of any address as many as there may be in all)."""

    total: int
    address: int

    def find_room(self, address: str, open_: Iterable[Connection]) -> tuple[bool, Connection | None]:
        """(whether one more of this address may come, which has to go for it).

        Whoever holds many connections without asking for anything loses the oldest of them, so that half-sent requests
        never keep a whole one out, not even of the same address.
        """
        open_ = list(open_)
        same = [one for one in open_ if key_of(one.addr[0]) == key_of(address)]
        if self.address and len(same) >= self.address:
            gone = oldest_waiting(same)
            return gone is not None, gone
        if len(open_) >= self.total:
            gone = oldest_waiting(open_)
            return gone is not None, gone
        return True, None


def oldest_waiting(open_: Iterable[Connection]) -> Connection | None:
    """Of the address with the most that wait, the one that has been there longest; None where none waits."""
    waiting = [one for one in open_ if one.waits]
    if not waiting:
        return None
    counts = Counter(key_of(one.addr[0]) for one in waiting)
    most = max(counts.values())
    return min((one for one in waiting if counts[key_of(one.addr[0])] == most), key=lambda one: one.creation_time)


@lru_cache(maxsize=4096)
def key_of(address: str) -> str:
    """Who counts as one: an IPv4 address, or the 64 bits of IPv6 that one household or office is given."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def files_for(connections: int) -> int:
    """So many of these connections as this process may open files for, after asking for as many as it is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(8, min(connections, soft - _SPARE_FILES))
