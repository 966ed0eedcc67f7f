"""An empty PostgreSQL database, as the service's tests have it."""

from tests.service.conftest import empty_postgresql, postgresql

__all__ = ["empty_postgresql", "postgresql"]
