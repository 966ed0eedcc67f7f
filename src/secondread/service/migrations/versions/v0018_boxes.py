"""The boxes that a network found beside its reading, and those that people drew."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, empty: what was read before has no boxes. Create the table."""
    op.add_column("readings", sa.Column("findings", sa.JSON(), nullable=True))
    op.create_table(
        "drawn_boxes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(length=100), nullable=False),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["reading_id"], ["readings.id"], name=op.f("fk_drawn_boxes_reading_id_readings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drawn_boxes")),
    )
    op.create_index(op.f("ix_drawn_boxes_reading_id"), "drawn_boxes", ["reading_id"])
