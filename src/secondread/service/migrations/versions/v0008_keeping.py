"""Which images left in which export: what an erasure names, so that a person can follow it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. Of exports made before nobody knows which images were in them; the trail names their number."""
    op.create_table(
        "exported_images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_sha256"], ["images.sha256"], name=op.f("fk_exported_images_image_sha256_images")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exported_images")),
    )
    op.create_index(op.f("ix_exported_images_image_sha256"), "exported_images", ["image_sha256"])
