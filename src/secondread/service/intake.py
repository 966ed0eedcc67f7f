"""What comes in: files, folders and archives, unpacked within bounds, de-identified and staged before they are queued.

Zip archives: how many members, how large, how much they swell, and nothing that points elsewhere. One level alone: an
archive in an archive is refused. Members are read one after the other, never written to disk, and counted as they come:
what the archive says of their size is checked first and not believed after.
"""

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import IO

from sqlalchemy.dialects import postgresql, sqlite

from secondread.errors import ImageError, UploadRefused
from secondread.images import Deidentified, Limits, deidentify
from secondread.service.database import Database
from secondread.service.image_store import ImageStore
from secondread.service.queue import NewItem, Queue, ReadingRequest
from secondread.service.tables import ImageRow, now
from secondread.service.trail import Actor, record

Sent = bytes | IO[bytes]  # or an open file that can seek
_CHUNK = 1 << 20  # bytes
_ENCRYPTED = 0x1
_HIDDEN = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_SMALL = 1 << 20  # members below this may swell as much as they like: a blank image does


@dataclass(frozen=True)
class Bounds:
    """What an upload may hold."""

    max_files: int = 2000
    max_bytes: int = 4_000_000_000  # of all files, unpacked
    max_file_bytes: int = 200_000_000
    max_ratio: int = 100  # unpacked to packed, of a member


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
    ) -> int:
        """Stage every file and queue them as one upload; gives its number.

        files: archives among them are unpacked, a member at a time. Files that are refused are items of the upload too,
        with the reason. Raises UploadRefused where the upload as a whole is outside the bounds or empty.
        """
        items = [self._item(name, content, actor) for name, content in self._unpacked(files)]
        if not items:
            raise UploadRefused("the upload holds no files; choose images or an archive of them", code="upload_empty")
        return self._queue.submit(asked, items, actor=actor, idempotency_key=idempotency_key)

    def stage(self, sent: Sent, *, actor: Actor) -> Staged:
        """Put one image into the store. Raises an ImageError; a file that is too large is not held in memory."""
        if not isinstance(sent, bytes):
            self.limits.check_bytes(sent.seek(0, io.SEEK_END))
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
        return Staged(sha256, self._images.image(sha256), tuple(row.warnings), row.header)

    def _item(self, name: str, content: bytes | UploadRefused, actor: Actor) -> NewItem:
        """What becomes of one file of an upload: staged, or refused with the reason."""
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
            if _is_zip(_signature(file)):
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


def _is_zip(data: bytes) -> bool:
    """By signature; an empty one too."""
    return data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def members(file: IO[bytes], bounds: Bounds) -> Iterator[tuple[str, bytes | UploadRefused]]:
    """(name, bytes) of each file, or (name, why it was refused); folders and the traces of file managers are left out.

    file: the archive, open and seekable; no more of it than a member at a time is in memory.
    Raises UploadRefused where the archive as a whole is outside the bounds, damaged or encrypted throughout.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
        raise UploadRefused(
            "the archive is damaged or cut short; pack and send it again", code="archive_damaged"
        ) from error
    with archive:
        files = [info for info in archive.infolist() if not info.is_dir() and not _hidden(info.filename)]
        _check_whole(files, bounds)
        left = bounds.max_bytes
        for info in files:
            try:
                content = _member(archive, info, bounds, left)
            except UploadRefused as error:
                if error.code == "upload_too_large":
                    raise
                yield info.filename, error
                continue
            left -= len(content)
            yield info.filename, content


def _check_whole(files: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    if len(files) > bounds.max_files:
        raise UploadRefused(
            f"the archive holds {len(files)} files, more than the {bounds.max_files} allowed; split it",
            code="too_many_files",
        )
    total = sum(info.file_size for info in files)
    if total > bounds.max_bytes:
        raise _too_large(bounds)
    if files and all(info.flag_bits & _ENCRYPTED for info in files):
        raise UploadRefused("the archive is encrypted; pack it without a password", code="archive_encrypted")
    spans = sorted((info.header_offset, info.header_offset + info.compress_size) for info in files)
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise UploadRefused("the archive's files overlap, as in no honest one; pack it again", code="archive_damaged")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, bounds: Bounds, left: int) -> bytes:
    _check_name(info.filename)
    if info.flag_bits & _ENCRYPTED:
        raise UploadRefused("this file is encrypted; pack it without a password", code="archive_encrypted")
    if info.file_size > bounds.max_file_bytes:
        raise _file_too_large(bounds)
    if info.file_size > max(_SMALL, bounds.max_ratio * max(info.compress_size, 1)):
        raise UploadRefused(
            f"this file swells more than {bounds.max_ratio} times when unpacked; send it as it is",
            code="swells_too_much",
        )
    most = min(bounds.max_file_bytes, left, max(_SMALL, bounds.max_ratio * max(info.compress_size, 1)))
    content = bytearray()
    try:
        with archive.open(info) as file:
            while chunk := file.read(_CHUNK):
                content += chunk
                if len(content) > most:
                    raise _too_large(bounds) if most == left else _file_too_large(bounds)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise UploadRefused("this file is damaged or packed in a way not read here", code="archive_damaged") from error
    if _is_zip(bytes(content[:4])):
        raise UploadRefused("an archive in an archive is not unpacked; send it by itself", code="archive_nested")
    return bytes(content)


def _check_name(name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise UploadRefused("this file's name points outside the archive; pack it again", code="archive_path")


def _hidden(name: str) -> bool:
    return any(part in _HIDDEN or part.startswith("._") for part in PurePosixPath(name).parts)


def _too_large(bounds: Bounds) -> UploadRefused:
    return UploadRefused(
        f"the upload unpacks to more than the {bounds.max_bytes / 1e6:.0f} MB allowed; send it in parts",
        code="upload_too_large",
    )


def _file_too_large(bounds: Bounds) -> UploadRefused:
    return UploadRefused(
        f"this file has more than the {bounds.max_file_bytes / 1e6:.0f} MB allowed; export it smaller", code="too_large"
    )
