"""Counts the work behind an answer, not its time: pixels decoded, PNGs made, statements, waits for the disk."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event

from secondread.service import Database
from secondread.service.shortly import Shortly


@dataclass
class Work:
    """What was done since the count began; `before_sync` is called ahead of each wait for the disk."""

    decodes: int = 0  # pictures whose pixels were decoded
    pngs: int = 0  # PNGs that were made
    sessions: int = 0  # of a network, that were opened
    commits: int = 0  # of the database: each of them waits for the disk once
    syncs: int = 0  # of files and folders: fsync or syncfs
    statements: list[str] = field(default_factory=list)  # SQL, BEGIN and savepoints among them
    before_sync: Callable[[], None] = lambda: None

    @property
    def n_statements(self) -> int:
        """How many."""
        return len(self.statements)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, database: Database) -> Iterator[Work]:
    """The work of this process while the block lasts."""
    work = Work()

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            setattr(work, name, getattr(work, name) + 1)
            if name == "syncs":
                work.before_sync()
            return call(*args, **named)

        return wrapped

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        work.statements.append(" ".join(statement.split()))

    def committed(_: Any) -> None:
        work.commits += 1

    from secondread.images import dicom, raster, show
    from secondread.reading import session
    from secondread.service import storage

    with monkeypatch.context() as patch:
        patch.setattr(Shortly, "_holds", lambda *_: True)  # on a slow machine a second is over soon
        for module, name, kind in (
            (raster, "_decode", "decodes"),
            (raster, "_plain_png", "decodes"),
            (raster, "_plain_jpeg", "decodes"),
            (dicom, "_frame", "decodes"),
            (show.cv2, "imencode", "pngs"),
            (session, "_of_onnxruntime", "sessions"),
            (storage, "sync", "syncs"),
            (storage, "sync_filesystem", "syncs"),
        ):
            patch.setattr(module, name, counting(kind, getattr(module, name)))
        event.listen(database.engine, "before_cursor_execute", executed)
        event.listen(database.engine, "commit", committed)
        try:
            yield work
        finally:
            event.remove(database.engine, "before_cursor_execute", executed)
            event.remove(database.engine, "commit", committed)
