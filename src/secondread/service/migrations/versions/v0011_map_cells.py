"""The heat map's own cells beside the reading, in place of a picture of it in the data folder."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. The pictures that are there are taken over at the next start (see service.old_pictures)."""
    op.add_column("readings", sa.Column("map_cells", sa.LargeBinary(), nullable=True))
