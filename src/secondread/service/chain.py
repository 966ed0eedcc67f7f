"""service.chain"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from secondread.service.tables import TrailRow, iso, now


@dataclass(frozen=True)
class Actor:
    """The one who acts."""

    name: str  # of the account; 'local' on a loopback address without login
    via: str = ""  # 'page', 'api', 'token:<first characters>', 'command'
    address: str = ""  # of the network, where there is one


LOCAL = Actor("local")


SYSTEM = Actor("system")


START = "0" * 64  # before the first line


_LOCK = 0x5EC0_2EAD  # PostgreSQL's advisory locks are numbers


_PENDING = "secondread.trail"


@dataclass(frozen=True)
class Entry:
    """What happened, before it has a place in the chain."""

    actor: Actor
    action: str  # 'reading.seen', 'user.disabled', …
    subject: str  # 'reading:17', 'image:<hash>', 'user:anna'
    detail: Mapping[str, Any] = field(default_factory=dict)


def record(session: Session, actor: Actor, action: str, subject: str, **detail: Any) -> None:
    """Note what happens in this transaction. It is appended just before the commit, so the chain is locked briefly."""
    session.info.setdefault(_PENDING, []).append(Entry(actor, action, subject, detail))


def append_noted(session: Session) -> None:
    """Append what was noted in this transaction to the trail. The last step before the commit."""
    entries = session.info.pop(_PENDING, [])
    if entries:
        _append(session, entries)


def forget_noted(session: Session) -> None:
    """What did not happen is not written down."""
    session.info.pop(_PENDING, None)


def line_hash(line: Mapping[str, Any]) -> str:
    """SHA-256 of a line without its own hash, in canonical JSON (keys sorted, no spaces, UTF-8)."""
    rest = {key: value for key, value in line.items() if key != "hash"}
    return hashlib.sha256(canonical(rest).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON that is the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _append(session: Session, entries: Sequence[Entry]) -> None:
    # One writer at a time. SQLite's transaction began with BEGIN IMMEDIATE; PostgreSQL's lock ends with the commit, and
    # taken last it cannot be part of a deadlock.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = session.execute(select(TrailRow.seq, TrailRow.hash).order_by(TrailRow.seq.desc()).limit(1)).first()
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
    session.execute(insert(TrailRow), lines)


def _fit(value: str, length: int) -> str:
    """PostgreSQL stores no NUL, and refuses what is longer than the column."""
    return value.replace("\0", "")[:length]
