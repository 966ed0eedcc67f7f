"""The study that an image is of, so that views belong together also where they were uploaded one by one."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Of an object that a node received, and of the list of a series' slices. Of what was uploaded before nothing is known:
# its study is noted when it is sent again.
_OF_OBJECTS = """UPDATE images SET study = COALESCE(
    (SELECT MAX(o.study_uid) FROM dicom_objects o WHERE o.image_sha256 = images.sha256),
    (SELECT MAX(o.study_uid) FROM readings r JOIN dicom_objects o ON o.reading_id = r.id
        WHERE r.image_sha256 = images.sha256),
    '')
WHERE erased_at IS NULL AND format IN ('DICOM', 'series')"""


def upgrade() -> None:
    """Add the column and its index, and fill it from what nodes noted."""
    op.add_column("images", sa.Column("study", sa.String(length=64), nullable=False, server_default=""))
    op.execute(_OF_OBJECTS)
    op.create_index(op.f("ix_images_study"), "images", ["study"])
