"""Counts requests for several processes of one server, where no Redis is: in a small file that they share."""

import sqlite3
import threading
import time
from typing import Any

from limits.storage.base import MovingWindowSupport, Storage

SCHEME = "shared"
_BUSY_SECONDS = 5.0


class SharedCounts(Storage, MovingWindowSupport):
    """A storage of `limits` for its moving window; `shared:///folder/file`. What is counted lasts as long as the file.

    The clock is that of the machine since it was started, the same in every process and never set back.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - as the base declares it

    def __init__(self, uri: str, wrap_exceptions: bool = False, **options: Any):
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._lock = threading.Lock()
        path = uri.partition("://")[2]
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        for statement in (
            "PRAGMA journal_mode = MEMORY",
            "PRAGMA synchronous = OFF",  # nothing that must outlive the server
            "CREATE TABLE IF NOT EXISTS entry (key TEXT NOT NULL, at REAL NOT NULL, until REAL NOT NULL)",
            "CREATE INDEX IF NOT EXISTS entry_of_key ON entry (key, at)",
        ):
            self._connection.execute(statement).close()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What goes wrong with it."""
        return sqlite3.Error

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count so many more of a key, unless that would be more than the limit in so many seconds."""
        now = time.monotonic()
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE").close()
            try:
                self._connection.execute("DELETE FROM entry WHERE key = ? AND at <= ?", (key, now - expiry)).close()
                n = self._of("SELECT count(*) FROM entry WHERE key = ?", key)
                there_is_room = n + amount <= limit
                if there_is_room:
                    self._connection.executemany(
                        "INSERT INTO entry VALUES (?, ?, ?)", [(key, now, now + expiry)] * amount
                    ).close()
            finally:
                self._connection.execute("COMMIT").close()
        return there_is_room

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """(when the oldest that counts was counted, in seconds since the epoch; how many count)."""
        now = time.monotonic()
        with self._lock:
            row = self._connection.execute(
                "SELECT min(at), count(*) FROM entry WHERE key = ? AND at > ?", (key, now - expiry)
            ).fetchone()
        first, n = row
        return time.time() - (now - (now if first is None else first)), int(n)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count so many more of a key, whatever the limit; gives how many there are."""
        self.acquire_entry(key, 2**31, expiry, amount)
        return self.get(key)

    def get(self, key: str) -> int:
        """How many of a key count now."""
        with self._lock:
            return self._of("SELECT count(*) FROM entry WHERE key = ? AND until > ?", key, time.monotonic())

    def get_expiry(self, key: str) -> float:
        """When the last of a key counts no more, in seconds since the epoch."""
        with self._lock:
            last = self._of("SELECT max(until) FROM entry WHERE key = ?", key)
        return time.time() + max(0.0, (last or 0.0) - time.monotonic())

    def check(self) -> bool:
        """Whether it can be used."""
        try:
            self.get("")
        except sqlite3.Error:
            return False
        return True

    def reset(self) -> int:
        """Forget all; gives how many keys there were."""
        with self._lock:
            n = int(self._of("SELECT count(DISTINCT key) FROM entry"))
            self._connection.execute("DELETE FROM entry").close()
        return n

    def clear(self, key: str) -> None:
        """Forget one key."""
        with self._lock:
            self._connection.execute("DELETE FROM entry WHERE key = ?", (key,)).close()

    def _of(self, statement: str, *values: Any) -> Any:
        return self._connection.execute(statement, values).fetchone()[0]
