"""Values that are asked for with every answer and change once a month: remembered for a second."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")
SECONDS = 1.0  # that a change made by another process may take to be seen
_MOST = 256  # values


class Shortly(Generic[_Value]):
    """Safe to share between threads. seconds: how long a value is believed; clock: monotonic seconds."""

    def __init__(self, seconds: float = SECONDS, *, clock: Callable[[], float] = time.monotonic):
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, _Value]] = {}
        self._forgotten = 0

    def get(self, key: Hashable, look: Callable[[], _Value]) -> _Value:
        """What `look` gave for this key not longer ago than that, or gives now."""
        moment = self._clock()
        with self._lock:
            kept = self._kept.get(key)
            forgotten = self._forgotten
        if kept is not None and self._holds(moment - kept[0]):
            return kept[1]
        found = look()  # counted from before it was looked up
        with self._lock:
            if forgotten == self._forgotten:  # else it may be from before the change
                if len(self._kept) >= _MOST:
                    self._kept.clear()
                self._kept[key] = moment, found
        return found

    def _holds(self, age: float) -> bool:
        return age < self._seconds

    def forget(self) -> None:
        """Look again from now on: this process has changed something."""
        with self._lock:
            self._forgotten += 1
            self._kept.clear()
