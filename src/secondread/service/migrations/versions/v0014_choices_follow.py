"""A site's choice begins at the moment at which it ended the one before: so an undo knows what came before it."""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from secondread.service.tables import UtcTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_ONE_CHOICE = timedelta(seconds=0.1)  # between the two, as they were written until now
_POINTS = sa.table(
    "site_points",
    sa.column("id", sa.Integer),
    sa.column("bundle_sha256", sa.String),
    sa.column("chosen_at", UtcTime()),
    sa.column("ended_at", UtcTime()),
)


def upgrade() -> None:
    """Bring the pairs together that were written some milliseconds apart."""
    connection = op.get_bind()
    rows = connection.execute(sa.select(_POINTS).order_by(_POINTS.c.id)).all()
    for before in rows:
        later = (row for row in rows if row.id > before.id and row.bundle_sha256 == before.bundle_sha256)
        chosen = next((row for row in later if _follows(before, row)), None)
        if chosen is not None:
            connection.execute(_POINTS.update().where(_POINTS.c.id == before.id).values(ended_at=chosen.chosen_at))


def _follows(before: sa.Row, row: sa.Row) -> bool:
    return before.ended_at is not None and timedelta() <= row.chosen_at - before.ended_at < _ONE_CHOICE
