"""Storage that several hosts share: S3 or what speaks like it, through fsspec.

Credentials come from where AWS's programs look for them (AWS_ACCESS_KEY_ID, AWS_SHARED_CREDENTIALS_FILE, a role of the
host …) and are never among the settings, so no table of settings or line of a log can hold them.
"""

import errno
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from secondread.errors import DiskFull, ExtraMissing, NotThere, ServiceError, StorageAway, UsageError
from secondread.service.storage import GONE, LocalStorage, Storage, Stored, checked

_LOG = logging.getLogger("secondread.service")
_MARK = "secondread"  # a file that says that this is the place, and not an empty bucket of the same name
_SITE = "secondread-site"  # what all hosts have in common, as a hash
_MARKED = b"Images that secondread keeps. Delete nothing by hand: its database knows each by name.\n"
_RETRY_AFTER = 5.0  # seconds
_S3_OPTIONS = {  # a request waits for a file: no longer than a person would
    "config_kwargs": {"connect_timeout": 3, "read_timeout": 8, "retries": {"max_attempts": 0}},
    "use_listings_cache": False,  # another host may have written meanwhile
    "default_cache_type": "none",
}
_TRIES = 2  # of a request
_CHECK_SECONDS = 2.0  # that readiness waits
_THEIRS = ("botocore", "aiobotocore", "aiohttp", "fsspec", "s3fs")  # whose errors tell of the storage
_FULL = ("XMinioStorageFull", "InsufficientStorage", "QuotaExceeded")
_URL = re.compile(r"(s3|memory)://\w[\w.-]+(/\w[\w.=-]*)*/?")


def storage_of(folder: Path, url: str = "", *, endpoint: str = "") -> Storage:
    """The storage that is set: `s3://bucket/prefix`, or the data folder where `url` is empty.

    endpoint: of a server other than AWS's. Raises UsageError, ExtraMissing.
    """
    if not url:
        return LocalStorage(folder)
    if not _URL.fullmatch(url):
        raise UsageError(f"images is '{url}'; give s3://bucket/prefix, or leave it empty for the data folder")
    if find_spec("s3fs") is None:
        raise ExtraMissing.of("keeping images in S3", "s3")
    if not url.startswith("s3:"):
        return ObjectStorage(url)
    return ObjectStorage(url, **_S3_OPTIONS, **({"endpoint_url": endpoint} if endpoint else {}))


