"""Files of several pictures: what came out for each, and which one was asked for of an upload."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Readings that are there already were made of one picture each."""
    op.add_column("readings", sa.Column("frames", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
    op.add_column("batches", sa.Column("frame", sa.Integer(), nullable=True))
