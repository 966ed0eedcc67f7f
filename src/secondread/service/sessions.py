"""Sessions: which browsers are logged in, kept in the database, so that any process knows them and any may end them.

A cookie holds a random text; the database holds its hash. What ends a session deletes its row: a copy of the cookie is
worth nothing from then on. Devices, the browsers in which an account logged in before, outlast sessions.
"""

import hashlib
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from secondread.errors import CannotWrite, LoginRefused, NotAllowed, NotThere, ServiceError
from secondread.service.account_tables import DeviceRow, SessionRow, UserRow
from secondread.service.database import Database
from secondread.service.moments import Clock, Moment, elapsed, this_moment
from secondread.service.trail import Actor, record
from secondread.service.users import User, by_name, check_person, user_of

LONGEST_SESSION = timedelta(days=7)  # that a session lasts, however busy it is
DEVICE_LASTS = timedelta(days=400)  # the longest that browsers keep a cookie
_TELL_EVERY = timedelta(minutes=1)  # how often the last use of a session is written down
_SWEPT_AFTER = 2 * LONGEST_SESSION  # by the clock; far enough that none that lasts is swept where the clock was set
_MOST_SESSIONS, _MOST_DEVICES = 100, 20  # of one account; the oldest go
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits
# Built once: it is asked with every request, since a session that was ended, by any process, is over at that moment.
_ACCOUNT = (
    select(SessionRow, UserRow)
    .join(UserRow, UserRow.id == SessionRow.user_id)
    .where(SessionRow.sha256 == bindparam("sha256"))
)


@dataclass(frozen=True)
class LoginSession:
    """What is known of a session."""

    id: int
    user: str
    created_at: datetime
    seen_at: datetime  # the last request, to a minute
    expires_at: datetime  # unless it is used before then; a week after the login in any case
    address: str
    browser: str  # as 'Firefox, Linux'; '' where it did not say


@dataclass(frozen=True)
class Begun:
    """What the cookies of a browser that has logged in hold."""

    secret: str
    device: str


