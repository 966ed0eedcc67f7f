"""Archives in S3, or in what speaks like it, through fsspec: listed page by page, fetched by whoever reads.

Credentials, region and endpoint come from where AWS's programs look for them (AWS_ACCESS_KEY_ID, AWS_PROFILE,
AWS_ENDPOINT_URL, a role of the host …); none is an argument, so none stands in a journal or a list of processes.
"""

import asyncio
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import IO, Any

from secondread.errors import CannotOpen, ExtraMissing, UploadRefused, UsageError
from secondread.screening.dicomweb import is_web, web_contents
from secondread.screening.picture import Picture, Remote

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]+)(?:/(.*))?", re.DOTALL)
_PAGE = 1000  # keys that are asked for at once: the most that S3 gives
_AHEAD = 8 << 20  # bytes of an archive that are fetched at once
_TRIES = 5  # of a request, each a little later
_GONE = "NoSuchBucket"


def is_remote(source: str) -> bool:
    """An address rather than a path."""
    return source.startswith("s3://") or is_web(source)


@dataclass(frozen=True)
class Found:
    """An object as its list or its head describes it."""

    key: str
    n_bytes: int
    stamp: str  # its ETag: of other bytes it is another one


@dataclass(frozen=True)
class Place:
    """s3://bucket/key: one object, or all below a prefix."""

    bucket: str
    key: str

    @classmethod
    def of(cls, address: str) -> "Place":
        """Raises UsageError for what is no address, ExtraMissing."""
        parts = _URL.fullmatch(address)
        if parts is None:
            raise UsageError(f"'{address}' is no address of a bucket; write s3://bucket/prefix")
        if find_spec("s3fs") is None:
            raise ExtraMissing.of("reading from S3", "scale")
        return cls(parts[1], parts[2] or "")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def found(self) -> Found | None:
        """The object of that very key; None where there is none, and the key is a prefix. Raises CannotOpen."""
        if not self.name:
            return None
        with asking(str(self)):
            try:
                head = _client().call_s3("head_object", Bucket=self.bucket, Key=self.key)
            except FileNotFoundError:
                return None
        return Found(self.key, int(head["ContentLength"]), str(head["ETag"]).strip('"'))

    def open(self, found: Found) -> IO[bytes]:
        """The object as a file that can seek, a part in memory at a time."""
        with asking(str(self)):
            file = _client().open(f"{self.bucket}/{found.key}", "rb", block_size=_AHEAD, cache_type="readahead")
        return _Told(file, str(self))  # type: ignore[return-value]

    def pictures(self) -> Iterator[Picture]:
        """All objects below the prefix, by name, hidden ones left out. Raises CannotOpen, also where there is none."""
        below = f"{self.key.rstrip('/')}/" if self.key else ""
        n = 0
        for found in self._listed(below):
            n += 1
            inside = found.key.removeprefix(below)
            if inside.endswith("/") or any(part.startswith(".") for part in inside.split("/")):
                continue
            place = f"s3://{self.bucket}/{found.key}"
            yield Picture(inside, Remote(place, found.n_bytes), found.stamp)
        if n == 0:
            raise CannotOpen(f"there is nothing in '{self}'; look at the name of the bucket and of what is in it")

    def _listed(self, below: str) -> Iterator[Found]:
        more: dict[str, Any] = {}
        while True:
            with asking(str(self)):
                page = _client().call_s3("list_objects_v2", Bucket=self.bucket, Prefix=below, MaxKeys=_PAGE, **more)
            for one in page.get("Contents", ()):
                yield Found(str(one["Key"]), int(one["Size"]), str(one["ETag"]).strip('"'))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}


def remote_picture(name: str, address: str) -> Picture:
    """The picture at an address that a table names: how large it is turns out when it is fetched."""
    return Picture(name, Remote(address, None))


