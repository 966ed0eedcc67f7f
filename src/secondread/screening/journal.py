"""What was read so far, a line a picture, beside the table that it will become: a killed run goes on from it."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secondread.errors import CannotOpen, Conflict
from secondread.files import shown, writing

Row = dict[str, Any]
_SYNCED_EVERY = 1000  # rows


class Journal:
    """Rows in their order, on the way to one table. One run at a time; a line that a kill cut is dropped."""

    def __init__(self, path: Path, asked: Mapping[str, Any]):
        """path: of the journal. asked: what the run was asked; another's journal is never gone on with.

        Raises Conflict where it is another's, CannotOpen where it cannot be read.
        """
        self.path = path
        self._asked = dict(asked)
        self._added = 0
        try:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise CannotOpen(f"cannot write '{shown(path)}': {error.strerror}") from error
        try:
            self._alone()
            self.n_known = self._whole()
            if path.stat().st_size == 0:
                self._line({"asked": self._asked})
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *ended: object) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        """One picture's row; it outlives the process from now on, and a cut of power within the next thousand."""
        self._line(row)
        self._added += 1
        if self._added % _SYNCED_EVERY == 0:
            os.fsync(self._file.fileno())

    def rows(self) -> Iterator[Row]:
        """All rows so far, in their order, one at a time."""
        with self.path.open(encoding="utf-8") as file:
            next(file, None)
            for line in file:
                yield json.loads(line)

    def remove(self) -> None:
        """The table is there: this is not needed any more."""
        self.path.unlink(missing_ok=True)  # first: with the file its lock ends
        self._file.close()

    def _line(self, value: Mapping[str, Any]) -> None:
        with writing(self.path):
            self._file.write(json.dumps(value, ensure_ascii=False) + "\n")
            self._file.flush()

    def _alone(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
        except OSError as error:
            raise Conflict(
                f"another run is writing '{shown(self.path)}'; wait for it, or name another --out"
            ) from error

    def _whole(self) -> int:
        """How many rows are there; what is behind the last whole line is cut off."""
        end = n = 0
        try:
            with self.path.open("rb+") as file:
                for number, line in enumerate(file):
                    if not line.endswith(b"\n"):
                        break
                    if number == 0:
                        self._check(json.loads(line))
                    end, n = end + len(line), number
                file.truncate(end)
        except (OSError, ValueError, AttributeError) as error:
            raise CannotOpen(
                f"'{shown(self.path)}' is no journal of a run; name another --out, or delete it"
            ) from error
        return n

    def _check(self, first: dict[str, Any]) -> None:
        if first.get("asked") != self._asked:
            raise Conflict(
                f"'{shown(self.path)}' is of a run that was asked something else; ask the same to go on with it, "
                "name another --out, or delete it"
            )
