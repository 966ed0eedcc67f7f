"""Whether lists of readings have changed since somebody looked: the audit trail has every change as a line.

It tells that there is something to look at, never what; whoever looks then is noted as ever. It works across processes
and hosts, since they write one trail, in the order of its lines.
"""

from dataclasses import dataclass

from sqlalchemy import select

from secondread.service.database import Database
from secondread.service.tables import TrailRow

_MOST = 2000  # lines looked at in one go; of more, the rest the next time
_CHANGES = frozenset(
    (
        "reading.made", "reading.sent_again", "reading.refused_anew", "reading.deleted", "reading.undeleted",
        "review.made", "review.settled", "person.erased",
    )
)  # fmt: skip


@dataclass(frozen=True)
class News:
    """position: the line of the trail up to which it is known; changed: whether a reading came, changed or went."""

    position: int
    changed: bool


def news_since(database: Database, position: int) -> News:
    """What has happened after that line of the trail."""
    with database.reading() as session:
        lines = select(TrailRow.seq, TrailRow.action).where(TrailRow.seq > position).order_by(TrailRow.seq)
        rows = session.execute(lines.limit(_MOST)).all()
    return News(rows[-1].seq if rows else position, any(row.action in _CHANGES for row in rows))


def position_now(database: Database) -> int:
    """The last line of the trail."""
    with database.reading() as session:
        return session.scalar(select(TrailRow.seq).order_by(TrailRow.seq.desc()).limit(1)) or 0
