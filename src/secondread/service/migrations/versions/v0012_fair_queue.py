"""What waits in the queue, by upload: the uploads of several accounts take turns."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_WAITING = sa.text("state IN ('queued', 'running')")


def upgrade() -> None:
    """Another small index in place of the one by number alone."""
    op.drop_index("ix_items_waiting", table_name="items")
    op.create_index("ix_items_waiting", "items", ["batch_id", "id"], sqlite_where=_WAITING, postgresql_where=_WAITING)
