"""An empty PostgreSQL database, as the service's tests have it, and its tables at once."""

from tests.service.conftest import _tables_at_once, empty_postgresql, postgresql

__all__ = ["_tables_at_once", "empty_postgresql", "postgresql"]
