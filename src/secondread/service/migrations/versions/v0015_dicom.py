"""What a DICOM node receives, and whose it is, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_DUE = sa.text("state = 'received'")
_UNTOLD = sa.text("told_at IS NULL AND reading_id IS NOT NULL")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "dicom_objects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("transfer_syntax", sa.String(length=64), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calling_aet", sa.String(length=16), nullable=False),
        sa.Column("called_aet", sa.String(length=16), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rule", sa.String(length=100), nullable=False),
        sa.Column("task", sa.String(length=100), nullable=False),
        sa.Column("operating_point", sa.String(length=100), nullable=False),
        sa.Column("destinations", sa.JSON(), nullable=False),
        sa.Column("reading_id", sa.Integer(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("series_description", sa.String(length=64), nullable=False),
        sa.Column("series_number", sa.Integer(), nullable=True),
        sa.Column("instance_number", sa.Integer(), nullable=True),
        sa.Column("position", sa.JSON(), nullable=True),
        sa.Column("orientation", sa.JSON(), nullable=True),
        sa.Column("image_type", sa.String(length=100), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("n_frames", sa.Integer(), nullable=False),
        sa.Column("n_expected", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "state IN ('received', 'waiting', 'read', 'refused', 'ignored', 'failed')",
            name=op.f("ck_dicom_objects_state"),
        ),
        sa.ForeignKeyConstraint(["image_sha256"], ["images.sha256"], name=op.f("fk_dicom_objects_image_sha256_images")),
        sa.ForeignKeyConstraint(["reading_id"], ["readings.id"], name=op.f("fk_dicom_objects_reading_id_readings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dicom_objects")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_dicom_objects_sop_instance_uid")),
    )
    for column in ("series_uid", "study_uid", "image_sha256", "reading_id"):
        op.create_index(op.f(f"ix_dicom_objects_{column}"), "dicom_objects", [column])
    op.create_index(
        "ix_dicom_objects_due", "dicom_objects", ["next_attempt_at", "id"], sqlite_where=_DUE, postgresql_where=_DUE
    )
    op.create_index("ix_dicom_objects_untold", "dicom_objects", ["id"], sqlite_where=_UNTOLD, postgresql_where=_UNTOLD)
    op.create_index("ix_dicom_objects_state", "dicom_objects", ["state", "received_at"])
    op.create_table(
        "dicom_identities",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dicom_identities")),
        sa.UniqueConstraint("study_uid", name=op.f("uq_dicom_identities_study_uid")),
    )
    op.create_index(op.f("ix_dicom_identities_patient"), "dicom_identities", ["patient"])
