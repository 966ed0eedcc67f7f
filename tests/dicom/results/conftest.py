"""The service of the node's tests."""

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from tests.service.conftest import _no_waiting_for_the_disk, service, sqlite_file

__all__ = ["_no_waiting_for_the_disk", "service", "sqlite_file"]


@pytest.fixture
def database_url() -> str:
    """SQLite alone: what is written does not hang on the database."""
    return ""
