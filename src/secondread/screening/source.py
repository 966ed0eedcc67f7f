"""Where the pictures of an archive come from: a folder, a zip or tar file, a table of paths; here, in S3 or DICOMweb.

Always in one order, one picture after the other: what is held does not grow with the archive, but for the names of one
folder, the list of a zip file and that of a query's studies.
"""

import tarfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import IO

from secondread.errors import CannotOpen, SecondReadError
from secondread.files import shown
from secondread.images import Limits
from secondread.screening.archives import ZIP_SIGNATURES, count_lines, is_table, of_table, of_tar, of_zip
from secondread.screening.dicomweb import WebQuery, is_web
from secondread.screening.folder import count_folder, of_folder
from secondread.screening.objects import Place, is_remote
from secondread.screening.picture import Picture, Remote, stamp_of
from secondread.service.archives import n_listed


def pictures(source: str, *, limits: Limits, but: Iterable[Path] = ()) -> Iterator[Picture]:
    """What is to be read, in the same order each time; hidden files are left out.

    source: a path, s3://bucket/prefix or s3://bucket/archive, or a query as WebQuery.of takes it. but: files in the
    folder that are none of it: the table that is being made.
    Raises CannotOpen, DataInvalid for a table that is none, UploadRefused for an archive that cannot be read at all.
    """
    if is_web(source):
        yield from WebQuery.of(source).pictures(most=limits.max_bytes)
        return
    with ExitStack() as stack:
        if is_remote(source):
            place = Place.of(source)
            found = place.found()
            if found is None:
                yield from place.pictures()
                return
            file, name = stack.enter_context(place.open(found)), place.name
            alone = Picture(source, Remote(source, found.n_bytes), found.stamp)
        else:
            path = Path(source)
            if path.is_dir():
                yield from of_folder(path, but)
                return
            file, name = stack.enter_context(_opened(path)), path.name
            alone = Picture(shown(path), path, stamp_of(path.stat()))
        yield from _inside(file, source, name, limits) or [alone]


def count(source: str, *, but: Iterable[Path] = ()) -> int | None:
    """How many there are, or about as many, for the time left; None where only reading all of it would tell.

    A prefix in S3 is listed for it, a thousand keys a request. Raises as `pictures`.
    """
    if is_web(source):
        return WebQuery.of(source).count()
    with ExitStack() as stack:
        if is_remote(source):
            place = Place.of(source)
            found = place.found()
            if found is None:
                return sum(1 for _ in place.pictures())
            file, name = stack.enter_context(place.open(found)), place.name
        else:
            path = Path(source)
            if path.is_dir():
                return count_folder(path, but)
            file, name = stack.enter_context(_opened(path)), path.name
        start = file.read(4)
        file.seek(0)
        if start in ZIP_SIGNATURES:
            return n_listed(file)
        return count_lines(file) if is_table(name) else None


class Total:
    """How many pictures there are: known at once of what lies here, some time later of what lies in S3."""

    def __init__(self, source: str, *, but: Iterable[Path] = ()):
        self.n: int | None = None
        if is_remote(source):
            Thread(target=self._count, args=(source, ()), daemon=True).start()
        else:
            self._count(source, but)

    def _count(self, source: str, but: Iterable[Path]) -> None:
        with suppress(SecondReadError):  # whoever reads it will say so
            self.n = count(source, but=but)


def stamp(source: str) -> str:
    """That of an archive or table as a whole; '' of a folder, whose files have their own. Raises CannotOpen."""
    if is_web(source):
        WebQuery.of(source)  # a wrong address is told before anything is read
        return ""
    if is_remote(source):
        found = Place.of(source).found()
        return "" if found is None else found.stamp
    path = Path(source)
    with _opened(path) if not path.is_dir() else ExitStack():
        return "" if path.is_dir() else stamp_of(path.stat())


def _inside(file: IO[bytes], source: str, name: str, limits: Limits) -> Iterator[Picture] | None:
    """The pictures in an archive or a table; None where the file is a picture itself."""
    start = file.read(4)
    file.seek(0)
    if start in ZIP_SIGNATURES:
        return of_zip(file, limits)
    if is_table(name):
        return of_table(file, source)
    tar = tarfile.is_tarfile(file)
    file.seek(0)
    return of_tar(file, name, limits) if tar else None


def _opened(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise CannotOpen(f"'{shown(path)}' is neither a folder nor a file; name a folder, an archive or a table")
    try:
        return path.open("rb")
    except OSError as error:
        raise CannotOpen(f"cannot open '{shown(path)}': {error.strerror}") from error
