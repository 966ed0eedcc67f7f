"""API tokens: made for programs, shown once, kept as a hash; whose one may see, make or end."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from secondread.errors import LoginRefused, NotAllowed, NotThere, UnknownName, UsageError
from secondread.service.account_tables import TokenRow, UserRow
from secondread.service.database import Database
from secondread.service.moments import Clock, this_moment
from secondread.service.tables import now, record_of
from secondread.service.trail import SCOPES, Actor, record, scopes_of
from secondread.service.users import User, by_name, is_token, user_of

_START = "sr_"
_TELL_USE_EVERY = timedelta(minutes=1)
_OF_USE = ("scopes", "expires_at", "revoked_at", "last_used_at")
_USERS, _TOKENS = (cast(Table, kind.__table__) for kind in (UserRow, TokenRow))
# Built once: it is asked with every request, since a token that was revoked, by any process, ends at that moment.
_ACCOUNT = (
    select(*_USERS.c, _TOKENS.c.id.label("token"), *(_TOKENS.c[name] for name in _OF_USE))
    .join_from(_TOKENS, _USERS, _USERS.c.id == _TOKENS.c.user_id)
    .where(_TOKENS.c.sha256 == bindparam("sha256"))
)


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


class Tokens:
    """Tokens in the database."""

    def __init__(self, database: Database, *, clock: Clock = this_moment):
        self._database = database
        self._clock = clock

    def add(
        self, user: str | None = None, *, name: str, scopes: Iterable[str], days: int | None = 90, actor: Actor
    ) -> tuple[str, Token]:
        """A new token and what is known of it; it cannot be shown again. days: until it expires; None never.

        user: whose it is; by default the actor's own. Raises NotThere, UnknownName (scope), UsageError, or NotAllowed
        where the role has not these scopes, the actor is a token, or it is for another and the actor no administrator.
        """
        if is_token(actor):
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
        secret = _START + secrets.token_urlsafe(32)  # 256 bits: no need to hash it slowly
        with self._database.begin() as session:
            owner = by_name(session, user)
            if beyond := sorted(set(wanted) - scopes_of(owner.role)):
                raise NotAllowed(f"a {owner.role} may not {', '.join(beyond)}; leave it out or change the role")
            row = TokenRow(
                user_id=owner.id,
                name=name.strip(),
                start=secret[:8],
                sha256=_hash(secret),
                scopes=wanted,
                expires_at=None if days is None else self._clock().at + timedelta(days=days),
            )
            session.add(row)
            session.flush()
            record(session, actor, "token.added", f"user:{owner.name}", token=row.id, scopes=wanted)
            return secret, _token(row, owner)

    def find(self, user: str | None = None, *, actor: Actor) -> list[Token]:
        """Those of one account, or for an administrator of everyone, else one's own. Raises NotThere, NotAllowed."""
        if not actor.may("admin"):
            if (user or actor.name) != actor.name:
                raise NotAllowed("the tokens of others are for administrators")
            user = actor.name
        with self._database.reading() as session:
            statement = select(TokenRow, UserRow).join(UserRow, UserRow.id == TokenRow.user_id).order_by(TokenRow.id)
            if user is not None:
                statement = statement.where(UserRow.id == by_name(session, user).id)
            return [_token(row, owner) for row, owner in session.execute(statement)]

    def revoke(self, token_id: int, *, actor: Actor) -> Token:
        """End a token for good: one's own, or for an administrator anyone's. Raises NotThere, NotAllowed."""
        if is_token(actor) and not actor.may("admin"):
            raise NotAllowed("a token cannot revoke another one; log in with name and password")
        with self._database.begin() as session:
            row = session.get(TokenRow, token_id, with_for_update=True) if abs(token_id) < 2**31 else None
            user = session.get(UserRow, row.user_id) if row is not None else None
            if row is None or user is None or (user.name != actor.name and not actor.may("admin")):
                raise NotThere(f"there is no token {token_id}; `secondread token list` shows those there are")
            row.revoked_at = row.revoked_at or now()
            record(session, actor, "token.revoked", f"user:{user.name}", token=row.id)
            return _token(row, user)

    def account_of(self, secret: str) -> tuple[User, frozenset[str]]:
        """The account of a token, and what the token may do: never more than its account's role now allows.

        Raises LoginRefused for one that is unknown, revoked or expired, or whose account is disabled.
        """
        moment = self._clock().at
        with self._database.reading() as session:
            row = session.connection().execute(_ACCOUNT, {"sha256": _hash(secret)}).first()
        if row is None or row.revoked_at is not None or row.disabled_at is not None:
            raise LoginRefused("this token is not known here or was revoked; make another with `secondread token add`")
        if row.expires_at is not None and row.expires_at <= moment:
            raise LoginRefused("this token has expired; make another with `secondread token add`")
        if row.last_used_at is None or abs(moment - row.last_used_at) > _TELL_USE_EVERY:
            with self._database.begin() as session:
                session.execute(update(TokenRow).where(TokenRow.id == row.token).values(last_used_at=moment))
        return user_of(row), frozenset(row.scopes) & scopes_of(row.role)


def revoke_all(session: Session, user_id: int) -> list[int]:
    """End every token of an account, in this transaction; gives their numbers."""
    rows = session.scalars(select(TokenRow).where(TokenRow.user_id == user_id, TokenRow.revoked_at.is_(None)))
    ended = []
    for row in rows:
        row.revoked_at = now()
        ended.append(row.id)
    return sorted(ended)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token(row: TokenRow, owner: UserRow) -> Token:
    return record_of(Token, row, user=owner.name)
