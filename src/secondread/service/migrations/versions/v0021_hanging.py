"""How many images an account wants beside one another in the reading room."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty: one image."""
    op.add_column("users", sa.Column("hanging", sa.String(length=16), nullable=False, server_default=""))