def fetched(pictures: Iterable[Picture], *, most: int) -> list[Picture]:
    """The same, with what is in S3 or a DICOMweb server here. most: bytes of one.

    One that is not there, or may not be read, is refused by itself; where the storage does not answer, or knows neither
    keys nor bucket, it is no picture's fault. Raises CannotOpen.
    """
    pictures = list(pictures)
    remote = [one.content for one in pictures if isinstance(one.content, Remote)]
    if not remote:
        return pictures
    contents = _contents([one for one in remote if (one.n_bytes or 0) <= most], most)  # of S3 all at once
    too_large = UploadRefused(f"this file has more than the {most / 1e6:.0f} MB allowed", code="too_large")
    return [
        replace(one, content=contents.get(one.content.place, too_large)) if isinstance(one.content, Remote) else one
        for one in pictures
    ]


def _contents(wanted: list[Remote], most: int) -> dict[str, bytes | UploadRefused]:
    """Place → its bytes, or why there are none; nothing of one that is longer than it may be."""
    if web := [one.place for one in wanted if is_web(one.place)]:
        others = [one for one in wanted if not is_web(one.place)]
        return web_contents(web, most) | (_contents(others, most) if others else {})
    from fsspec.asyn import sync

    client = _client()

    async def get(one: Remote) -> bytes | None:
        path = one.place.removeprefix("s3://")
        if one.n_bytes is None and int((await client._info(path))["size"]) > most:
            return None
        return bytes(await client._cat_file(path))  # not `cat`, to which a key with a bracket is a pattern

    async def get_all() -> list[bytes | BaseException | None]:
        return await asyncio.gather(*map(get, wanted), return_exceptions=True)

    found: dict[str, bytes | UploadRefused] = {}
    for one, got in zip(wanted, sync(client.loop, get_all), strict=True):
        if not isinstance(got, BaseException):
            if got is not None:
                found[one.place] = got
            continue
        if not _of_one(got):
            with asking(one.place):
                raise got
        why = "is not there any more" if isinstance(got, FileNotFoundError) else "may not be read"
        found[one.place] = UploadRefused(f"cannot open '{one.place}': it {why}", code="cannot_open")
    return found


def _of_one(error: BaseException) -> bool:
    """Whether an error is about one object, and the others may be read all the same."""
    if isinstance(error, FileNotFoundError):
        return _GONE not in str(error) and "bucket" not in str(error)
    return isinstance(error, PermissionError) and "Access Denied" in str(error)


@contextmanager
def asking(address: str) -> Iterator[None]:
    """What the storage says, as an error of ours. Raises CannotOpen; FileNotFoundError of an object as it is."""
    try:
        yield
    except FileNotFoundError as error:
        if _of_one(error):
            raise
        raise CannotOpen(f"there is no bucket for '{address}'; look at its name and the endpoint") from error
    except CannotOpen:
        raise
    except Exception as error:
        module = type(error).__module__.partition(".")[0]
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        if isinstance(error, PermissionError) or "Credentials" in said:
            raise CannotOpen(
                f"'{address}' may not be read with the credentials at hand ({said}); set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role of this host that may list and read it"
            ) from error
        if isinstance(error, OSError | TimeoutError) or module in ("botocore", "aiobotocore", "aiohttp", "fsspec"):
            raise CannotOpen(
                f"the storage of '{address}' does not answer ({said}); ask the same again to go on where it was"
            ) from error
        raise


class _Told(io.RawIOBase):
    """A file of fsspec whose errors are ours: an archive is not damaged because a connection was."""

    def __init__(self, file: Any, address: str):
        self._file = file
        self._address = address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        with asking(self._address):
            return bytes(self._file.read(-1 if size is None else size))

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


@cache
def _client() -> Any:
    import fsspec  # comes with the extra

    patient = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 1}, "max_pool_connections": 50}
    found = fsspec.filesystem("s3", config_kwargs=patient, use_listings_cache=False, skip_instance_cache=True)
    found.retries = _TRIES
    return found
