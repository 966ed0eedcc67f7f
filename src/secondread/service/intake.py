"""What comes in: files, folders and archives, unpacked, de-identified and put into the store before they are queued."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO

from sqlalchemy.dialects import postgresql, sqlite

from secondread.errors import ImageError, UploadRefused
from secondread.images import Limits, deidentify, sniff
from secondread.images.deidentify import Deidentified
from secondread.service.archive import Bounds, is_zip, members
from secondread.service.chain import Actor, record
from secondread.service.database import Database
from secondread.service.image_store import ImageStore
from secondread.service.queue import Asked, NewItem, Queue
from secondread.service.tables import ImageRow, now

Sent = bytes | IO[bytes]  # or an open file that can seek


class Intake:
    """Takes uploads in. What is no image, or a DICOM file whose names cannot be taken out, never reaches the store."""

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
        files: Iterable[tuple[str, bytes | IO[bytes]]],
        asked: Asked,
        *,
        actor: Actor,
        idempotency_key: str | None = None,
    ) -> int:
        """Stage every file and queue them as one upload; gives its number.

        files: archives among them are unpacked, a member at a time. Files that are refused are items of the upload too,
        with the reason. Raises UploadRefused where the upload as a whole is outside the bounds or empty.
        """
        items = []
        for name, content in self._unpacked(files):
            items.append(
                NewItem(name, code=content.code, message=str(content))
                if isinstance(content, UploadRefused)
                else self._stage(name, content, actor)
            )
        if not items:
            raise UploadRefused("the upload holds no files; choose images or an archive of them", code="upload_empty")
        return self._queue.submit(asked, items, actor=actor, idempotency_key=idempotency_key)

    def stage(self, data: bytes, *, actor: Actor) -> tuple[str, tuple[str, ...]]:
        """Put one image into the store; its SHA-256 and what should be known of it. Raises an ImageError."""
        found = self._clean(data)
        sha256 = self._images.add(found.data)
        values = {
            "sha256": sha256,
            "n_bytes": len(found.data),
            "format": found.format,
            "patient": found.patient,
            "deidentified": found.changed,
            "warnings": list(found.warnings),
            "received_at": now(),
        }
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        again = {"received_at": values["received_at"], "erased_at": None}  # its time to live begins anew
        with self._database.begin() as session:
            session.execute(
                insert(ImageRow).values(**values).on_conflict_do_update(index_elements=["sha256"], set_=again)
            )
            record(session, actor, "image.received", f"image:{sha256}", format=found.format, n_bytes=len(found.data))
        if not self._images.exists("images", sha256):  # retention erased it in between
            self._images.add(found.data)
        return sha256, found.warnings

    def _stage(self, name: str, data: bytes, actor: Actor) -> NewItem:
        try:
            return NewItem(name, self.stage(data, actor=actor)[0])
        except ImageError as error:
            return NewItem(name, code=error.code, message=str(error))

    def _clean(self, data: bytes) -> Deidentified:
        if not self.keep_identifiers:
            return deidentify(data, key=self._images.secret("deidentify"), limits=self.limits)
        self.limits.check_bytes(len(data))
        kind = sniff(data)
        # The pseudonym is worked out all the same, so that images of one person belong together.
        patient = deidentify(data, key=self._images.secret("deidentify"), limits=self.limits).patient
        return replace(Deidentified(data, kind, False), patient=patient)

    def _unpacked(self, files: Iterable[tuple[str, Sent]]) -> Iterator[tuple[str, bytes | UploadRefused]]:
        n_files, left = 0, self.bounds.max_bytes
        for name, sent in files:
            file = io.BytesIO(sent) if isinstance(sent, bytes) else sent
            inside: Iterable[tuple[str, bytes | UploadRefused]]
            if is_zip(_signature(file)):
                inside = members(file, replace(self.bounds, max_bytes=max(left, 0)))
            else:
                inside = [(name, file.read())]
            for member, content in inside:
                n_files += 1
                if n_files > self.bounds.max_files:
                    raise UploadRefused(
                        f"the upload holds more than the {self.bounds.max_files} files allowed; send it in parts",
                        code="too_many_files",
                    )
                left -= len(content) if isinstance(content, bytes) else 0
                if left < 0:
                    raise UploadRefused(
                        f"the upload has more than the {self.bounds.max_bytes / 1e6:.0f} MB allowed; send it in parts",
                        code="upload_too_large",
                    )
                yield member, content


def _signature(file: IO[bytes]) -> bytes:
    start = file.read(4)
    file.seek(0)
    return start
