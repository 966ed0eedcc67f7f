"""New services begin with the tables of this version."""

from tests.service.conftest import _tables_at_once

__all__ = ["_tables_at_once"]
