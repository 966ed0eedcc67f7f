"""Triggers that also stop a line of the trail from being replaced, and one from being put anywhere but at the end."""

from alembic import op

from secondread.service.trail_guard import install

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all of them anew."""
    install(op.get_bind())
