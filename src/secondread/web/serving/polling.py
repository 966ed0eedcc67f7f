"""What the loop waits for: of every connection what it said last, asked again where something may have changed.

waitress asks every connection anew in every turn of the loop, several turns a request. What a connection wants changes
with what happens to it in the loop, and with what a thread does, which then pulls the trigger.
"""

import select
from collections.abc import MutableMapping
from typing import Any

from waitress.wasyncore import readwrite

_IN = select.POLLIN | select.POLLPRI


class Poller:
    """The descriptors of a loop. always: of those that are asked in every turn; trigger: after which all are asked."""

    def __init__(self, map_: MutableMapping[int, Any], *, always: int, trigger: int):
        self._map = map_
        self._always, self._trigger = always, trigger
        self._poll = select.poll()
        self._known: dict[int, tuple[Any, int]] = {}

    def turn(self, seconds: float) -> bool:
        """Wait for so long at most and let who has something to do, do it. Whether anybody may have changed by that."""
        self._look_at(self._always)
        found = self._poll.poll(int(1000 * seconds))
        for descriptor, flags in found:
            if (one := self._map.get(descriptor)) is not None:
                readwrite(one, flags)
        descriptors = [descriptor for descriptor, _ in found]
        if not found or self._trigger in descriptors or self._always in descriptors:
            return True
        for descriptor in descriptors:
            self._look_at(descriptor)
        return False

    def look_at_all(self) -> None:
        """Ask everybody."""
        for descriptor in {*self._known, *self._map}:
            self._look_at(descriptor)

    def _look_at(self, descriptor: int) -> None:
        one = self._map.get(descriptor)
        wanted = 0 if one is None else _wanted(one)
        known = self._known.get(descriptor)
        if known == (one, wanted):
            return
        if known is not None and known[1]:
            self._poll.unregister(descriptor)
        if wanted:
            self._poll.register(descriptor, wanted)
        if one is None:
            self._known.pop(descriptor, None)
        else:
            self._known[descriptor] = one, wanted


def _wanted(one: Any) -> int:
    flags = _IN if one.readable() else 0
    return flags | select.POLLOUT if one.writable() and not one.accepting else flags
