"""Databases that begin with the tables of this version: a file that is copied in place of twenty migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from secondread.service import Database
from secondread.service.database import FILE_NAME


@cache
def sqlite_tables() -> bytes:
    """An SQLite file whose tables are empty."""
    with TemporaryDirectory() as folder:
        database = Database.open(Path(folder))
        database.upgrade()
        database.close()
        return (Path(folder) / FILE_NAME).read_bytes()


def with_tables(folder: Path) -> None:
    """Lay them into a data folder, made if need be, that has no database yet: for a process that is started on it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _lay(folder / FILE_NAME)


@contextmanager
def tables_at_once() -> Iterator[None]:
    """What is opened in this process meanwhile begins with them; what is there already is upgraded as ever."""

    def upgrade(database: Database) -> None:
        file = database.url.database
        if database.is_sqlite and file:
            _lay(Path(file))
        really_upgrade(database)

    sqlite_tables()
    really_upgrade = Database.upgrade
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "upgrade", upgrade)
        yield


def _lay(file: Path) -> None:
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(sqlite_tables())
