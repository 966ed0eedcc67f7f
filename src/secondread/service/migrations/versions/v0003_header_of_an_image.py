"""How an image was taken, as its file said before it was stripped: through the queue it was lost."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of images that are there already nothing is known beside what their files still say."""
    op.add_column("images", sa.Column("header", sa.JSON(), nullable=False, server_default=sa.text("'{}'")))
