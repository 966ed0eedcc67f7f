"""What is asked of an archive, a picture of it on its way, and the row that it becomes."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secondread.errors import CannotOpen, UploadRefused
from secondread.images import Limits
from secondread.reading import AutoReader, Reader, Reading, Refusal, load

Row = dict[str, Any]
RowOf = Callable[["Picture"], Row]


@dataclass(frozen=True)
class Remote:
    """A file in object storage, which whoever reads it fetches.

    place: as s3://bucket/key. n_bytes: where a list told it.
    """

    place: str
    n_bytes: int | None


@dataclass(frozen=True)
class Picture:
    """A file to be read.

    name: as it stands in the table. content: where it is, its bytes, or why it is not read. stamp: another one once
    the file is another; '' where nothing tells.
    """

    name: str
    content: Path | bytes | Remote | UploadRefused = field(repr=False)
    stamp: str = ""

    @property
    def n_bytes(self) -> int:
        """That are here, or are to be fetched, as far as that is known; a file on a disk counts for nothing."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return (self.content.n_bytes or 0) if isinstance(self.content, Remote) else 0


@dataclass(frozen=True)
class Question:
    """What every picture is asked; small, and sent to whoever reads.

    reference: as of `load`. frame: of files of several, this one alone, from 1.
    """

    reference: str
    operating_point: str | None = None
    limits: Limits = field(default_factory=Limits)
    gate: bool = True
    frame: int | None = None

    def reader(self) -> Reader | AutoReader:
        """Loaded, with the names checked. Raises as `load`."""
        found = load(self.reference, operating_point=self.operating_point, limits=self.limits, gate=self.gate)
        if isinstance(found, Reader):
            found.bundle.operating_point(self.operating_point)
        return found

    def row_of(self, reader: Reader | AutoReader) -> RowOf:
        """Reads one picture after the other with that reader; safe in several threads."""
        frame = None if self.frame is None else self.frame - 1

        def row(picture: Picture) -> Row:
            return row_read(
                picture, lambda source: reader.read(source, frame=frame, keep_image=False).to_dict(path=picture.name)
            )

        return row


def row_read(picture: Picture, read: Callable[[Path | bytes], Row]) -> Row:
    """What `read` makes of the picture, or why it is not read.

    Without what to do now: that is for who stands beside a patient, and follows from the rest.
    """
    content = picture.content
    assert not isinstance(content, Remote), "to be fetched before"
    try:
        row = refused(picture, content.code, str(content)) if isinstance(content, UploadRefused) else read(content)
    except CannotOpen as error:
        row = refused(picture, "cannot_open", str(error))
    return {key: value for key, value in row.items() if key != "next_step"}


def refused(picture: Picture, code: str, message: str) -> Row:
    """The row of a picture that no reader has seen."""
    return Reading(None, refusal=Refusal(code, message)).to_dict(path=picture.name)


def stamp_of(status: os.stat_result) -> str:
    """Size and time of change: a file that was written anew has another one."""
    return f"{status.st_size}:{status.st_mtime_ns}"
