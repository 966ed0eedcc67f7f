"""Slows down guessing: failed logins by name and by address, each waiting twice as long as the one before."""

from datetime import datetime, timedelta

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from secondread.errors import LoginThrottled
from secondread.service.tables import AttemptRow, now

_FREE = 5  # failures that cost no wait
_LONGEST = 15 * 60.0  # seconds
_FORGOTTEN = timedelta(hours=24)  # after which failures count no more


def keys_of(name: str, address: str) -> list[str]:
    """What failures are counted by."""
    return [f"name:{name}"[:200], *([f"address:{address}"[:200]] if address else [])]


def begin_attempt(session: Session, keys: list[str]) -> None:
    """Count an attempt as failed before it is tried, so that many at once gain nothing. Raises LoginThrottled."""
    moment = now()
    for key in sorted(keys):  # always in one order: no deadlock
        fresh = {"key": key, "failures": 0, "last_at": moment}
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        session.execute(insert(AttemptRow).values(**fresh).on_conflict_do_nothing())
        row = session.get_one(AttemptRow, key, with_for_update=True)
        if moment - row.last_at > _FORGOTTEN:
            row.failures, row.blocked_until = 0, None
        if row.blocked_until is not None and row.blocked_until > moment:
            raise _throttled(row.blocked_until, moment)
        row.failures += 1
        row.last_at = moment
        if (beyond := row.failures - _FREE) > 0:
            row.blocked_until = moment + timedelta(seconds=min(2.0 ** min(beyond, 20), _LONGEST))


def forgive(session: Session, key: str) -> None:
    """Forget the failures of one name or address: the login was good."""
    row = session.get(AttemptRow, key, with_for_update=True)
    if row is not None:
        session.delete(row)


def take_back(session: Session, key: str) -> None:
    """One attempt from this address was good after all; the failures before it still count."""
    row = session.get(AttemptRow, key, with_for_update=True)
    if row is not None:
        row.failures = max(row.failures - 1, 0)
        row.blocked_until = None


def _throttled(until: datetime, moment: datetime) -> LoginThrottled:
    seconds = max((until - moment).total_seconds(), 1.0)
    return LoginThrottled(
        f"too many failed logins of late; wait {round(seconds)} seconds and try again", retry_after=seconds
    )
