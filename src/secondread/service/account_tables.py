"""Tables of who may come in: accounts, sessions, devices, failed logins and tokens. As in tables.py, a change needs a
migration.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, Float, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from secondread.service.tables import Base, now


class UserRow(Base):
    """A person with an account. Rows are never deleted: the trail speaks of them."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('reader', 'reviewer', 'administrator')", name="role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)  # lower case
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(Text, default="")  # empty: signs in through the provider only
    subject: Mapped[str | None] = mapped_column(String(255), unique=True)  # issuer and subject of OpenID Connect
    session_version: Mapped[int] = mapped_column(default=1)  # how often its sessions were ended
    opinion_first: Mapped[bool] = mapped_column(default=False)  # wants answers withheld until their own is given
    hanging: Mapped[str] = mapped_column(String(16), default="")  # how images hang in the room: see service.users
    created_at: Mapped[datetime] = mapped_column(default=now)
    disabled_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]


class SessionRow(Base):
    """A browser that is logged in. The row is deleted when the session ends."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)  # of what the cookie holds
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]  # the last request, to a minute; see moments.Moment for the three
    seen_ticks: Mapped[float] = mapped_column(Float(53))
    boot: Mapped[str] = mapped_column(String(64), default="")
    age: Mapped[float] = mapped_column(Float(53), default=0.0)  # seconds that it had lasted by then
    address: Mapped[str] = mapped_column(String(64), default="")
    browser: Mapped[str] = mapped_column(String(100), default="")  # as 'Firefox, Linux'


class DeviceRow(Base):
    """A browser in which an account logged in before: strangers' wrong guesses do not keep it out."""

    __tablename__ = "devices"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)  # of what the cookie holds
    seen_at: Mapped[datetime]  # the last login


class AttemptRow(Base):
    """Failed logins of late: by a keyed hash of the name, by address, and by device."""

    __tablename__ = "login_attempts"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime] = mapped_column(index=True)
    blocked_until: Mapped[datetime | None]


class TokenRow(Base):
    """An API token: its hash, never the token."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    start: Mapped[str] = mapped_column(String(16))  # its first characters, to tell tokens apart
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
