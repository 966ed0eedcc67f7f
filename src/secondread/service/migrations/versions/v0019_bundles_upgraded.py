"""Which bundle answers for a task, which reads in its shadow, and what that one said."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "bundle_choices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("bundle", sa.String(length=200), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("beside", sa.String(length=200), nullable=False),
        sa.Column("beside_sha256", sa.String(length=64), nullable=False),
        sa.Column("after_reading", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("chosen_by", sa.String(length=100), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=100), nullable=False),
        sa.CheckConstraint("role IN ('answers', 'shadow')", name=op.f("ck_bundle_choices_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_choices")),
    )
    op.create_index(
        "uq_bundle_choices_open",
        "bundle_choices",
        ["task", "role"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "shadow_answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("choice_id", sa.Integer(), nullable=False),
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operating_point", sa.String(length=100), nullable=False),
        sa.Column("threshold", sa.Float(precision=53), nullable=True),
        sa.Column("low", sa.Float(precision=53), nullable=True),
        sa.Column("probability", sa.Float(precision=53), nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("refusal_code", sa.String(length=40), nullable=False),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name=op.f("ck_shadow_answers_state")),
        sa.ForeignKeyConstraint(
            ["choice_id"], ["bundle_choices.id"], name=op.f("fk_shadow_answers_choice_id_bundle_choices")
        ),
        sa.ForeignKeyConstraint(["reading_id"], ["readings.id"], name=op.f("fk_shadow_answers_reading_id_readings")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadow_answers")),
    )
    op.create_index("uq_shadow_answers_what", "shadow_answers", ["choice_id", "reading_id"], unique=True)
    op.create_index("ix_shadow_answers_at", "shadow_answers", ["at"])
    op.create_index(op.f("ix_shadow_answers_reading_id"), "shadow_answers", ["reading_id"])
