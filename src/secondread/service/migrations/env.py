"""Runs the migrations on the connection that `Database.upgrade` hands over; its transaction is the caller's."""

from alembic import context

from secondread.service import account_tables, dicom_tables, upgrade_tables  # noqa: F401 - of the same metadata
from secondread.service.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=False,  # the caller's transaction is around everything
    render_as_batch=True,
)
context.run_migrations()
