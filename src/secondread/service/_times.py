"""Moments: always UTC, always with a zone, on both databases alike."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """A moment as text that sorts by time: '2026-03-01T07:05:00.000000Z'."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class UtcTime(TypeDecorator[datetime]):
    """A column of moments. SQLite knows no zones, so it is given UTC without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """What the database is given. A moment without a zone is a bug of ours."""
        if value is None:
            return None
        assert value.tzinfo is not None, "a moment without a zone"
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What the program is given."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
