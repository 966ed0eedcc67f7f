"""Series that come in object by object, and when each is due to be read."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and the index that finds a person's images."""
    op.create_table(
        "dicom_series",
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("n_expected", sa.Integer(), nullable=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reading_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'reading', 'read', 'refused', 'ignored')", name=op.f("ck_dicom_series_state")
        ),
        sa.ForeignKeyConstraint(["reading_id"], ["readings.id"], name=op.f("fk_dicom_series_reading_id_readings")),
        sa.PrimaryKeyConstraint("series_uid", name=op.f("pk_dicom_series")),
    )
    op.create_index("ix_dicom_series_due", "dicom_series", ["state", "due_at"])
    for column in ("study_uid", "reading_id"):
        op.create_index(op.f(f"ix_dicom_series_{column}"), "dicom_series", [column])
    op.create_index(op.f("ix_images_patient"), "images", ["patient"])
