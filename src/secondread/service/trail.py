"""The audit trail: who acts and what they may do, and the chain of hashes that says what they did.

Every line holds the hash of the one before; `verify` goes through them all, and compares them with the checkpoints that
were kept (see checkpoints).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from secondread.errors import TrailBroken
from secondread.service.checkpoints import START, Checkpoint, CheckpointFile, Kept
from secondread.service.database import Database, Transaction
from secondread.service.statements import ADD_LINES, LAST_LINE
from secondread.service.tables import TrailRow, iso, now
from secondread.service.trail_guard import wrong_with

ROLES = ("reader", "reviewer", "administrator")
SCOPES = ("read", "write", "review", "admin")
_SCOPES_OF = {
    "reader": frozenset({"read", "write"}),
    "reviewer": frozenset({"read", "write", "review"}),
    "administrator": frozenset(SCOPES),
}
_LOCK = 0x5EC0_2EAD  # PostgreSQL's advisory locks are numbers
_NOTED = "secondread.trail"
_APPENDED = "secondread.trail.appended"
_CHUNK = 1000  # lines held at a time
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_COLUMNS = ("seq", "at", "actor", "via", "address", "action", "subject", "detail", "prev", "hash")


def scopes_of(role: str) -> frozenset[str]:
    """What a role may do: read (look), write (upload, delete), review, admin (accounts, trail, settings)."""
    return _SCOPES_OF.get(role, frozenset())


def may_review(role: str) -> bool:
    """Whether an opinion of this role counts."""
    return "review" in scopes_of(role)


@dataclass(frozen=True)
class Actor:
    """The one who acts, as the trail writes it down, and what they may do."""

    name: str  # of the account; 'local' on a loopback address without login
    via: str = ""  # 'session', 'token:<first characters>', 'local', 'command', 'worker', …
    address: str = ""  # of the network, where there is one
    scopes: frozenset[str] = frozenset(SCOPES)  # who works at the machine itself may do everything
    opinion_first: bool = False  # answers are withheld until they have given their own opinion

    def may(self, scope: str) -> bool:
        """Whether they may do what needs this scope."""
        return scope in self.scopes


LOCAL = Actor("local")


@dataclass(frozen=True)
class _Entry:
    """What happened, before it has a place in the chain."""

    actor: Actor
    action: str  # 'reading.seen', 'user.disabled', …
    subject: str  # 'reading:17', 'image:<hash>', 'user:anna'
    detail: Mapping[str, Any] = field(default_factory=dict)


def record(session: Session, actor: Actor, action: str, subject: str, **detail: Any) -> None:
    """Note what happens in this transaction. It is appended just before the commit, so the chain is locked briefly."""
    session.info.setdefault(_NOTED, []).append(_Entry(actor, action, subject, detail))


def record_once(session: Session, actor: Actor, action: str, subject: str, *, within: timedelta, **detail: Any) -> None:
    """As `record`, unless the same was noted of the same actor so shortly before: of many looks at one file.

    Two processes that look at the same moment may both write a line.
    """
    noted = session.info.get(_NOTED, ())
    mine = (actor.name, actor.via, action, subject)
    if any((one.actor.name, one.actor.via, one.action, one.subject) == mine and one.detail == detail for one in noted):
        return
    lately = select(TrailRow.seq).where(
        TrailRow.subject == subject,
        TrailRow.actor == actor.name,
        TrailRow.via == actor.via,
        TrailRow.action == action,
        TrailRow.detail == _CANONICAL.encode(detail),
        TrailRow.at > iso(now() - within),
    )
    if session.scalar(lately.limit(1)) is None:
        record(session, actor, action, subject, **detail)


@contextmanager
def undone_with(session: Session) -> Iterator[None]:
    """What is noted in this block is forgotten where the block ends with an error: for a savepoint of its own."""
    n = len(session.info.setdefault(_NOTED, []))
    try:
        yield
    except BaseException:
        del session.info[_NOTED][n:]
        raise


def appended(session: Session) -> int:
    """The number of the last line that this transaction appended; 0 where it appended none."""
    return int(session.info.get(_APPENDED, 0))


@dataclass(frozen=True)
class Gap:
    """What `verify` could not know."""

    code: str
    line: int = 0
    at: str = ""  # time of a checkpoint

    def __str__(self) -> str:
        return _GAPS[self.code].format(line=self.line, at=self.at)


_GAPS = {
    "none_kept": "there is no checkpoint to compare with: lines that were cut off at the end would not be seen",
    "beside": "the checkpoints lie in the data folder, and no other was given: whoever could change the trail could "
    "change them as well; name a file elsewhere with the setting trail_checkpoints, or keep one yourself",
    "since": "the last checkpoint is of line {line}, {at}: lines written after it and cut off again would not be seen",
    "since_given": "the checkpoint given is of line {line}: lines written after it and cut off again would not be seen",
    "unreadable": "line {line} of the file of checkpoints cannot be read and was passed over",
}


@dataclass(frozen=True)
class Verified(Checkpoint):
    """Where a trail ends that is whole, as far as can be known."""

    compared: int = 0  # checkpoints that it was compared with
    gaps: tuple[Gap, ...] = ()


class AuditTrail:
    """Lines that can be added and read, never changed.

    Anyone who can write to the database file can drop its triggers and forge a whole new chain; a checkpoint that is
    kept where they cannot write is what shows it. checkpoints: the file of them that `verify` compares with.
    """

    def __init__(self, database: Database, checkpoints: CheckpointFile | None = None):
        self._database = database
        self._checkpoints = checkpoints

    def record(self, actor: Actor, action: str, subject: str, **detail: Any) -> None:
        """Append one line in a transaction of its own; for what changes nothing in the database."""
        with self._database.begin() as session:
            record(session, actor, action, subject, **detail)

    def checkpoint(self) -> Checkpoint:
        """Where the trail ends now."""
        with self._database.reading() as session:
            row = session.execute(select(TrailRow.seq, TrailRow.hash).order_by(TrailRow.seq.desc()).limit(1)).first()
        return Checkpoint(row.seq, row.hash) if row else Checkpoint(0, START)

    def holds(self, checkpoint: Checkpoint) -> bool:
        """Whether this line is still part of the trail, as it was."""
        with self._database.reading() as session:
            found = session.scalar(select(TrailRow.hash).where(TrailRow.seq == checkpoint.seq))
        return (found or START) == checkpoint.hash

    def verify(self, checkpoint: Checkpoint | None = None) -> Verified:
        """Go through every line, every checkpoint kept and the triggers; gives where the trail ends.

        checkpoint: one stated earlier, which must still be part of the trail. Holds a thousand lines at a time.
        Raises TrailBroken naming the first line that is wrong, or else what is wrong with the triggers.
        """
        kept, unreadable = _sorted(self._checkpoints)
        given = [] if checkpoint is None else [Kept("", checkpoint)]
        end = self.verify_lines(*given, *kept)
        with self._database.reading() as session:
            wrong = list(wrong_with(session.connection()))
        if wrong:
            raise TrailBroken("; ".join(wrong))
        beside = self._checkpoints is not None and not self._checkpoints.elsewhere
        gaps = (*_gaps(given, kept, beside=beside), *(Gap("unreadable", number) for number in unreadable[:10]))
        return Verified(end.seq, end.hash, len(given) + len(kept), gaps)

    def verify_lines(self, *checkpoints: Kept) -> Checkpoint:
        """As `verify`, of the lines alone: also for tables of an older version, without today's triggers."""
        seq, prev = 0, START
        wanted: dict[int, list[Kept]] = {}
        for one in checkpoints:
            wanted.setdefault(one.point.seq, []).append(one)
        for line in self.lines():
            seq += 1
            if line["seq"] != seq:
                raise TrailBroken(f"line {seq} of the audit trail is missing; the next one there is {line['seq']}")
            if line["prev"] != prev:
                raise TrailBroken(f"line {seq} of the audit trail does not follow line {seq - 1}: one was replaced")
            if line_hash(line) != line["hash"]:
                raise TrailBroken(f"line {seq} of the audit trail was changed after it was written")
            prev = line["hash"]
            for one in wanted.get(seq, ()):
                if one.point.hash != prev:
                    raise TrailBroken(
                        f"line {seq} of the audit trail is not the one of {_called(one)}: it was rewritten"
                    )
        last = max(checkpoints, key=lambda one: one.point.seq, default=None)
        if last is not None and seq < last.point.seq:
            raise TrailBroken(
                f"the audit trail ends at line {seq}, before line {last.point.seq} of {_called(last)}: it was cut"
            )
        return Checkpoint(seq, prev)

    def lines(
        self, *, after: int = 0, subject: str | None = None, actor: str | None = None, action: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Lines in their order, as dictionaries; `detail` is JSON text, as it was hashed."""
        columns = [getattr(TrailRow, name) for name in _COLUMNS]
        while True:
            statement = select(*columns).where(TrailRow.seq > after).order_by(TrailRow.seq).limit(_CHUNK)
            for column, value in ((TrailRow.subject, subject), (TrailRow.actor, actor), (TrailRow.action, action)):
                statement = statement if value is None else statement.where(column == value)
            with self._database.reading() as session:
                rows = [dict(zip(_COLUMNS, row, strict=True)) for row in session.execute(statement)]
            yield from rows
            if len(rows) < _CHUNK:
                return
            after = rows[-1]["seq"]

    def latest(self, *, before: int | None = None, limit: int = 100, **only: str) -> list[dict[str, Any]]:
        """The newest lines first, for a page. only: subject, actor, action."""
        columns = [getattr(TrailRow, name) for name in _COLUMNS]
        statement = select(*columns).order_by(TrailRow.seq.desc()).limit(min(limit, _CHUNK))
        if before is not None:
            statement = statement.where(TrailRow.seq < before)
        for name, value in only.items():
            statement = statement.where(getattr(TrailRow, name) == value)
        with self._database.reading() as session:
            return [dict(zip(_COLUMNS, row, strict=True)) for row in session.execute(statement)]

    def count(self) -> int:
        """How many lines there are."""
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(TrailRow)) or 0


def line_hash(line: Mapping[str, Any]) -> str:
    """SHA-256 of a line without its own hash, in canonical JSON (keys sorted, no spaces, UTF-8)."""
    rest = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(canonical(rest).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON that is the same text for the same value."""
    return _CANONICAL.encode(value)


@event.listens_for(Transaction, "before_commit")
def _append_noted(session: Session) -> None:
    """What was noted in this transaction becomes lines; with one that is rolled back it is forgotten."""
    if session.in_nested_transaction():  # a savepoint of it: the lock of the chain comes last, for all of them
        return
    if not (entries := session.info.pop(_NOTED, ())):
        return
    session.flush()
    # One writer at a time. SQLite's transaction began with BEGIN IMMEDIATE; PostgreSQL's lock ends with the commit, and
    # taken last it cannot be part of a deadlock.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = LAST_LINE.run(session.connection(), {}).first()
    seq, prev = (last.seq, last.hash) if last else (0, START)
    lines = []
    for entry in entries:
        seq += 1
        line = {
            "seq": seq,
            "at": iso(now()),
            "actor": _fit(entry.actor.name, 100),
            "via": _fit(entry.actor.via, 100),
            "address": _fit(entry.actor.address, 64),
            "action": entry.action,
            "subject": _fit(entry.subject, 200),
            "detail": canonical(dict(entry.detail)).replace("\\u0000", ""),
            "prev": prev,
        }
        prev = line["hash"] = line_hash(line)
        lines.append(line)
    ADD_LINES.run(session.connection(), *lines)
    session.info[_APPENDED] = seq


def _fit(value: str, length: int) -> str:
    """PostgreSQL stores no NUL, and refuses what is longer than the column."""
    return value.replace("\0", "")[:length]


def _sorted(file: CheckpointFile | None) -> tuple[list[Kept], list[int]]:
    """What a file keeps, and the numbers of the lines that cannot be read."""
    lines = [] if file is None else list(file.lines())
    return [one for one in lines if isinstance(one, Kept)], [one for one in lines if isinstance(one, int)]


def _called(one: Kept) -> str:
    return f"the checkpoint of {one.at}" if one.at else "the checkpoint given"


def _gaps(given: list[Kept], kept: list[Kept], *, beside: bool) -> Iterator[Gap]:
    """What the checkpoints leave open."""
    if not given and not kept:
        yield Gap("none_kept")
        return
    if beside and not given:
        yield Gap("beside")
    last = max((*given, *kept), key=lambda one: one.point.seq)
    yield Gap("since", last.point.seq, last.at) if last.at else Gap("since_given", last.point.seq)
