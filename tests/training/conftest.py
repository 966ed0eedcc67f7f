"""One thread a process: these networks are small, and tests share the cores; and one trace for an architecture."""

from collections.abc import Iterator

import pytest
import torch

from tests.exported import traced_once


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def _traced_once() -> Iterator[None]:
    with traced_once():
        yield
