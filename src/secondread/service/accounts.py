"""People who may use the service: accounts, passwords, logging in.

Every rule of accounts stands here, beside those of sessions and tokens in their modules: who may disable whom, who is
first and who is last. Pages, API and commands call these functions and hold no rule of their own.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from secondread.errors import Conflict, LoginRefused, LoginThrottled, NotAllowed, UnknownName, UsageError
from secondread.service.account_tables import UserRow
from secondread.service.database import Database
from secondread.service.moments import Clock, this_moment
from secondread.service.passwords import Passwords, checked_password, normal
from secondread.service.sessions import device_hash, end_all, is_known_device
from secondread.service.statements import ANY_ACCOUNT
from secondread.service.tables import now
from secondread.service.throttle import address_keys, begin_attempt, forgive, name_key, sweep, take_back
from secondread.service.tokens import revoke_all
from secondread.service.trail import ROLES, Actor, record
from secondread.service.users import Hanging, User, by_name, check_person, plain_name, user_of

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_FIRST = "the first account has to be an administrator's, or nobody could administer this server"
_WRONG = "name or password is wrong, or the account is disabled"
_HIDDEN = 12  # hexadecimal digits of a name's keyed hash: enough to tell names apart


class Accounts:
    """Accounts in the database. Names are lower case; passwords are hashed with Argon2id (RFC 9106).

    secret: of this data folder; what stands for a name that is nobody's is made with it.
    """

    def __init__(
        self,
        database: Database,
        *,
        secret: Callable[[], bytes],
        hasher: PasswordHasher | None = None,
        clock: Clock = this_moment,
    ):
        self._database = database
        self._secret = secret
        self._passwords = Passwords(hasher or PasswordHasher())
        self._clock = clock

    def add(self, name: str, *, role: str, password: str | None, subject: str | None = None, actor: Actor) -> User:
        """A new account. password: None for one that signs in through OpenID Connect, as `subject`.

        The first one is an administrator's. Raises UsageError (name, password), UnknownName (role), or Conflict where
        the name is taken or there is no administrator yet.
        """
        name = _checked_name(name)
        _check_role(role)
        if password is None and subject is None:
            raise UsageError("an account needs a password or a subject of the sign-in provider")
        hashed = "" if password is None else self._passwords.hash(checked_password(password, name))
        try:
            with self._database.begin() as session:
                if role != "administrator" and not _administrators(session):
                    raise Conflict(_FIRST)
                row = UserRow(name=name, role=role, password_hash=hashed, subject=subject)
                session.add(row)
                session.flush()
                record(session, actor, "user.added", f"user:{name}", role=role)
                return user_of(row)
        except IntegrityError as error:
            raise Conflict(f"the name '{name}' or its subject is taken; choose another") from error

    def users(self) -> list[User]:
        """Every account, by name."""
        with self._database.reading() as session:
            return [user_of(row) for row in session.scalars(select(UserRow).order_by(UserRow.name))]

    def any_there(self) -> bool:
        """Whether there is an account, disabled ones among them: asked with every request before the first is made."""
        with self._database.looking() as connection:
            return ANY_ACCOUNT.run(connection, {}).first() is not None

    def get(self, name: str) -> User:
        """The account of that name. Raises NotThere."""
        with self._database.reading() as session:
            return user_of(by_name(session, name))

    def has_administrator(self) -> bool:
        """Whether anyone could let others in: needed before the service listens to other machines."""
        with self._database.reading() as session:
            return _administrators(session) > 0

    def set_password(self, name: str, password: str, *, end_tokens: bool = False, actor: Actor) -> User:
        """A new password for an account; every session of it ends, and what strangers guessed at it is forgotten.

        end_tokens: its API tokens end too. Those of another's account always do: whoever sets a password for another
        does so because it was lost or got out, and a token that an intruder made would outlive it.
        Raises NotThere, UsageError.
        """
        hashed = self._passwords.hash(checked_password(password, plain_name(name)))
        with self._database.begin() as session:
            row = by_name(session, name)
            return self._with_password(session, row, hashed, actor, end_tokens or row.name != plain_name(actor.name))

    def change_own_password(
        self, old: str, new: str, *, end_tokens: bool = False, device: str = "", actor: Actor
    ) -> User:
        """A new password for the one who is logged in and knows the old one; every session of the account ends.

        end_tokens: so do its API tokens. device: as of `log_in`. Raises NotAllowed for a token, or without login;
        UsageError, and LoginRefused as `log_in`.
        """
        check_person(actor, "to change a password")
        if not old or not new:
            raise UsageError("give the password until now and the new one")
        proved = self._prove(actor.name, old, address=actor.address, device=device)
        hashed = self._passwords.hash(checked_password(new, actor.name))
        with self._database.begin() as session:
            row = proved.settle(session)
            return self._with_password(session, row, hashed, actor, end_tokens)

    def set_opinion_first(self, wanted: bool, *, actor: Actor) -> User:
        """Withhold answers from oneself until one's own opinion is given, from now on; or no more.

        Raises NotAllowed for a token, or without login.
        """
        check_person(actor, "to choose that")
        with self._database.begin() as session:
            row = by_name(session, actor.name)
            row.opinion_first = wanted
            record(session, actor, "user.opinion_first", f"user:{row.name}", on=wanted)
            return user_of(row)

    def set_hanging(self, wanted: Hanging, *, actor: Actor) -> User:
        """How images hang for this person from now on. Raises NotAllowed for a token, or without login."""
        check_person(actor, "to choose that")
        with self._database.begin() as session:
            row = by_name(session, actor.name)
            row.hanging = str(wanted)
            return user_of(row)

    def set_role(self, name: str, role: str, *, actor: Actor) -> User:
        """Another role; every session of the account ends. Raises NotThere, UnknownName, Conflict."""
        _check_role(role)
        with self._database.begin() as session:
            row = by_name(session, name)
            if row.role == "administrator" and role != "administrator":
                _check_not_last(session, row)
            row.role = role
            return self._changed(session, row, "user.role_set", actor, role=role)

    def disable(self, name: str, *, actor: Actor) -> User:
        """Let the account do nothing more: its sessions and tokens end; `enable` brings none of them back.

        Raises NotThere, NotAllowed for one's own, and Conflict for the last administrator's.
        """
        with self._database.begin() as session:
            row = by_name(session, name)
            if row.name == actor.name.lower():
                raise NotAllowed("your own account is disabled by another administrator, not by yourself")
            if row.role == "administrator":
                _check_not_last(session, row)
            row.disabled_at = row.disabled_at or now()
            return self._changed(session, row, "user.disabled", actor, **_told(revoke_all(session, row.id)))

    def enable(self, name: str, *, actor: Actor) -> User:
        """Undo `disable`. Raises NotThere."""
        with self._database.begin() as session:
            row = by_name(session, name)
            row.disabled_at = None
            return self._changed(session, row, "user.enabled", actor)

    def end_sessions(self, name: str, *, actor: Actor) -> User:
        """Log the account out everywhere. Raises NotThere."""
        with self._database.begin() as session:
            return self._changed(session, by_name(session, name), "user.sessions_ended", actor)

    def log_in(self, name: str, password: str, *, address: str = "", device: str = "") -> User:
        """The account whose name and password these are.

        device: what the browser's cookie of devices holds. One in which this account logged in before is let through
        while strangers are not, and has a counter of its own.
        Raises LoginThrottled after several failures of this name or from this address, else LoginRefused; neither the
        answer nor the time it takes tells whether the name exists. Raises Busy where many log in at once.
        """
        proved = self._prove(name, password, address=address, device=device)
        with self._database.begin() as session:
            row = proved.settle(session)
            row.last_login_at = now()
            record(session, Actor(row.name, "login", address), "login", f"user:{row.name}")
            return user_of(row)

    def log_in_by_subject(self, subject: str, *, address: str = "") -> User:
        """The account that the sign-in provider vouches for. Raises LoginRefused."""
        with self._database.begin() as session:
            row = session.scalar(select(UserRow).where(UserRow.subject == subject))
            if row is None or row.disabled_at is not None:
                raise LoginRefused("no account here belongs to this sign-in; ask an administrator for one")
            row.last_login_at = now()
            record(session, Actor(row.name, "provider", address), "login", f"user:{row.name}")
            return user_of(row)

    def _prove(self, name: str, password: str, *, address: str, device: str) -> "_Proved":
        name, moment = plain_name(name), self._clock().at
        hidden = self._hidden(name)
        with self._database.begin() as session:
            row = session.scalar(select(UserRow).where(UserRow.name == name))
            known = is_known_device(session, row.id if row is not None else 0, device, moment)
            if row is not None and known:
                guesser, others = f"device:{row.id}:{device_hash(device)}", []
            else:
                guesser, others = name_key(hidden), address_keys(address)
            wait = begin_attempt(session, [guesser, *others], moment)
        if wait:
            seconds = max(wait.total_seconds(), 1.0)
            raise LoginThrottled(
                f"too many failed logins of late; wait {round(seconds)} seconds and try again", retry_after=seconds
            )
        hashed = row.password_hash if row is not None else ""
        right = self._passwords.match(hashed, password)
        if row is None or not right or row.disabled_at is not None:
            # What was typed as a name may be a password: what is nobody's name is nowhere written down.
            told = row.name if row is not None else f"#{hidden}"
            with self._database.begin() as session:
                record(session, Actor(told, "login", address), "login.refused", f"user:{told}")
            with self._database.begin() as session:
                sweep(session, moment)
            raise LoginRefused(_WRONG)
        fresh = self._passwords.hash(normal(password)) if self._passwords.outdated(hashed, password) else None
        return _Proved(row.id, hashed, fresh, guesser, tuple(others))

    def _with_password(self, session: Session, row: UserRow, hashed: str, actor: Actor, end_tokens: bool) -> User:
        row.password_hash = hashed
        forgive(session, name_key(self._hidden(row.name)))
        ended = revoke_all(session, row.id) if end_tokens else []
        return self._changed(session, row, "user.password_set", actor, **_told(ended))

    def _changed(self, session: Session, row: UserRow, action: str, actor: Actor, **detail: Any) -> User:
        row.session_version += 1
        session.flush()
        end_all(session, row.id)
        record(session, actor, action, f"user:{row.name}", **detail)
        return user_of(row)

    def _hidden(self, name: str) -> str:
        """What stands for a name where the name itself must not be written down."""
        return hmac.new(self._secret(), name.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_HIDDEN]


@dataclass(frozen=True)
class _Proved:
    """That somebody knows the password of an account, until a transaction makes use of it."""

    user_id: int
    hashed: str  # the password's hash that they matched
    fresh: str | None  # a better one
    guesser: str  # what the attempt was counted by
    others: tuple[str, ...]

    def settle(self, session: Session) -> UserRow:
        """The account's row, locked, with the attempt counted as good. Raises LoginRefused if it changed meanwhile."""
        row = session.get_one(UserRow, self.user_id, with_for_update=True)
        if row.password_hash != self.hashed or row.disabled_at is not None:
            raise LoginRefused(_WRONG)
        if self.fresh is not None:
            row.password_hash = self.fresh
        for key in self.others:  # in the order of begin_attempt: no deadlock
            take_back(session, key)
        forgive(session, self.guesser)
        return row


def _told(ended: list[int]) -> dict[str, Any]:
    """For the trail: which tokens ended with a change, if any did."""
    return {"tokens_ended": ended} if ended else {}


def _checked_name(name: str) -> str:
    plain = plain_name(name)
    if not _NAME.fullmatch(plain) or plain in ("local", "system"):  # these stand for no account in the trail
        raise UsageError(
            f"'{name[:100]}' is no name for an account; use letters, digits and . _ @ + -, but not 'local'"
        )
    return plain


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UnknownName.of("role", role, ROLES)


def _administrators(session: Session) -> int:
    statement = select(func.count()).where(UserRow.role == "administrator", UserRow.disabled_at.is_(None))
    return session.scalar(statement) or 0


def _check_not_last(session: Session, row: UserRow) -> None:
    # The rows are locked, or two administrators could send each other away at once.
    statement = select(UserRow.id).where(UserRow.role == "administrator", UserRow.disabled_at.is_(None))
    others = [found for found in session.scalars(statement.order_by(UserRow.id).with_for_update()) if found != row.id]
    if not others:
        raise Conflict(f"'{row.name}' is the last administrator; make another one first")
