"""Commands on new data folders begin with the tables of this version, and hash passwords quickly."""

from collections.abc import Iterator
from functools import partial

import pytest
from argon2 import PasswordHasher

from tests.tables import tables_at_once


@pytest.fixture(scope="package", autouse=True)
def _quick_to_begin() -> Iterator[None]:
    quick = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    with tables_at_once(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("secondread.service.accounts.PasswordHasher", quick)
        patch.setattr("secondread.service.passwords.PasswordHasher", quick)
        yield