class ObjectStorage:
    """Files under one prefix. An upload that has ended is whole and durable: that is what object storage promises.

    options: of fsspec's file system. The constructor opens nothing.
    """

    def __init__(self, url: str, **options: Any):
        self.name = f"the storage '{url}'"
        self._protocol, _, root = url.rstrip("/").partition("://")
        self._root = root
        self._options = options
        self._opened: dict[int, Any] = {}  # by process: its thread of requests does not outlive a fork
        self._opening = threading.Lock()

    def prepare(self) -> None:
        """See that the bucket is there, and mark the place as ours."""
        with self._asking():
            if not self._fs.exists(self._at(_MARK)):
                self._fs.pipe_file(self._at(_MARK), _MARKED)
            kept = self._keeps_versions()
        if kept:
            _LOG.warning(
                "%s keeps old versions: what is erased here stays in them until a rule of the bucket deletes it; "
                "switch versioning off, or let noncurrent versions expire within the time that erasure may take",
                self.name,
            )

    def check(self) -> None:
        """It answers, and takes files."""
        from fsspec.asyn import sync

        with self._asking():
            if self._fs.async_impl:
                sync(self._fs.loop, self._fs._pipe_file, self._at(_MARK), _MARKED, timeout=_CHECK_SECONDS)
            else:
                self._fs.pipe_file(self._at(_MARK), _MARKED)

    def write(self, key: str, data: bytes) -> None:
        """One request."""
        self.write_many({key: data})

    def write_many(self, files: Mapping[str, bytes], *, once: bool = False) -> None:
        """Several requests at a time. once: the same bytes are sent again: asking first would cost as much."""
        paths = {self._at(checked(key)): data for key, data in files.items()}
        with self._asking():
            if len(paths) == 1:
                self._fs.pipe_file(*paths.popitem())
            elif paths:
                self._fs.pipe(paths)

    def append(self, key: str, line: bytes) -> None:
        """Read and written anew, whole: objects are never changed."""
        try:
            before = self.read(key)
        except NotThere:
            before = b""
        self.write(key, before + line)

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        with self._asking(key):
            return bytes(self._fs.cat_file(self._at(checked(key))))

    def size(self, key: str) -> int:
        """Without reading it."""
        with self._asking(key):
            return int(self._fs.info(self._at(checked(key)))["size"])

    def exists(self, key: str) -> bool:
        """Whether it is there. Raises StorageAway, and not 'no', where the storage does not answer."""
        try:
            self.size(key)
        except NotThere:
            return False
        return True

    def delete(self, *keys: str) -> int:
        """Those that are there."""
        here = [key for key in keys if self.exists(key)]
        with self._asking():
            for key in here:
                self._fs.rm_file(self._at(key))
        return len(here)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Folder by folder: memory does not grow with all that is there."""
        place, _, begin = prefix.rpartition("/")
        yield from self._below(self._at(place) if place else self._root, begin)

    def room(self) -> int | None:
        """Nobody says."""
        return None

    def agree(self, mark: str) -> bool:
        """The first that asks settles it."""
        try:
            return self.read(_SITE).decode("utf-8", "replace") == mark
        except NotThere:
            self.write(_SITE, mark.encode())
        return self.read(_SITE).decode("utf-8", "replace") == mark  # two may have been the first

    def _below(self, place: str, begin: str) -> Iterator[Stored]:
        with self._asking():
            try:
                found = self._listed(place, begin)
            except FileNotFoundError:  # no folder of that name, or no bucket
                self._confirm()
                return
        for one in sorted(found, key=lambda row: str(row["name"])):
            path = str(one["name"]).rstrip("/").removeprefix("/")
            name = path.rpartition("/")[2]
            key = path.removeprefix(f"{self._root}/")
            if not name.startswith(begin) or key in (_MARK, _SITE):
                continue
            if one["type"] == "directory":
                yield from self._below(path, "")
            else:
                yield Stored(key, int(one["size"]), _moment(one))

    def _listed(self, place: str, begin: str) -> Sequence[dict[str, Any]]:
        """What lies in a place; of S3 only what begins so: it need not send 4,000 names to find one."""
        if begin and self._protocol == "s3":
            return list(self._fs.find(place, prefix=begin, detail=True).values())
        return list(self._fs.ls(place, detail=True))

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}"

    @property
    def _fs(self) -> Any:
        import fsspec  # comes with the extra

        with self._opening:
            if os.getpid() not in self._opened:
                fs = fsspec.filesystem(self._protocol, **self._options)
                if self._protocol == "s3":
                    fs.retries = _TRIES
                self._opened = {os.getpid(): fs}
            return self._opened[os.getpid()]

    def _keeps_versions(self) -> bool:
        """Of S3; where nobody may ask, nobody is told."""
        if self._protocol != "s3":
            return False
        try:
            return bool(self._fs.is_bucket_versioned(self._root.partition("/")[0]))
        except PermissionError:
            return False

    def _confirm(self) -> None:
        """That something is not there is believed only of a place that is ours: a bucket that is gone, or another of
        the same name, says the same of every image.
        """
        if not self._fs.exists(self._at(_MARK)):
            raise self._away(f"there is no file '{_MARK}' in it: the bucket is gone, or is another one")

    @contextmanager
    def _asking(self, key: str = "") -> Iterator[None]:
        """What is said there, as an error of ours. key: of a file that may not be there."""
        try:
            yield
        except FileNotFoundError as error:
            with self._asking():
                self._confirm()
            if key:
                raise NotThere(GONE) from error
            raise self._away(str(error)) from error
        except Exception as error:
            if (told := self._told(error)) is None:
                raise
            raise told from error

    def _told(self, error: Exception) -> ServiceError | DiskFull | None:
        """None for what is a mistake of ours."""
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
            return ServiceError(f"{self.name} refuses this host ({_short(said)}); look at its keys and their rights")
        if any(word in said for word in _FULL) or getattr(error, "errno", None) == errno.ENOSPC:
            return DiskFull(f"{self.name} is full ({_short(said)}); free some space")
        module = type(error).__module__.partition(".")[0]
        if isinstance(error, (OSError, TimeoutError)) or module in _THEIRS:
            return self._away(said)
        return None

    def _away(self, reason: str) -> StorageAway:
        return StorageAway(f"{self.name} cannot be used: {_short(reason)}", retry_after=_RETRY_AFTER)


def _moment(row: Mapping[str, Any]) -> float:
    """When it was written, in seconds since 1970; each file system of fsspec has a name of its own for it."""
    when = row.get("LastModified") or row.get("created")
    return when.timestamp() if isinstance(when, datetime) else float(when or 0.0)


def _short(text: str) -> str:
    return " ".join(text.split())[:300]
