"""Pictures of an archive read by a service's own desk, which keeps them: images, readings and the trail."""

import time
from dataclasses import dataclass
from pathlib import Path

from secondread.errors import Busy, CannotOpen
from secondread.files import shown
from secondread.reading import Reader
from secondread.screening.picture import Picture, Row, RowOf, row_read
from secondread.service import Actor, Readers, ReadingRequest, Service


@dataclass(frozen=True)
class Store:
    """What answers in place of a reader. name: what tells it from another. threads: that read at a time."""

    row_of: RowOf
    name: str
    threads: int


_THREADS = 8  # they wait for the disk together: what is stored at the same moment is brought to it in one go


def store_of(service: Service, readers: Readers, asked: ReadingRequest, *, actor: Actor) -> Store:
    """A service that keeps what is read, at the site's operating points. Safe in several threads.

    A picture that it has read before, in the same way, is answered from what it keeps. Raises as ReadingDesk.check.
    """
    desk = service.desk(readers.get)
    desk.check(asked)
    reader = readers.get(asked.task, asked.bundle)
    who = reader.bundle.id if isinstance(reader, Reader) else asked.task

    def row(picture: Picture) -> Row:
        def answer(content: Path | bytes) -> Row:
            found = desk.answer(_bytes(content, service), asked, name=picture.name, actor=actor)
            return found.outcome.contract(path=picture.name, heatmap=None)

        while True:
            try:
                return row_read(picture, answer)
            except Busy as busy:  # memory for decoding is set aside for all together: large images wait for each other
                time.sleep(busy.retry_after)

    return Store(row, f"{who}, kept in {shown(service.folder.absolute())}", _THREADS)


def _bytes(content: Path | bytes, service: Service) -> bytes:
    """Of no more than the service takes. Raises CannotOpen."""
    if isinstance(content, bytes):
        return content
    try:
        with content.open("rb") as file:
            return file.read(service.limits.max_bytes + 1)
    except OSError as error:
        raise CannotOpen(f"cannot open '{shown(content)}': {error.strerror or error}") from error
