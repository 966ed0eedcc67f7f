"""The line that people typed for the report of an image: patient, accession, date of study."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nothing was typed so far."""
    op.add_column("images", sa.Column("patient_line", sa.JSON(), nullable=False, server_default=sa.text("'{}'")))
