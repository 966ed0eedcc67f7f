"""What many threads ask for at once is done in one go: the first does it for all that came while it was waiting.

Nobody waits for others to come: one who is alone goes alone. While one batch is under way, the next gathers.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from secondread.errors import Busy

_Asked = TypeVar("_Asked")
_Found = TypeVar("_Found")
_RETRY_AFTER = 1.0  # seconds


class Together(Generic[_Asked, _Found]):
    """Safe to share between threads.

    do: given what is asked for, in the order it came, gives for each what was found, or the error that it alone is to
    have; what `do` raises is everyone's. most: in one go.
    """

    def __init__(self, do: "Callable[[Sequence[_Asked]], Sequence[_Found | Exception]]", *, most: int = 64):
        self._do = do
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Place[_Asked, _Found]] = deque()
        self._under_way = False

    def __call__(self, asked: _Asked) -> _Found:
        """What was found for this one. Raises its own error."""
        mine: _Place[_Asked, _Found] = _Place(asked)
        with self._lock:
            self._waiting.append(mine)
            leads, self._under_way = not self._under_way, True
        if not leads:
            mine.called.wait()
        if not mine.done:
            self._lead()
        return mine.outcome()

    def _lead(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            found = self._do([one.asked for one in batch])
            for one, outcome in zip(batch, found, strict=True):
                one.error, one.found = (outcome, None) if isinstance(outcome, Exception) else (None, outcome)
        except Exception as error:
            for one in batch:
                one.error = error
        finally:  # also where this thread is told to end: then the others are told to come again
            with self._lock:
                next_one = self._waiting[0] if self._waiting else None
                self._under_way = next_one is not None
            for one in batch:
                one.done = True
                one.called.set()
            if next_one is not None:
                next_one.called.set()  # not done: it leads


class _Place(Generic[_Asked, _Found]):
    """One who waits: called when it is done, or to lead the next go."""

    def __init__(self, asked: _Asked):
        self.asked = asked
        self.called = threading.Event()
        self.done = False
        self.found: _Found | None = None
        self.error: Exception | None = Busy("the server is stopping; send it again", retry_after=_RETRY_AFTER)

    def outcome(self) -> _Found:
        """What was found, or its error."""
        if self.error is not None:
            raise self.error
        return self.found  # type: ignore[return-value]
