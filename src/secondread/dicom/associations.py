"""Who called, what they brought and how they left: the node's part of the trail, which knows every association.

Those that brought objects have a line each. The others — echoes, strangers, garbage — are counted by address and
outcome and share a line every few seconds, so that nobody can fill the trail by knocking.
"""

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from secondread.errors import SecondReadError
from secondread.service import Actor, AuditTrail

_EVERY = 5.0  # seconds between lines of those that brought nothing
_MOST = 200  # different ones that are told apart in that time
_MOST_SERIES = 1000  # of one association
_LOG = logging.getLogger("secondread.dicom")


@dataclass
class Visit:
    """One association while it lasts. Changed by its own thread alone."""

    calling_aet: str
    called_aet: str
    address: str
    counts: Counter[str] = field(default_factory=Counter)  # stored, same, other, ignored, refused, failed, echoes, …
    n_bytes: int = 0
    series: set[str] = field(default_factory=set)  # pseudonyms of those that objects were stored of
    ended: str = ""  # 'released', 'aborted', 'rejected: why', 'lost: why'

    def stored_of(self, series_uid: str) -> None:
        """An object of this series was kept."""
        if len(self.series) < _MOST_SERIES:
            self.series.add(series_uid)

    @property
    def brought(self) -> bool:
        """Whether it brought objects, or asked whether they are kept."""
        return any(n for what, n in self.counts.items() if what != "echoes")


class Diary:
    """Writes visits into the trail, from a thread of its own: no association waits for it, or fails with it."""

    def __init__(self, trail: AuditTrail, *, aet: str):
        self._trail = trail
        self._aet = aet
        self._visits: list[Visit] = []
        self._others: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="diary of the node", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def note(self, visit: Visit) -> None:
        """An association has ended."""
        with self._lock:
            if visit.brought:
                self._visits.append(visit)
            else:
                key = (visit.address, visit.calling_aet if visit.counts["echoes"] else "", visit.ended)
                known = key in self._others or len(self._others) < _MOST
                self._others[key if known else ("others", "", "")] += 1

    def note_turned_away(self, address: str, why: str) -> None:
        """A connection was closed before it was an association."""
        self.note(Visit("", "", address, ended=f"rejected: {why}"))

    def close(self) -> None:
        """Write what is left, and end."""
        self._stopping.set()
        self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Write now. What cannot be written is kept for the next time, up to a bound."""
        with self._lock:
            visits, others = self._visits, self._others
            self._visits, self._others = [], Counter()
        try:
            while visits:
                visit = visits[-1]
                self._record(visit.calling_aet, visit.address, **_told(visit))
                visits.pop()
            for key, n in list(others.items()):
                address, calling, ended = key
                self._record(calling, address, n=n, ended=ended)
                del others[key]
        except SecondReadError as error:
            _LOG.error("the trail of associations cannot be written now: %s", error)
            with self._lock:
                self._visits = [*visits, *self._visits][:_MOST]
                self._others += others

    def _record(self, calling: str, address: str, **detail: Any) -> None:
        actor = Actor(f"dicom:{calling}" if calling else "dicom", "dicom", address if address != "others" else "")
        self._trail.record(actor, "dicom.association", f"node:{self._aet}", **detail)

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY):
            self.flush()


def _told(visit: Visit) -> dict[str, Any]:
    counts = {what: n for what, n in sorted(visit.counts.items()) if n}
    return {"ended": visit.ended, "called": visit.called_aet, "bytes": visit.n_bytes, **counts}
