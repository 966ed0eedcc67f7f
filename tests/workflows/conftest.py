"""One trace for an architecture: see tests/exported.py."""

from collections.abc import Iterator

import pytest

from tests.exported import traced_once


@pytest.fixture(autouse=True, scope="module")
def _traced_once() -> Iterator[None]:
    with traced_once():
        yield
