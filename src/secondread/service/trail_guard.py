"""The triggers that keep the audit trail append-only, and whether they are there as we wrote them.

A line is added only as the one after the last: with the next number, and the hash of the last as `prev`. That also
stops what deletes and inserts at once (SQLite's INSERT OR REPLACE, whose deletion fires no trigger).
"""

import re
from collections.abc import Iterator

from sqlalchemy import Connection, text

_REFUSAL = "the audit trail is append-only"
_START = "0" * 64  # before the first line
_SQLITE = {
    "trail_no_update": "CREATE TRIGGER trail_no_update BEFORE UPDATE ON trail "
    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
    "trail_no_delete": "CREATE TRIGGER trail_no_delete BEFORE DELETE ON trail "
    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
    "trail_next_alone": "CREATE TRIGGER trail_next_alone BEFORE INSERT ON trail "
    "WHEN NEW.seq IS NOT coalesce((SELECT max(seq) FROM trail), 0) + 1 "
    f"OR NEW.prev IS NOT coalesce((SELECT hash FROM trail ORDER BY seq DESC LIMIT 1), '{_START}') "
    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
}
# PostgreSQL: (name of the trigger, when it fires, its function).
_POSTGRESQL = (
    ("trail_no_change", "BEFORE UPDATE OR DELETE ON trail FOR EACH ROW", "trail_is_append_only"),
    ("trail_no_truncate", "BEFORE TRUNCATE ON trail FOR EACH STATEMENT", "trail_is_append_only"),
    ("trail_next_alone", "BEFORE INSERT ON trail FOR EACH ROW", "trail_next_alone"),
)
_FUNCTIONS = {
    "trail_is_append_only": f" BEGIN RAISE EXCEPTION '{_REFUSAL}'; END ",
    "trail_next_alone": " DECLARE last_seq integer; last_hash text; BEGIN "
    "SELECT seq, hash INTO last_seq, last_hash FROM trail ORDER BY seq DESC LIMIT 1; "
    "IF NEW.seq IS DISTINCT FROM coalesce(last_seq, 0) + 1 "
    f"OR NEW.prev IS DISTINCT FROM coalesce(last_hash, '{_START}') "
    f"THEN RAISE EXCEPTION '{_REFUSAL}'; END IF; RETURN NEW; END ",
}


def install(connection: Connection) -> None:
    """Make the triggers, in place of older ones of their names; what they say stands in this module alone."""
    if connection.dialect.name == "sqlite":
        for name, statement in _SQLITE.items():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
            connection.exec_driver_sql(statement)
        return
    for name, body in _FUNCTIONS.items():
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
        )
    for name, when, function in _POSTGRESQL:
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON trail")
        connection.exec_driver_sql(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()")
        # 'session_replication_role = replica' passes ordinary triggers, but not these.
        connection.exec_driver_sql(f"ALTER TABLE trail ENABLE ALWAYS TRIGGER {name}")
    connection.exec_driver_sql("REVOKE ALL ON trail FROM PUBLIC")


def wrong_with(connection: Connection) -> Iterator[str]:
    """What is not as `install` made it, a sentence each; nothing where all is."""
    found = dict(_found_in_sqlite(connection) if connection.dialect.name == "sqlite" else _found_in(connection))
    wanted = _SQLITE if connection.dialect.name == "sqlite" else _wanted_of_postgresql()
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            yield f"the trigger {name}, which keeps lines from being changed, is missing: somebody took it away"
        elif name not in wanted:
            yield f"the trigger {name} is none of ours: somebody added it to the audit trail"
        elif _plain(found[name]) != _plain(wanted[name]):
            yield f"the trigger {name}, which keeps lines from being changed, was itself changed or switched off"


def _found_in_sqlite(connection: Connection) -> Iterator[tuple[str, str]]:
    statement = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = 'trail'")
    yield from ((name, sql) for name, sql in connection.execute(statement))


def _found_in(connection: Connection) -> Iterator[tuple[str, str]]:
    """PostgreSQL: each trigger's definition, whether it always fires, and the body of its function."""
    statement = text(
        "SELECT t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text, p.proname, p.prosrc FROM pg_trigger t "
        "JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = 'trail'::regclass AND NOT t.tgisinternal"
    )
    for name, definition, enabled, function, body in connection.execute(statement):
        yield name, f"{definition} {enabled} {function} {body}"


def _wanted_of_postgresql() -> dict[str, str]:
    # As pg_get_triggerdef writes them; it may put the schema before names, which _plain takes out.
    return {
        name: f"CREATE TRIGGER {name} {_in_its_order(when)} EXECUTE FUNCTION {function}() A {function} "
        f"{_FUNCTIONS[function]}"
        for name, when, function in _POSTGRESQL
    }


def _in_its_order(when: str) -> str:
    return when.replace("UPDATE OR DELETE", "DELETE OR UPDATE")


def _plain(sql: str) -> str:
    """Without what says nothing: runs of spaces, and the schema before the names of table and function."""
    return re.sub(r"\b\w+\.(trail\w*)", r"\1", " ".join(sql.split()))
