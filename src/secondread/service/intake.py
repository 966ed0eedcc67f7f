"""What comes in: files, folders and archives, de-identified and staged before they are queued."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import IO

from sqlalchemy.dialects import postgresql, sqlite

from secondread.errors import ImageError, UploadRefused
from secondread.files import on_a_line
from secondread.images import Deidentified, Limits, deidentify
from secondread.images.budget import budget
from secondread.service.archives import Bounds, file_too_large, is_archive, members, too_large
from secondread.service.database import Database
from secondread.service.image_store import ImageStore
from secondread.service.queue import Queue
from secondread.service.tables import ImageRow, now
from secondread.service.trail import Actor, record
from secondread.service.uploads import NewItem, ReadingRequest

Sent = bytes | IO[bytes]  # or an open file that can seek
_COPIES = 3  # of a file while it is de-identified: as it came, parsed, and written anew
_SHARE = 2 / 3  # of the memory for decoding, that files may take: the rest is for the pixels of one of them
_LONGEST_NAME = 1000  # characters of a file's name that are kept


@dataclass(frozen=True)
class Staged:
    """An image in the store, with what is known of it beside its bytes."""

    sha256: str
    data: bytes = field(repr=False)  # as they are kept
    notes: tuple[str, ...] = ()  # what should be known of how it is kept
    header: dict[str, str] = field(default_factory=dict)  # DICOM: how it was taken, as the file said when it was sent


class Intake:
    """Takes files in. What is no image, or a DICOM file whose names cannot be taken out, never reaches the store."""

    def __init__(
        self,
        database: Database,
        images: ImageStore,
        queue: Queue,
        *,
        bounds: Bounds | None = None,
        limits: Limits | None = None,
        keep_identifiers: bool = False,
    ):
        self._database = database
        self._images = images
        self._queue = queue
        self.bounds = bounds or Bounds()
        self.limits = limits or Limits()
        self.keep_identifiers = keep_identifiers

    def take(
        self,
        files: Iterable[tuple[str, Sent]],
        asked: ReadingRequest,
        *,
        actor: Actor,
        idempotency_key: str | None = None,
        request_sha256: str = "",
    ) -> int:
        """Stage every file and queue them as one upload; gives its number.

        files: archives among them are unpacked, a member at a time. Files that are refused are items of the upload too,
        with the reason. Raises UploadRefused where the upload as a whole is outside the bounds or empty, and as
        `Queue.submit`.
        """
        items = [self._item(name, content, actor) for name, content in self._unpacked(files)]
        if not items:
            raise UploadRefused("the upload holds no files; choose images or an archive of them", code="upload_empty")
        return self._queue.submit(
            asked, items, actor=actor, idempotency_key=idempotency_key, request_sha256=request_sha256
        )

    def stage(self, sent: Sent, *, actor: Actor) -> Staged:
        """Put one image into the store. Raises an ImageError; a file that is too large is not held in memory."""
        n_bytes = len(sent) if isinstance(sent, bytes) else sent.seek(0, io.SEEK_END)
        self.limits.check_bytes(n_bytes)
        with budget().reserve(_COPIES * n_bytes, share=_SHARE) as memory:
            staged = self._stage(sent, actor)
            memory.keep(staged, len(staged.data))
        return staged

    def _stage(self, sent: Sent, actor: Actor) -> Staged:
        if not isinstance(sent, bytes):
            sent.seek(0)
            sent = sent.read()
        found = self._clean(sent)
        sha256 = self._images.add(found.data)
        row = {
            "sha256": sha256,
            "n_bytes": len(found.data),
            "format": found.format,
            "patient": found.patient,
            "deidentified": found.changed,
            "warnings": list(found.warnings),
            "header": dict(found.header),
            "received_at": now(),
        }
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        again = row | {"erased_at": None}  # sent again: its time to live begins anew
        with self._database.begin() as session:
            session.execute(insert(ImageRow).values(**row).on_conflict_do_update(index_elements=["sha256"], set_=again))
            record(session, actor, "image.received", f"image:{sha256}", format=found.format, n_bytes=len(found.data))
        if not self._images.exists("images", sha256):  # retention erased it in between
            self._images.add(found.data)
        return Staged(sha256, found.data, found.warnings, dict(found.header))

    def staged(self, sha256: str) -> Staged:
        """An image that is in the store. Raises NotThere where it was erased meanwhile."""
        with self._database.reading() as session:
            row = session.get_one(ImageRow, sha256)
        with budget().reserve(self._images.size(sha256), share=_SHARE) as memory:
            staged = Staged(sha256, self._images.image(sha256), tuple(row.warnings), row.header)
            memory.keep(staged, len(staged.data))
        return staged

    def _item(self, name: str, content: bytes | UploadRefused, actor: Actor) -> NewItem:
        """What becomes of one file of an upload: staged, or refused with the reason."""
        name = on_a_line(name)[:_LONGEST_NAME]
        try:
            if isinstance(content, UploadRefused):
                raise content
            return NewItem(name, self.stage(content, actor=actor).sha256)
        except (ImageError, UploadRefused) as error:
            return NewItem(name, code=error.code, message=str(error))

    def _clean(self, data: bytes) -> Deidentified:
        found = deidentify(data, key=self._images.secret("deidentify"), limits=self.limits)
        if self.keep_identifiers:  # the pseudonym holds all the same, so that images of one person belong together
            return replace(found, data=data, changed=False, warnings=())
        return found

    def _unpacked(self, files: Iterable[tuple[str, Sent]]) -> Iterator[tuple[str, bytes | UploadRefused]]:
        n_files, left = 0, self.bounds.max_bytes
        for name, sent in files:
            file = io.BytesIO(sent) if isinstance(sent, bytes) else sent
            inside: Iterable[tuple[str, bytes | UploadRefused]]
            if is_archive(_signature(file)):
                inside = members(file, replace(self.bounds, max_bytes=max(left, 0)))
            else:
                inside = [(name, _whole(file, self.bounds))]
            for member, content in inside:
                n_files += 1
                if n_files > self.bounds.max_files:
                    raise UploadRefused(
                        f"the upload holds more than the {self.bounds.max_files} files allowed; send it in parts",
                        code="too_many_files",
                    )
                left -= len(content) if isinstance(content, bytes) else 0
                if left < 0:
                    raise too_large(self.bounds)
                yield member, content


def _signature(file: IO[bytes]) -> bytes:
    start = file.read(4)
    file.seek(0)
    return start


def _whole(file: IO[bytes], bounds: Bounds) -> bytes | UploadRefused:
    """The file's bytes; one that is too large is not held in memory to be refused."""
    if file.seek(0, io.SEEK_END) > bounds.max_file_bytes:
        return file_too_large(bounds)
    file.seek(0)
    return file.read()
