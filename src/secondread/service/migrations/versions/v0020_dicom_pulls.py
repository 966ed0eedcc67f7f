"""Archives that are asked for images, scheduled orders, corrected objects, and maps among the results."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and let a result be a map."""
    _pulls()
    _orders()
    _corrections()
    state = sa.CheckConstraint("state IN ('waiting', 'sent', 'failed')", name=op.f("ck_dicom_exports_state"))
    kinds = sa.CheckConstraint("kind IN ('sr', 'capture', 'gsps', 'map')", name=op.f("ck_dicom_exports_kind"))
    if op.get_bind().dialect.name == "sqlite":  # which alters no constraint: the table is written anew
        table = sa.Table("dicom_exports", sa.MetaData(), autoload_with=op.get_bind())
        checks = [one for one in table.constraints if isinstance(one, sa.CheckConstraint)]
        table.constraints.difference_update(checks)  # newer SQLAlchemy finds the old ones, and would keep them
        with op.batch_alter_table("dicom_exports", recreate="always", copy_from=table, table_args=(state, kinds)):
            pass
    else:
        op.drop_constraint(op.f("ck_dicom_exports_kind"), "dicom_exports", type_="check")
        op.create_check_constraint(op.f("ck_dicom_exports_kind"), "dicom_exports", kinds.sqltext)


def _pulls() -> None:
    op.create_table(
        "dicom_pulls",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("mark", sa.Date(), nullable=True),
        sa.Column("fetched", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_dicom_pulls")),
    )


def _orders() -> None:
    op.create_table(
        "dicom_orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("accession", sa.String(length=64), nullable=False),
        sa.Column("patient", sa.String(length=64), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dicom_orders")),
        sa.UniqueConstraint("step", name=op.f("uq_dicom_orders_step")),
    )
    for column in ("study_uid", "accession", "patient"):
        op.create_index(op.f(f"ix_dicom_orders_{column}"), "dicom_orders", [column])


def _corrections() -> None:
    op.create_table(
        "dicom_corrections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("study_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("calling_aet", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(length=100), nullable=False),
        sa.CheckConstraint("state IN ('open', 'accepted', 'rejected')", name=op.f("ck_dicom_corrections_state")),
        sa.ForeignKeyConstraint(
            ["image_sha256"], ["images.sha256"], name=op.f("fk_dicom_corrections_image_sha256_images")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dicom_corrections")),
    )
    op.create_index("uq_dicom_corrections_what", "dicom_corrections", ["sop_instance_uid", "sha256"], unique=True)
    for column in ("image_sha256", "state"):
        op.create_index(op.f(f"ix_dicom_corrections_{column}"), "dicom_corrections", [column])
