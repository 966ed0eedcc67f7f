"""What an account is: its facts, its row, and how its name is written."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from secondread.errors import NotAllowed, NotThere
from secondread.service.account_tables import UserRow
from secondread.service.tables import record_of
from secondread.service.trail import Actor, scopes_of

LONGEST_NAME = 100  # characters
LAYOUTS = ("1x1", "1x2", "2x2")


@dataclass(frozen=True)
class User:
    """An account."""

    id: int
    name: str
    role: str
    session_version: int  # how often its sessions were ended: a login that began before does not become one
    opinion_first: bool  # wants answers withheld until their own is given
    hanging: str  # how images hang beside one another; '' where nothing was chosen
    created_at: datetime
    disabled_at: datetime | None
    last_login_at: datetime | None
    has_password: bool

    @property
    def scopes(self) -> frozenset[str]:
        """What it may do."""
        return scopes_of(self.role)


def user_of(row: Any) -> User:
    """The account of a UserRow, or of what was selected with its columns."""
    return record_of(User, row, has_password=bool(row.password_hash))


@dataclass(frozen=True)
class Hanging:
    """How images hang beside one another in the reading room."""

    layout: str = "1x1"  # of LAYOUTS
    linked: bool = True  # they move, turn, and are windowed and stepped through together

    def __str__(self) -> str:
        return f"{self.layout} {'linked' if self.linked else 'apart'}"

    @classmethod
    def of(cls, text: str) -> "Hanging":
        """As it was kept; the first choice where that is none of today's."""
        layout, _, how = text.partition(" ")
        return cls(layout, how != "apart") if layout in LAYOUTS else cls()


def plain_name(name: str) -> str:
    """A name as accounts are kept by: lower case, in Unicode's compatible form (NFKC), so that 'Ａｎｎａ' is 'anna'."""
    return unicodedata.normalize("NFKC", name[: 2 * LONGEST_NAME].replace("\0", "")).strip().lower()


def by_name(session: Session, name: str) -> UserRow:
    """The row of an account. Raises NotThere."""
    row = session.scalar(select(UserRow).where(UserRow.name == plain_name(name)))
    if row is None:
        raise NotThere(f"there is no account '{name[:LONGEST_NAME]}'; `secondread user list` shows those there are")
    return row


def check_person(actor: Actor, why: str) -> None:
    """Raise NotAllowed for a token, or without login: that needs a person who is logged in."""
    if actor.via != "session":
        raise NotAllowed(f"log in with name and password {why}")


def is_token(actor: Actor) -> bool:
    """Whether a program asks, by an API token."""
    return actor.via.startswith("token:")
