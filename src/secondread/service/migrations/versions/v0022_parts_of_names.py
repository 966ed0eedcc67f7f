"""PostgreSQL: an index of the parts of names, so that a part of one is found among a million without reading them all.

It takes the extension pg_trgm, which comes with PostgreSQL and which the owner of a database may create. Where it is
not installed, or may not be created, there is no index and names are gone through one by one, as on SQLite.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# A block of its own undoes what failed in it and nothing else.
_CREATE = """DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN NULL;
END $$"""
_WHERE = """SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE extname = 'pg_trgm'"""


def upgrade() -> None:
    """At a million readings this takes about half a minute."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_CREATE)
    if (schema := op.get_bind().scalar(sa.text(_WHERE))) is not None:
        op.execute(
            f"CREATE INDEX ix_readings_part_of_name ON readings USING gin (lower(name) {schema}.gin_trgm_ops) "
            "WHERE deleted_at IS NULL"
        )
