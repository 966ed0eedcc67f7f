"""People and programs that may use the service: accounts, passwords, sessions, API tokens.

Every rule of accounts stands here: who may disable whom, whose tokens one may see, make or revoke, who is first and who
is last. Pages, API and commands call these functions and hold no rule of their own.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from secondread.errors import Conflict, LoginRefused, NotAllowed, NotThere, UnknownName, UsageError
from secondread.service.database import Database
from secondread.service.tables import TokenRow, UserRow, now, record_of
from secondread.service.throttle import begin_attempt, forgive, keys_of, take_back
from secondread.service.trail import ROLES, SCOPES, Actor, record, scopes_of

LEAST_PASSWORD, _LONGEST_PASSWORD = 12, 1000  # characters; the latter bounds the work of hashing
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_TOKEN_START = "sr_"
_TELL_USE_EVERY = timedelta(minutes=1)
_FIRST = "the first account has to be an administrator's, or nobody could administer this server"
_WRONG = "name or password is wrong, or the account is disabled"


@dataclass(frozen=True)
class User:
    """An account."""

    id: int
    name: str
    role: str
    session_version: int  # goes into the session's cookie; sessions of an older one are over
    created_at: datetime
    disabled_at: datetime | None
    last_login_at: datetime | None
    has_password: bool

    @property
    def scopes(self) -> frozenset[str]:
        """What it may do."""
        return scopes_of(self.role)


@dataclass(frozen=True)
class Token:
    """What is known of an API token; the token itself was shown once."""

    id: int
    user: str
    name: str
    start: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class Accounts:
    """Accounts in the database. Names are lower case; passwords are hashed with Argon2id (RFC 9106)."""

    def __init__(self, database: Database, *, hasher: PasswordHasher | None = None):
        self._database = database
        self._hasher = hasher or PasswordHasher()

    def add(self, name: str, *, role: str, password: str | None, subject: str | None = None, actor: Actor) -> User:
        """A new account. password: None for one that signs in through OpenID Connect, as `subject`.

        The first one is an administrator's. Raises UsageError (name, password), UnknownName (role), or Conflict where
        the name is taken or there is no administrator yet.
        """
        name = _checked_name(name)
        _check_role(role)
        if password is None and subject is None:
            raise UsageError("an account needs a password or a subject of the sign-in provider")
        hashed = "" if password is None else self._hasher.hash(_checked_password(password, name))
        try:
            with self._database.begin() as session:
                if role != "administrator" and not _administrators(session):
                    raise Conflict(_FIRST)
                row = UserRow(name=name, role=role, password_hash=hashed, subject=subject)
                session.add(row)
                session.flush()
                record(session, actor, "user.added", f"user:{name}", role=role)
                return _user(row)
        except IntegrityError as error:
            raise Conflict(f"the name '{name}' or its subject is taken; choose another") from error

    def users(self) -> list[User]:
        """Every account, by name."""
        with self._database.reading() as session:
            return [_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.name))]

    def get(self, name: str) -> User:
        """The account of that name. Raises NotThere."""
        with self._database.reading() as session:
            return _user(_by_name(session, name))

    def has_administrator(self) -> bool:
        """Whether anyone could let others in: needed before the service listens to other machines."""
        with self._database.reading() as session:
            return _administrators(session) > 0

    def set_password(self, name: str, password: str, *, actor: Actor) -> User:
        """A new password for another's account; every session of it ends. Raises NotThere, UsageError."""
        hashed = self._hasher.hash(_checked_password(password, name.lower()))
        with self._database.begin() as session:
            row = _by_name(session, name)
            row.password_hash = hashed
            return self._changed(session, row, "user.password_set", actor)

    def change_own_password(self, old: str, new: str, *, actor: Actor) -> User:
        """A new password for the one who is logged in and knows the old one; every session of the account ends.

        Raises NotAllowed for a token, or without login; UsageError, and LoginRefused as `log_in`.
        """
        _check_person(actor, "to change a password")
        if not old or not new:
            raise UsageError("give the password until now and the new one")
        self.log_in(actor.name, old, address=actor.address)
        return self.set_password(actor.name, new, actor=actor)

    def end_own_sessions(self, *, actor: Actor) -> User:
        """Log oneself out everywhere. Raises NotAllowed for a token, or without login."""
        _check_person(actor, "to end sessions")
        return self.end_sessions(actor.name, actor=actor)

    def set_role(self, name: str, role: str, *, actor: Actor) -> User:
        """Another role; every session of the account ends. Raises NotThere, UnknownName, Conflict."""
        _check_role(role)
        with self._database.begin() as session:
            row = _by_name(session, name)
            if row.role == "administrator" and role != "administrator":
                _check_not_last(session, row)
            row.role = role
            return self._changed(session, row, "user.role_set", actor, role=role)

    def disable(self, name: str, *, actor: Actor) -> User:
        """Let the account do nothing more: sessions end, tokens are refused.

        Raises NotThere, NotAllowed for one's own, and Conflict for the last administrator's.
        """
        with self._database.begin() as session:
            row = _by_name(session, name)
            if row.name == actor.name.lower():
                raise NotAllowed("your own account is disabled by another administrator, not by yourself")
            if row.role == "administrator":
                _check_not_last(session, row)
            row.disabled_at = row.disabled_at or now()
            return self._changed(session, row, "user.disabled", actor)

    def enable(self, name: str, *, actor: Actor) -> User:
        """Undo `disable`. Raises NotThere."""
        with self._database.begin() as session:
            row = _by_name(session, name)
            row.disabled_at = None
            return self._changed(session, row, "user.enabled", actor)

    def end_sessions(self, name: str, *, actor: Actor) -> User:
        """Log the account out everywhere. Raises NotThere."""
        with self._database.begin() as session:
            return self._changed(session, _by_name(session, name), "user.sessions_ended", actor)

    def log_in(self, name: str, password: str, *, address: str = "") -> User:
        """The account whose name and password these are.

        Raises LoginThrottled after several failures of this name or from this address, else LoginRefused; the time it
        takes does not tell whether the name exists.
        """
        name = name.strip().lower()[:100]
        actor = Actor(name, "login", address)
        with self._database.begin() as session:
            begin_attempt(session, keys_of(name, address))
        with self._database.reading() as session:
            row = session.scalar(select(UserRow).where(UserRow.name == name))
        known = row.password_hash if row is not None and row.password_hash else self._nobody
        right = self._verify(known, password[:_LONGEST_PASSWORD])
        if row is None or not row.password_hash or not right or row.disabled_at is not None:
            with self._database.begin() as session:
                record(session, actor, "login.refused", f"user:{name}")
            raise LoginRefused(_WRONG)
        rehashed = self._hasher.hash(password) if self._hasher.check_needs_rehash(known) else None
        with self._database.begin() as session:
            row = _by_name(session, name)
            row.last_login_at = now()
            if rehashed is not None and row.password_hash == known:
                row.password_hash = rehashed
            forgive(session, f"name:{name}")
            if address:
                take_back(session, f"address:{address}"[:200])
            record(session, actor, "login", f"user:{name}")
            return _user(row)

    def log_in_by_subject(self, subject: str, *, address: str = "") -> User:
        """The account that the sign-in provider vouches for. Raises LoginRefused."""
        with self._database.begin() as session:
            row = session.scalar(select(UserRow).where(UserRow.subject == subject))
            if row is None or row.disabled_at is not None:
                raise LoginRefused("no account here belongs to this sign-in; ask an administrator for one")
            row.last_login_at = now()
            record(session, Actor(row.name, "provider", address), "login", f"user:{row.name}")
            return _user(row)

    def of_session(self, user_id: int, session_version: int) -> User | None:
        """The account of a session's cookie; None where that session is over."""
        with self._database.reading() as session:
            row = session.get(UserRow, user_id)
            if row is None or row.disabled_at is not None or row.session_version != session_version:
                return None
            return _user(row)

    def add_token(
        self, user: str | None = None, *, name: str, scopes: Iterable[str], days: int | None = 90, actor: Actor
    ) -> tuple[str, Token]:
        """A new token and what is known of it; it cannot be shown again. days: until it expires; None never.

        user: whose it is; by default the actor's own. Raises NotThere, UnknownName (scope), UsageError, or NotAllowed
        where the role has not these scopes, the actor is a token, or it is for another and the actor no administrator.
        """
        if _is_token(actor):
            raise NotAllowed("a token cannot make another one; log in with name and password")
        if user is None and actor.via == "local":
            raise UsageError("a token belongs to an account; name it in 'user'")
        user = user or actor.name
        if user != actor.name and not actor.may("admin"):
            raise NotAllowed("tokens for others are made by administrators")
        wanted = sorted(set(scopes), key=list(SCOPES).index) if set(scopes) <= set(SCOPES) else None
        if wanted is None:
            raise UnknownName.of("scope", sorted(set(scopes) - set(SCOPES))[0], SCOPES)
        if not wanted or not name.strip() or len(name) > 100:
            raise UsageError("a token needs a name of at most 100 characters and at least one scope")
        if days is not None and not 1 <= days <= 3650:
            raise UsageError(f"a token lasts 1 to 3650 days, not {days}")
        secret = _TOKEN_START + secrets.token_urlsafe(32)  # 256 bits: no need to hash it slowly
        with self._database.begin() as session:
            owner = _by_name(session, user)
            if beyond := sorted(set(wanted) - scopes_of(owner.role)):
                raise NotAllowed(f"a {owner.role} may not {', '.join(beyond)}; leave it out or change the role")
            row = TokenRow(
                user_id=owner.id,
                name=name.strip(),
                start=secret[:8],
                sha256=_token_hash(secret),
                scopes=wanted,
                expires_at=None if days is None else now() + timedelta(days=days),
            )
            session.add(row)
            session.flush()
            record(session, actor, "token.added", f"user:{owner.name}", token=row.id, scopes=wanted)
            return secret, _token(row, owner)

    def tokens(self, user: str | None = None, *, actor: Actor) -> list[Token]:
        """Tokens of one account, or for an administrator of everyone, else one's own. Raises NotThere, NotAllowed."""
        if not actor.may("admin"):
            if (user or actor.name) != actor.name:
                raise NotAllowed("the tokens of others are for administrators")
            user = actor.name
        with self._database.reading() as session:
            statement = select(TokenRow, UserRow).join(UserRow, UserRow.id == TokenRow.user_id).order_by(TokenRow.id)
            if user is not None:
                statement = statement.where(UserRow.id == _by_name(session, user).id)
            return [_token(row, owner) for row, owner in session.execute(statement)]

    def revoke_token(self, token_id: int, *, actor: Actor) -> Token:
        """End a token for good: one's own, or for an administrator anyone's. Raises NotThere, NotAllowed."""
        if _is_token(actor) and not actor.may("admin"):
            raise NotAllowed("a token cannot revoke another one; log in with name and password")
        with self._database.begin() as session:
            row = session.get(TokenRow, token_id, with_for_update=True) if abs(token_id) < 2**31 else None
            user = session.get(UserRow, row.user_id) if row is not None else None
            if row is None or user is None or (user.name != actor.name and not actor.may("admin")):
                raise NotThere(f"there is no token {token_id}; `secondread token list` shows those there are")
            row.revoked_at = row.revoked_at or now()
            record(session, actor, "token.revoked", f"user:{user.name}", token=row.id)
            return _token(row, user)

    def of_token(self, secret: str) -> tuple[User, frozenset[str]]:
        """The account of a token, and what the token may do: never more than its account's role now allows.

        Raises LoginRefused for one that is unknown, revoked or expired, or whose account is disabled.
        """
        moment = now()
        with self._database.reading() as session:
            row = session.scalar(select(TokenRow).where(TokenRow.sha256 == _token_hash(secret)))
            user = session.get(UserRow, row.user_id) if row is not None else None
        if row is None or user is None or row.revoked_at is not None or user.disabled_at is not None:
            raise LoginRefused("this token is not known here or was revoked; make another with `secondread token add`")
        if row.expires_at is not None and row.expires_at <= moment:
            raise LoginRefused("this token has expired; make another with `secondread token add`")
        if row.last_used_at is None or moment - row.last_used_at > _TELL_USE_EVERY:
            with self._database.begin() as session:
                session.get_one(TokenRow, row.id).last_used_at = moment
        return _user(user), frozenset(row.scopes) & scopes_of(user.role)

    @cached_property
    def _nobody(self) -> str:
        """A hash to check against where there is no account, so that it takes as long."""
        return self._hasher.hash(secrets.token_urlsafe(16))

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _changed(self, session: Session, row: UserRow, action: str, actor: Actor, **detail: str) -> User:
        row.session_version += 1
        session.flush()
        record(session, actor, action, f"user:{row.name}", **detail)
        return _user(row)


