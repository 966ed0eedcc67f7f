"""What comes in: files, folders and archives, de-identified, and kept before a row speaks of them."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any

from sqlalchemy.orm import Session

from secondread.errors import Conflict, ImageError, UploadRefused
from secondread.files import on_a_line
from secondread.images import Deidentified, Limits, deidentify, pseudonym, stand_in_uid
from secondread.images.budget import budget
from secondread.service.archives import Bounds, file_too_large, is_archive, members, too_large
from secondread.service.database import Database
from secondread.service.image_store import ImageStore
from secondread.service.queue import Queue
from secondread.service.statements import write_image
from secondread.service.tables import ImageRow, now
from secondread.service.trail import Actor, record
from secondread.service.uploads import NewItem, ReadingRequest

Sent = bytes | IO[bytes]  # or an open file that can seek
_COPIES = 3  # of a file while it is de-identified: as it came, parsed, and written anew
_SHARE = 2 / 3  # of the memory for decoding, that files may take: the rest is for the pixels of one of them
_LONGEST_NAME = 1000  # characters of a file's name that are kept


@dataclass(frozen=True)
class Staged:
    """An image as it is kept, with what is known of it beside its bytes."""

    sha256: str
    data: bytes = field(repr=False)
    notes: tuple[str, ...] = ()  # what should be known of how it is kept
    header: dict[str, str] = field(default_factory=dict)  # DICOM: how it was taken, as the file said when it was sent
    format: str = ""
    patient: str = ""  # a pseudonym
    study: str = ""  # of its Study Instance UID, likewise
    changed: bool = False  # de-identified


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
        found = [self._item(name, content) for name, content in self._unpacked(files)]
        if not found:
            raise UploadRefused("the upload holds no files; choose images or an archive of them", code="upload_empty")
        rows = [row for _, row in found if row is not None]

        def take_in(session: Session) -> None:
            for row in sorted(rows, key=lambda row: str(row["sha256"])):
                if self._write_row(session, row, actor):
                    raise Conflict("an image of this upload was erased while it came in; send it again")

        return self._queue.submit(
            asked,
            [item for item, _ in found],
            actor=actor,
            idempotency_key=idempotency_key,
            request_sha256=request_sha256,
            before=take_in,
        )

    def receive(self, sent: Sent) -> Staged:
        """One image as it will be kept, in memory alone. Raises an ImageError; what is too large is not read."""
        n_bytes = len(sent) if isinstance(sent, bytes) else sent.seek(0, io.SEEK_END)
        self.limits.check_bytes(n_bytes)
        with budget().reserve(_COPIES * n_bytes, share=_SHARE) as memory:
            if not isinstance(sent, bytes):
                sent.seek(0)
                sent = sent.read()
            found = self._clean(sent)
            staged = Staged(
                hashlib.sha256(found.data).hexdigest(),
                found.data,
                found.warnings,
                dict(found.header),
                found.format,
                patient=found.patient,
                study=found.study,
                changed=found.changed,
            )
            memory.keep(staged, len(staged.data))
        return staged

    def stand_in(self, uid: str) -> str:
        """The UID that stands for this one in what is kept; '' for none."""
        return stand_in_uid(self._images.secret("deidentify"), uid) if uid else ""

    def pseudonym_of(self, what: str, value: str) -> str:
        """What stands for a value of that kind ('patient', 'accession') in what is kept."""
        return pseudonym(self._images.secret("deidentify"), what, value)

    def accession_of(self, number: str, patient: str) -> str:
        """What stands for an accession number of a person: a number alone is not unique (PS3.3 C.12.1.1.11).

        patient: the pseudonym. '' where either is missing.
        """
        return self.pseudonym_of("accession", f"{number}\0{patient}") if number and patient else ""

    def mark_of(self, data: bytes) -> str:
        """What tells whether the same bytes were sent again: keyed, so that nobody can try which they were."""
        return self.pseudonym_of("bytes", hashlib.sha256(data).hexdigest())

    def keep_within(self, session: Session, staged: Staged, *, actor: Actor) -> None:
        """The image's row, in the caller's transaction; its file is in the store before this is called.

        Sent again, its time to live begins anew; a file that was erased in between is written once more.
        """
        if self._write_row(session, _row_of(staged), actor):  # nobody erases it now: the row is ours until the commit
            self._images.keep(staged.sha256, staged.data)

    def stage(self, sent: Sent, *, actor: Actor) -> Staged:
        """Take one image in, without reading it. Raises as `receive`."""
        staged = self.receive(sent)
        self._images.keep(staged.sha256, staged.data)
        with self._database.begin() as session:
            self.keep_within(session, staged, actor=actor)
        return staged

    def _write_row(self, session: Session, row: dict[str, Any], actor: Actor) -> bool:
        """Whether the file that was written a moment ago is gone: it was erased, or removed as one that no row named.

        Shared storage is not asked about an image of which there was no row: it was written anew, and is too young.
        """
        new = write_image(session, row)
        told = {"format": row["format"], "n_bytes": row["n_bytes"]}
        record(session, actor, "image.received", f"image:{row['sha256']}", **told)
        return not (new and self._images.is_shared) and not self._images.exists(str(row["sha256"]))

    def staged(self, sha256: str) -> Staged:
        """An image that is in the store. Raises NotThere where it was erased meanwhile."""
        with self._database.reading() as session:
            row = session.get_one(ImageRow, sha256)
        with budget().reserve(self._images.size(sha256), share=_SHARE) as memory:
            staged = Staged(sha256, self._images.image(sha256), tuple(row.warnings), row.header)
            memory.keep(staged, len(staged.data))
        return staged

    def _item(self, name: str, content: bytes | UploadRefused) -> tuple[NewItem, dict[str, Any] | None]:
        """What becomes of one file of an upload: kept, with the row to write, or refused with the reason."""
        name = on_a_line(name)[:_LONGEST_NAME]
        try:
            if isinstance(content, UploadRefused):
                raise content
            staged = self.receive(content)
            self._images.keep(staged.sha256, staged.data)
            return NewItem(name, staged.sha256), _row_of(staged)
        except (ImageError, UploadRefused) as error:
            return NewItem(name, code=error.code, message=str(error)), None

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


def _row_of(staged: Staged) -> dict[str, Any]:
    return {
        "sha256": staged.sha256,
        "n_bytes": len(staged.data),
        "format": staged.format,
        "patient": staged.patient,
        "study": staged.study,
        "deidentified": staged.changed,
        "warnings": list(staged.notes),
        "header": staged.header,
        "received_at": now(),
    }


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
