"""What was read so far, a line a picture, beside the table that it will become: a killed run goes on from it.

A picture's line is written as soon as its answer is there, so lines may stand a little out of order, as readers
overtake each other; their numbers put them right. What a kill takes are the pictures that were being read.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from secondread.errors import CannotOpen, Conflict
from secondread.files import shown, writing
from secondread.screening.picture import Row

_SYNCED_EVERY = 1000  # rows


@dataclass(frozen=True)
class Known:
    """A picture that was read: its place in the source, its file's stamp then, and its row."""

    number: int
    stamp: str
    row: Row

    @property
    def name(self) -> str:
        """As in the table."""
        return str(self.row["path"])


class Journal:
    """Rows on the way to one table. One run at a time; a line that a kill cut is dropped. Threads may add together."""

    def __init__(self, path: Path, asked: Mapping[str, Any]):
        """path: of the journal. asked: what the run was asked; another's journal is never gone on with.

        Raises Conflict where it is another's, CannotOpen where it cannot be read.
        """
        self.path = path
        self.n_known = 0  # rows from before
        self.early: dict[int, Known] = {}  # of them those behind the first picture that has none; filled by `rows`
        self._asked = dict(asked)
        self._added = 0
        self._lock = Lock()
        try:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise CannotOpen(f"cannot write '{shown(path)}': {error.strerror}") from error
        try:
            self._alone()
            self._end = self._whole()
            if self._end == 0:
                self._line({"asked": self._asked})
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *ended: object) -> None:
        if self.n_known + self._added == 0:  # there is nothing to go on with
            self.remove()
        os.close(self._file)

    def add(self, number: int, stamp: str, row: Row) -> None:
        """One picture's row; it outlives the process from now on, and a cut of power within the next thousand."""
        self._line([number, stamp, row])
        self._added += 1
        if self._added % _SYNCED_EVERY == 0:
            os.fsync(self._file)

    def rows(self) -> Iterator[Known]:
        """Those from before, in the order of the source up to the first that has none; the others go to `early`."""
        expected = 0
        with self.path.open("rb") as file:
            next(file, None)
            for _, line in zip(range(self.n_known), file, strict=False):
                known = self._known(line)
                self.early[known.number] = known
                while expected in self.early:
                    yield self.early.pop(expected)
                    expected += 1

    def remove(self) -> None:
        """The table is there: this is not needed any more."""
        self.path.unlink(missing_ok=True)  # first: with the file its lock ends

    def _line(self, value: Any) -> None:
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
        with self._lock, writing(self.path):
            try:
                done = os.write(self._file, data)
                while done < len(data):  # a disk that is full takes a part, and says so at the next
                    done += os.write(self._file, data[done:])
            except OSError:
                os.ftruncate(self._file, self._end)
                raise
            self._end += len(data)

    def _alone(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
        except OSError as error:
            raise Conflict(
                f"another run is writing '{shown(self.path)}'; wait for it, or name another --out"
            ) from error

    def _whole(self) -> int:
        """Where the last whole line ends; what is behind it is cut off."""
        end = 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file):
                    if not line.endswith(b"\n"):
                        break
                    if number == 0:
                        self._check(json.loads(line))
                    end, self.n_known = end + len(line), number
            os.ftruncate(self._file, end)
        except (OSError, ValueError, AttributeError) as error:
            raise self._foreign() from error
        return end

    def _known(self, line: bytes) -> Known:
        try:
            return Known(*json.loads(line))
        except (ValueError, TypeError) as error:
            raise self._foreign() from error

    def _foreign(self) -> CannotOpen:
        return CannotOpen(f"'{shown(self.path)}' is no journal of a run; name another --out, or delete it")

    def _check(self, first: dict[str, Any]) -> None:
        asked = first.get("asked")
        if asked == self._asked:
            return
        if isinstance(asked, dict) and {**asked, "stamp": ""} == {**self._asked, "stamp": ""}:
            raise Conflict(
                f"what is to be read has changed since '{shown(self.path)}' was begun: it has another size or date; "
                "delete the journal to begin anew"
            )
        raise Conflict(
            f"'{shown(self.path)}' is of a run that was asked something else; ask the same to go on with it, "
            "name another --out, or delete it"
        )
