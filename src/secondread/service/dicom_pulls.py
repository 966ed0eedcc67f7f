"""How far each archive that is asked for new images has been read, and which process is asking it: one at a time.

The mark is the last study date that was read to its end. Which objects of a date are here already, `DicomObjects.known`
says: so a round that was killed, or asks again about days before the mark, fetches none of them a second time.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from secondread.service.database import Database
from secondread.service.dicom_tables import DicomPullRow
from secondread.service.queue import database_time
from secondread.service.tables import record_of

_LEASE = timedelta(minutes=5)
_LONGEST_ERROR = 500  # characters


@dataclass(frozen=True)
class Pull:
    """One archive asked with one filter."""

    name: str
    source: str
    asked: str
    mark: date | None
    fetched: int
    last_at: datetime | None
    last_error: str
    holder: str


class DicomPulls:
    """Safe with any number of processes."""

    def __init__(self, database: Database):
        self._database = database

    def begin(self, source: str, asked: str) -> Pull | None:
        """A round of ours begins; None while another process is at it. What it was killed in is ours after a while."""
        name = hashlib.sha256(f"{source}\0{asked}".encode()).hexdigest()[:32]
        with self._database.begin() as session:
            row = session.get(DicomPullRow, name, with_for_update=True)
            if row is None:
                row = DicomPullRow(name=name, source=source, asked=asked)
                session.add(row)
            moment = database_time(session)
            if row.held_until is not None and row.held_until > moment:
                return None
            row.holder, row.held_until = uuid4().hex, moment + _LEASE
            session.flush()
            return record_of(Pull, row)

    def note(self, pull: Pull, *, fetched: int = 0, mark: date | None = None) -> bool:
        """So many objects more are here, and this date is read to its end; the lease begins anew.

        False where another has taken over, having held us for dead.
        """
        with self._database.begin() as session:
            row = self._held(session, pull)
            if row is None:
                return False
            row.fetched += fetched
            row.held_until = database_time(session) + _LEASE
            if mark is not None and (row.mark is None or mark > row.mark):
                row.mark = mark
            return True

    def end(self, pull: Pull, error: str = "") -> None:
        """The round is over. error: why it could not go on to its end; '' where it has."""
        with self._database.begin() as session:
            row = self._held(session, pull)
            if row is not None:
                row.last_at, row.last_error, row.held_until = database_time(session), error[:_LONGEST_ERROR], None

    def all(self) -> list[Pull]:
        """Every archive and filter that was ever asked, by source."""
        with self._database.reading() as session:
            rows = session.scalars(select(DicomPullRow).order_by(DicomPullRow.source, DicomPullRow.name))
            return [record_of(Pull, row) for row in rows]

    def _held(self, session: Session, pull: Pull) -> DicomPullRow | None:
        row = session.get(DicomPullRow, pull.name, with_for_update=True)
        return row if row is not None and row.holder == pull.holder else None
