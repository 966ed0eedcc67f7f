"""Backups and deletions wait for one another: on one data folder, and on hosts that share a database."""

from pathlib import Path

import pytest

from secondread.errors import Conflict, DatabaseAway
from secondread.service.database import Database
from secondread.service.maintenance import maintenance


def test_one_at_a_time_on_a_folder(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    with maintenance(database, tmp_path), pytest.raises(Conflict, match="data folder"), maintenance(database, tmp_path):
        pass
    with maintenance(database, tmp_path):
        assert (tmp_path / ".maintenance.lock").stat().st_mode & 0o777 == 0o600


def test_one_at_a_time_on_hosts_with_folders_of_their_own(postgresql: str, tmp_path: Path) -> None:
    one, other = (Database.open(tmp_path / name, postgresql) for name in ("a", "b"))
    with maintenance(one, tmp_path / "a"):
        with pytest.raises(Conflict, match="another host"), maintenance(other, tmp_path / "b"):
            pass
        with one.begin():  # a transaction is not held up
            pass
    with maintenance(other, tmp_path / "b"):
        pass
    one.close()
    other.close()


def test_an_error_within_frees_it(postgresql: str, tmp_path: Path) -> None:
    database = Database.open(tmp_path, postgresql)
    with pytest.raises(ZeroDivisionError), maintenance(database, tmp_path):
        raise ZeroDivisionError
    with maintenance(database, tmp_path):
        pass
    database.close()


def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: the extra 'postgresql' brings it")
    database = Database.open(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseAway), maintenance(database, tmp_path):
        pass
