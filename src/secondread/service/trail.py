"""The audit trail: who did what to images and readings; a chain of hashes, verified and pinned by checkpoints."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from secondread.errors import TrailBroken, UsageError
from secondread.service.chain import START, Actor, line_hash, record
from secondread.service.database import Database
from secondread.service.tables import TrailRow

_CHUNK = 1000  # lines held at a time
_COLUMNS = ("seq", "at", "actor", "via", "address", "action", "subject", "detail", "prev", "hash")


@dataclass(frozen=True)
class Checkpoint:
    """Where the trail ended at some moment. Kept elsewhere (printed, mailed), it also shows a trail cut off later."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """From what `str` gave. Raises UsageError."""
        seq, _, digest = text.strip().partition(":")
        if not seq.isdigit() or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise UsageError(f"'{text[:80]}' is no checkpoint; give what `secondread trail checkpoint` printed")
        return cls(int(seq), digest)


class AuditTrail:
    """Lines that can be added and read, never changed.

    Anyone who can write to the database file can drop its triggers and forge a whole new chain; a checkpoint that is
    kept where they cannot write is what shows it.
    """

    def __init__(self, database: Database):
        self._database = database

    def record(self, actor: Actor, action: str, subject: str, **detail: Any) -> None:
        """Append one line in a transaction of its own; for what changes nothing in the database."""
        with self._database.begin() as session:
            record(session, actor, action, subject, **detail)

    def checkpoint(self) -> Checkpoint:
        """Where the trail ends now."""
        with self._database.reading() as session:
            row = session.execute(select(TrailRow.seq, TrailRow.hash).order_by(TrailRow.seq.desc()).limit(1)).first()
        return Checkpoint(row.seq, row.hash) if row else Checkpoint(0, START)

    def verify(self, checkpoint: Checkpoint | None = None) -> Checkpoint:
        """Go through every line; gives where the trail ends. Raises TrailBroken naming the first line that is wrong.

        checkpoint: one stated earlier, which must still be part of the trail. Holds a thousand lines at a time.
        """
        seq, prev = 0, START
        if checkpoint is not None and checkpoint.seq == 0 and checkpoint.hash != START:
            raise TrailBroken("the checkpoint is of another trail")
        for line in self.lines():
            seq += 1
            if line["seq"] != seq:
                raise TrailBroken(f"line {seq} of the audit trail is missing; the next one there is {line['seq']}")
            if line["prev"] != prev:
                raise TrailBroken(f"line {seq} of the audit trail does not follow line {seq - 1}: one was replaced")
            if line_hash(line) != line["hash"]:
                raise TrailBroken(f"line {seq} of the audit trail was changed after it was written")
            prev = line["hash"]
            if checkpoint is not None and seq == checkpoint.seq and prev != checkpoint.hash:
                raise TrailBroken(f"line {seq} of the audit trail is not the one of the checkpoint: it was rewritten")
        if checkpoint is not None and seq < checkpoint.seq:
            raise TrailBroken(
                f"the audit trail ends at line {seq}, before the checkpoint's {checkpoint.seq}: it was cut"
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
