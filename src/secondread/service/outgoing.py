"""What is on its way out: rows that wait, are claimed by one process at a time, and are tried again until they arrive.

A claim puts the next attempt off by a lease: whoever is killed while sending leaves a row that is sent again, which is
why everything that goes this way must bear to arrive twice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from secondread.service.database import Database
from secondread.service.queue import database_time
from secondread.service.tables import record_of

Fact = TypeVar("Fact")
LEASE = timedelta(minutes=2)
_FIRST_WAIT, _LONGEST_WAIT = 15, 3600  # seconds between attempts: doubled each time
_LONGEST_ERROR = 300  # characters


class Outgoing(Generic[Fact]):
    """Rows of one table with state, attempts, next_attempt_at, last_error, created_at and sent_at.

    row: the table's class; fact: what is given of a row. together: the column whose rows are claimed at once.
    give_up: after which a row that never arrives is 'failed'. Safe with any number of processes.
    """

    def __init__(self, database: Database, row: Any, fact: type[Fact], *, together: Any, give_up: timedelta):
        self._database = database
        self._row, self._fact = row, fact
        self._together = together
        self._give_up = give_up

    def claim(self, limit: int = 20) -> list[Fact]:
        """Rows that are due and alike, now this process's until the lease runs out; none where nothing is due."""
        row = self._row
        with self._database.reading() as session:
            if session.scalars(self._due(session, row.id).limit(1)).first() is None:
                return []
        with self._database.begin() as session:
            first = session.scalars(self._due(session, row).limit(1).with_for_update(skip_locked=True)).first()
            if first is None:
                return []
            alike = self._due(session, row).where(self._together == getattr(first, self._together.key))
            found = session.scalars(alike.limit(limit).with_for_update(skip_locked=True)).all()
            for one in found:
                one.attempts, one.next_attempt_at = one.attempts + 1, database_time(session) + LEASE
            return [record_of(self._fact, one) for one in found]

    def _due(self, session: Session, what: Any) -> Any:
        row = self._row
        due = row.state == "waiting", row.next_attempt_at <= database_time(session)
        return select(what).where(*due).order_by(row.next_attempt_at, row.id)

    def arrived(self, number: int) -> None:
        """It is there."""
        with self._database.begin() as session:
            row = self._of(session, number)
            row.state, row.sent_at, row.last_error = "sent", database_time(session), ""
            self.noted(session, row)

    def noted(self, session: Session, row: Any) -> None:
        """What the trail is told of an arrival, in its transaction."""

    def try_later(self, number: int, error: str) -> None:
        """It did not arrive: again after a while that doubles each time, or given up after `give_up`."""
        with self._database.begin() as session:
            row, moment = self._of(session, number), database_time(session)
            row.last_error = error[:_LONGEST_ERROR]
            row.next_attempt_at = moment + waiting_time(row.attempts)
            if moment - row.created_at > self._give_up:
                row.state = "failed"

    def give_up(self, number: int, error: str) -> None:
        """It never will: the other side refused it, or there is nothing to send any more."""
        with self._database.begin() as session:
            row = self._of(session, number)
            row.state, row.last_error = "failed", error[:_LONGEST_ERROR]

    def latest(self, limit: int = 50) -> list[Fact]:
        """The newest rows first."""
        with self._database.reading() as session:
            rows = session.scalars(select(self._row).order_by(self._row.id.desc()).limit(limit))
            return [record_of(self._fact, row) for row in rows]

    def of(self, numbers: Sequence[int]) -> list[Fact]:
        """These rows, in the order of their numbers."""
        with self._database.reading() as session:
            rows = session.scalars(select(self._row).where(self._row.id.in_(numbers)).order_by(self._row.id))
            return [record_of(self._fact, row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many are in which state."""
        with self._database.reading() as session:
            rows = session.execute(select(self._row.state, func.count()).group_by(self._row.state)).all()
        return dict.fromkeys(("waiting", "sent", "failed"), 0) | dict(rows)

    def _of(self, session: Session, number: int) -> Any:
        return session.get_one(self._row, number, with_for_update=True)

    def _again(self, session: Session, rows: Sequence[Any]) -> None:
        """Put rows back to be sent at once."""
        moment: datetime = database_time(session)
        for row in rows:
            row.state, row.attempts, row.last_error = "waiting", 0, ""
            row.next_attempt_at = row.created_at = moment


def waiting_time(attempts: int) -> timedelta:
    """How long after so many attempts the next one is made: 15 s, then doubled, an hour at most."""
    return timedelta(seconds=min(_FIRST_WAIT * 2 ** min(max(attempts, 1) - 1, 16), _LONGEST_WAIT))
