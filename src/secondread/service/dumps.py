"""Copies of the database for a backup: SQLite's own, or PostgreSQL's programs for it, each of one consistent moment."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect

from secondread.errors import Conflict, DatabaseUnusable, ServiceError
from secondread.service.database import Database


def copy_database(database: Database, copy: Path) -> None:
    """Write a copy, with what is needed beside it in the same folder. Raises ServiceError, DatabaseUnusable."""
    (_copy_sqlite if database.is_sqlite else _dump_postgresql)(database, copy)


def end_of_trail(copy: Path, database: Database) -> str:
    """Where the trail ends in the copy; of a dump, where it ended in the snapshot that was dumped."""
    if not database.is_sqlite:
        return (copy.parent / "trail").read_text(encoding="utf-8")
    with closing(sqlite3.connect(copy)) as connection:
        row = connection.execute("SELECT seq, hash FROM trail ORDER BY seq DESC LIMIT 1").fetchone()
    return f"{row[0]}:{row[1]}"


def restore_postgresql(dump: Path, folder: Path, url: str) -> None:
    """Into an empty database. Raises Conflict, ServiceError, DatabaseUnusable."""
    if not url:
        raise Conflict("this backup was made of PostgreSQL; name an empty database with --database")
    database = Database.open(folder, url)
    try:
        if inspect(database.engine).get_table_names():
            raise Conflict(f"the database {database.name} is not empty; restore into a new one")
        _run(
            "pg_restore",
            database,
            "--no-owner",
            "--no-privileges",
            "--exit-on-error",
            "--single-transaction",
            str(dump),
        )
    finally:
        database.close()


def _copy_sqlite(database: Database, copy: Path) -> None:
    """SQLite's own backup: one consistent moment, while others write."""
    with closing(sqlite3.connect(str(database.url.database))) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE").close()  # one file, without a log beside it


def _dump_postgresql(database: Database, copy: Path) -> None:
    """pg_dump of one snapshot, which is also asked where the trail ends."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        seq, digest = connection.exec_driver_sql("SELECT seq, hash FROM trail ORDER BY seq DESC LIMIT 1").one()
        (copy.parent / "trail").write_text(f"{seq}:{digest}", encoding="utf-8")
        _run("pg_dump", database, "--format=custom", f"--snapshot={snapshot}", "--no-owner", f"--file={copy}")


def _run(program: str, database: Database, *arguments: str) -> None:
    """A program of PostgreSQL on this database; the password goes by its environment, where nobody sees it."""
    if shutil.which(program) is None:
        raise ServiceError(f"{program} is not installed; it comes with PostgreSQL's client package")
    url = database.url
    where = [f"--dbname={url.database}", "--no-password"]
    where += [f"--host={url.host}"] if url.host else []
    where += [f"--port={url.port}"] if url.port else []
    where += [f"--username={url.username}"] if url.username else []
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    done = subprocess.run([program, *where, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DatabaseUnusable(f"{program} failed on {database.name}: {' '.join(done.stderr.split())[:400]}")
