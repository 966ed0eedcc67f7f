"""Objects with results on their way to a hospital's archive, and alerts on their way to people."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "dicom_exports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'failed')", name=op.f("ck_dicom_exports_state")),
        sa.CheckConstraint("kind IN ('sr', 'capture', 'gsps')", name=op.f("ck_dicom_exports_kind")),
        sa.ForeignKeyConstraint(["reading_id"], ["readings.id"], name=op.f("fk_dicom_exports_reading_id_readings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dicom_exports")),
    )
    op.create_index("uq_dicom_exports_what", "dicom_exports", ["sop_instance_uid", "destination"], unique=True)
    op.create_index("ix_dicom_exports_due", "dicom_exports", ["state", "next_attempt_at"])
    op.create_index(op.f("ix_dicom_exports_reading_id"), "dicom_exports", ["reading_id"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(length=100), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'failed')", name=op.f("ck_alerts_state")),
        sa.CheckConstraint("channel IN ('webhook', 'mail')", name=op.f("ck_alerts_channel")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index("uq_alerts_what", "alerts", ["what", "channel"], unique=True)
    op.create_index("ix_alerts_due", "alerts", ["state", "next_attempt_at"])
