"""Slows down guessing: failed logins of strangers by name and by address, and of a known device by itself.

Each failure beyond a few waits twice as long as the one before. A device in which the account logged in before has a
counter of its own (OWASP's device cookies): strangers who guess at a name keep only strangers out.
"""

import ipaddress
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from secondread.service.account_tables import AttemptRow

_FREE = 5  # failures that cost no wait
LONGEST = timedelta(minutes=15)
_FORGOTTEN = timedelta(hours=24)  # after which failures count no more
_SWEPT = 100  # forgotten rows that one attempt takes away


def name_key(hidden: str) -> str:
    """What failures of strangers at one name are counted by. hidden: the name's keyed hash, never the name."""
    return f"name:{hidden}"


def address_keys(address: str) -> list[str]:
    """What failures of strangers from one address are counted by; of IPv6 the network, which one customer has whole."""
    if not address:
        return []
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return [f"address:{address}"[:200]]
    found = getattr(found, "ipv4_mapped", None) or found
    if found.version == 4:
        return [f"address:{found}"]
    return [f"address:{ipaddress.ip_network((found, 64), strict=False)}"]


def begin_attempt(session: Session, keys: list[str], moment: datetime) -> timedelta:
    """Count an attempt as failed before it is tried, so that many at once gain nothing.

    Gives how long to wait where one of the keys is blocked; nothing was counted then. A moment that lies beyond the
    longest wait, by a clock that was set back, is brought to it, so commit in either case.
    """
    rows = [_row(session, key, moment) for key in sorted(keys)]  # always in one order: no deadlock
    if waits := [row.blocked_until - moment for row in rows if row.blocked_until and row.blocked_until > moment]:
        return max(waits)
    for row in rows:
        row.failures += 1
        row.last_at = moment
        row.blocked_until = moment + _wait(row.failures) if row.failures > _FREE else None
    return timedelta()


def forgive(session: Session, key: str) -> None:
    """Forget the failures of one name or device: the login was good."""
    session.execute(delete(AttemptRow).where(AttemptRow.key == key))


def take_back(session: Session, key: str) -> None:
    """One attempt from this address was good after all; the failures before it still count."""
    row = session.get(AttemptRow, key, with_for_update=True)
    if row is not None:
        row.failures = max(row.failures - 1, 0)
        row.blocked_until = None


def sweep(session: Session, moment: datetime) -> None:
    """Take forgotten rows away, those of tomorrow too; in a transaction of its own. What another holds it leaves."""
    old = or_(AttemptRow.last_at < moment - _FORGOTTEN, AttemptRow.last_at > moment + _FORGOTTEN)
    found = session.scalars(select(AttemptRow.key).where(old).limit(_SWEPT).with_for_update(skip_locked=True)).all()
    if found:
        session.execute(delete(AttemptRow).where(AttemptRow.key.in_(found)))


def _row(session: Session, key: str, moment: datetime) -> AttemptRow:
    """The locked row of a key, with nothing in it that the clock does not bear out."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    fresh = insert(AttemptRow).values(key=key, failures=0, last_at=moment)
    # An update, of nothing, locks the row that is there: another login may be about to forget it.
    session.execute(fresh.on_conflict_do_update(index_elements=["key"], set_={"key": key}))
    row = session.get_one(AttemptRow, key, populate_existing=True)
    row.last_at = min(row.last_at, moment)
    if moment - row.last_at > _FORGOTTEN:
        row.failures, row.blocked_until = 0, None
    if row.blocked_until is not None:
        row.blocked_until = min(row.blocked_until, moment + _wait(row.failures))
    return row


def _wait(failures: int) -> timedelta:
    return min(timedelta(seconds=2.0 ** min(failures - _FREE, 20)), LONGEST)
