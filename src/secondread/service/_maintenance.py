"""One at a time: retention and backup of a data folder never run beside each other."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secondread.errors import Conflict


@contextmanager
def maintenance(folder: Path) -> Iterator[None]:
    """Hold the folder's maintenance lock; it ends with the process, however that ends. Raises Conflict."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".maintenance.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict("a backup or a deletion is running on this data folder; wait until it has ended") from error
        yield