class Sessions:
    """Sessions in the database. idle: how long one lasts without a request."""

    def __init__(self, database: Database, *, idle: timedelta, clock: Clock = this_moment):
        self._database = database
        self._idle = idle
        self._clock = clock

    def begin(
        self, user: User, *, address: str = "", browser: str = "", device: str = "", instead_of: str = ""
    ) -> Begun:
        """A new session of an account that has just proved itself, under a text that nobody had before.

        device: what the browser's cookie of devices holds, if anything. instead_of: the session that this browser had.
        Raises LoginRefused where the account was changed since, so that its sessions ended.
        """
        secret, moment = secrets.token_urlsafe(32), self._clock()
        device = device if _SECRET.fullmatch(device) else secrets.token_urlsafe(32)
        with self._database.begin() as session:
            row = session.get(UserRow, user.id, with_for_update=True)
            if row is None or row.disabled_at is not None or row.session_version != user.session_version:
                raise LoginRefused("the account was changed at this moment; log in again")
            self._sweep(session, user.id, moment)
            session.execute(delete(SessionRow).where(SessionRow.sha256 == _hash(instead_of)))
            session.add(
                SessionRow(
                    sha256=_hash(secret),
                    user_id=user.id,
                    created_at=moment.at,
                    seen_at=moment.at,
                    seen_ticks=moment.ticks,
                    boot=moment.boot,
                    address=address[:64],
                    browser=browser[:100],
                )
            )
            _note_device(session, user.id, device, moment.at)
        return Begun(secret, device)

    def account_of(self, secret: str, *, address: str = "") -> tuple[User, LoginSession] | None:
        """The account of a cookie's text, and its session; None where there is none, or where it is over."""
        if not _SECRET.fullmatch(secret):
            return None
        with self._database.reading() as session:
            found = session.execute(_ACCOUNT, {"sha256": _hash(secret)}).first()
        moment = self._clock()
        if found is None or found[1].disabled_at is not None or not self._lasts(found[0], moment):
            return None
        row, user = found
        since = elapsed(_seen(row), moment)
        if max(since, abs(moment.at - row.seen_at)) >= _TELL_EVERY:  # the latter also where the clock was set
            self._tell(row, since, moment, address)
        return user_of(user), self._session(row, user.name, moment)

    def find(self, user: str | None = None, *, actor: Actor) -> list[LoginSession]:
        """Those of one account that last, the latest used first; by default one's own.

        Raises NotThere, or NotAllowed for a token, and for those of others unless an administrator asks.
        """
        if user is None or not actor.may("admin"):
            check_person(actor, "to see your sessions")
            if (user or actor.name) != actor.name:
                raise NotAllowed("the sessions of others are for administrators")
        moment = self._clock()
        with self._database.reading() as session:
            owner = by_name(session, user or actor.name)
            rows = session.scalars(
                select(SessionRow).where(SessionRow.user_id == owner.id).order_by(SessionRow.seen_at.desc())
            )
            return [self._session(row, owner.name, moment) for row in rows if self._lasts(row, moment)]

    def end(self, secret: str, *, actor: Actor) -> None:
        """Log out: the session of this cookie is over, wherever the cookie was copied to."""
        with self._database.begin() as session:
            session.execute(delete(SessionRow).where(SessionRow.sha256 == _hash(secret)))
            record(session, actor, "logout", f"user:{actor.name}")

    def end_one(self, session_id: int, *, actor: Actor) -> None:
        """End one of one's own sessions, or as an administrator anyone's. Raises NotThere, NotAllowed."""
        if not actor.may("admin"):
            check_person(actor, "to end a session")
        with self._database.begin() as session:
            row = session.get(SessionRow, session_id) if abs(session_id) < 2**31 else None
            user = session.get(UserRow, row.user_id) if row is not None else None
            if row is None or user is None or (user.name != actor.name and not actor.may("admin")):
                raise NotThere("there is no such session, or it is over")
            session.execute(delete(SessionRow).where(SessionRow.id == row.id))
            record(session, actor, "session.ended", f"user:{user.name}", number=row.id)

    def end_others(self, but: int, *, actor: Actor) -> None:
        """End all of one's own sessions but that of this number. Raises NotAllowed for a token, or without login."""
        check_person(actor, "to end sessions")
        with self._database.begin() as session:
            user = by_name(session, actor.name)
            session.execute(delete(SessionRow).where(SessionRow.user_id == user.id, SessionRow.id != but))
            record(session, actor, "sessions.others_ended", f"user:{user.name}")

    def _lasts(self, row: SessionRow, moment: Moment) -> bool:
        since = elapsed(_seen(row), moment)
        return since < self._idle and timedelta(seconds=row.age) + since < LONGEST_SESSION

    def _session(self, row: SessionRow, name: str, moment: Moment) -> LoginSession:
        since = elapsed(_seen(row), moment)
        left = min(self._idle, LONGEST_SESSION - timedelta(seconds=row.age)) - since
        seen = min(row.seen_at, moment.at)
        return LoginSession(row.id, name, row.created_at, seen, moment.at + left, row.address, row.browser)

    def _tell(self, row: SessionRow, since: timedelta, moment: Moment, address: str) -> None:
        """Write down that it was used, and how old it is by now. Where nothing can be written, reading goes on."""
        values = {"seen_at": moment.at, "seen_ticks": moment.ticks, "boot": moment.boot}
        values |= {"age": row.age + since.total_seconds(), "address": address[:64] or row.address}
        with suppress(ServiceError, CannotWrite), self._database.begin() as session:
            session.execute(update(SessionRow).where(SessionRow.id == row.id).values(**values))

    def _sweep(self, session: Session, user_id: int, moment: Moment) -> None:
        """Take away what is over: of everyone what is long over, of this account all, and the oldest of too many."""
        session.execute(delete(SessionRow).where(SessionRow.created_at < moment.at - _SWEPT_AFTER))
        rows = session.scalars(
            select(SessionRow).where(SessionRow.user_id == user_id).order_by(SessionRow.seen_at.desc())
        ).all()
        last = [row.id for row in rows if self._lasts(row, moment)][: _MOST_SESSIONS - 1]
        over = [row.id for row in rows if row.id not in last]
        session.execute(delete(SessionRow).where(SessionRow.id.in_(over)))


def end_everywhere(database: Database) -> None:
    """End every session there is: in a backup that is brought back, also those that were ended since it was made."""
    if inspect(database.engine).has_table(SessionRow.__tablename__):  # a backup may be older than sessions are
        with database.begin() as session:
            session.execute(delete(SessionRow))


def end_all(session: Session, user_id: int) -> None:
    """End every session of an account and forget its devices, in this transaction."""
    session.execute(delete(SessionRow).where(SessionRow.user_id == user_id))
    session.execute(delete(DeviceRow).where(DeviceRow.user_id == user_id))


def is_known_device(session: Session, user_id: int, device: str, moment: datetime) -> bool:
    """Whether the account logged in with this device before; as quick for an account that is none."""
    row = session.get(DeviceRow, (user_id, device_hash(device)))
    return row is not None and moment - row.seen_at < DEVICE_LASTS


def device_hash(device: str) -> str:
    """What is kept of a device's cookie."""
    return _hash(device)


def _note_device(session: Session, user_id: int, device: str, moment: datetime) -> None:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    fresh = insert(DeviceRow).values(user_id=user_id, sha256=_hash(device), seen_at=moment)
    session.execute(fresh.on_conflict_do_update(index_elements=["user_id", "sha256"], set_={"seen_at": moment}))
    latest = select(DeviceRow.sha256).where(DeviceRow.user_id == user_id).order_by(DeviceRow.seen_at.desc())
    gone = session.scalars(latest.offset(_MOST_DEVICES)).all()
    session.execute(delete(DeviceRow).where(DeviceRow.user_id == user_id, DeviceRow.sha256.in_(gone)))


def _seen(row: SessionRow) -> Moment:
    return Moment(row.seen_at, row.seen_ticks, row.boot)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