def _checked_name(name: str) -> str:
    name = name.strip().lower()
    if not _NAME.fullmatch(name) or name in ("local", "system"):  # these stand for no account in the trail
        raise UsageError(
            f"'{name[:100]}' is no name for an account; use letters, digits and . _ @ + -, but not 'local'"
        )
    return name


def _checked_password(password: str, name: str) -> str:
    if not LEAST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise UsageError(f"a password has {LEAST_PASSWORD} to {_LONGEST_PASSWORD} characters; a few words do well")
    if len(set(password)) < 5 or (len(name) > 3 and name in password.lower()):
        raise UsageError("this password is easily guessed: it repeats a few characters or holds the name")
    return password


def _is_token(actor: Actor) -> bool:
    return actor.via.startswith("token:")


def _check_person(actor: Actor, why: str) -> None:
    if actor.via != "session":
        raise NotAllowed(f"log in with name and password {why}")


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UnknownName.of("role", role, ROLES)


def _by_name(session: Session, name: str) -> UserRow:
    row = session.scalar(select(UserRow).where(UserRow.name == name.replace("\0", "").strip().lower()))
    if row is None:
        raise NotThere(f"there is no account '{name[:100]}'; `secondread user list` shows those there are")
    return row


def _administrators(session: Session) -> int:
    statement = select(func.count()).where(UserRow.role == "administrator", UserRow.disabled_at.is_(None))
    return session.scalar(statement) or 0


def _check_not_last(session: Session, row: UserRow) -> None:
    # The rows are locked, or two administrators could send each other away at once.
    statement = select(UserRow.id).where(UserRow.role == "administrator", UserRow.disabled_at.is_(None))
    others = [found for found in session.scalars(statement.order_by(UserRow.id).with_for_update()) if found != row.id]
    if not others:
        raise Conflict(f"'{row.name}' is the last administrator; make another one first")


def _token_hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _user(row: UserRow) -> User:
    return record_of(User, row, has_password=bool(row.password_hash))


def _token(row: TokenRow, owner: UserRow) -> Token:
    return record_of(Token, row, user=owner.name)
