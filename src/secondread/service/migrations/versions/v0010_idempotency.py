"""What an upload with an Idempotency-Key was first sent with."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Of uploads that are there already it is not known: a repetition is believed."""
    op.add_column("batches", sa.Column("request_sha256", sa.String(length=64), nullable=False, server_default=""))
