"""Images by the hash of their bytes, in the data folder or in storage that hosts share, and the site's secrets."""

import hashlib
import os
import re
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from secondread.errors import CannotWrite, NotThere, ServiceError, StorageAway, UsageError
from secondread.files import private_folder, sync
from secondread.service.storage import GONE, LocalStorage, Storage
from secondread.service.together import Together

_SHA256 = re.compile(r"[0-9a-f]{64}")
IMAGES = "images"
OF_BEFORE = ("thumbnails", "heatmaps")  # folders of pictures that earlier versions kept; see old_pictures
PICTURES = "pictures"  # drawn when they are looked at, kept for a while and in no backup (picture_cache.py)
KEY_FILE, ERASURES = "site.key", "erasures.jsonl"
_LEAST_KEY = 32  # bytes
_WRITTEN_WITHIN = 900.0  # seconds that writing a file takes at the very most
_MOST_TOGETHER = 32  # images that are written in one go


class ImageStore:
    """Safe with several processes: an image is whole or not there, and never changes.

    images/ab/abcd… in the storage: the bytes as they are kept, named by their SHA-256. The data folder holds what is
    this host's: the secret, unless key_file names one that several hosts share, and drawn pictures.
    The constructor touches nothing; `prepare` makes the folders.
    """

    def __init__(self, folder: Path, storage: Storage | None = None, *, key_file: str = ""):
        self.folder = folder
        self.storage = storage or LocalStorage(folder)
        self._key_file = Path(key_file).expanduser() if key_file else None
        self._site_key = b""
        self._together: Together[tuple[str, bytes], None] = Together(self._write, most=_MOST_TOGETHER)

    @property
    def is_shared(self) -> bool:
        """Whether other hosts, each with a data folder of its own, keep their images in the same place."""
        return not isinstance(self.storage, LocalStorage)

    def prepare(self) -> None:
        """Make the folders, for the owner alone. Raises ServiceError."""
        try:
            private_folder(self.folder if self.is_shared else self.folder / IMAGES)
        except OSError as error:
            raise ServiceError(
                f"the data folder '{self.folder}' cannot be used ({error.strerror}); name another with --data-folder"
            ) from error
        self.storage.prepare()
        self._agree()

    def check(self) -> None:
        """Raise DiskFull, CannotWrite or StorageAway unless there is room to keep images: for readiness."""
        self.storage.check()

    def add(self, data: bytes) -> str:
        """Keep these bytes and give their SHA-256, as `keep`."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.keep(sha256, data)
        return sha256

    def keep(self, sha256: str, data: bytes) -> None:
        """Keep these bytes, of which that is the SHA-256; the same are kept once. Durable when it returns.

        What several threads keep at once waits for the disk together. Raises ServiceError.
        """
        self._together((sha256, data))

    def image(self, sha256: str) -> bytes:
        """The kept bytes, checked. Raises NotThere, or ServiceError if the file is damaged."""
        data = self.storage.read(_key(sha256))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ServiceError(f"the stored image {sha256[:12]}… is damaged; restore it from a backup")
        return data

    def size(self, sha256: str) -> int:
        """Bytes of a kept image. Raises NotThere."""
        return self.storage.size(_key(sha256))

    def exists(self, sha256: str) -> bool:
        """Whether the image is there."""
        return self.storage.exists(_key(sha256))

    def forget(self, sha256: str, *, unfinished: bool = False) -> int:
        """Delete an image and every picture that was ever made of it, whatever frame or bundle; how many files.

        unfinished: also what a kill left of writing one, for which whole folders are gone through.
        """
        n = self.storage.delete(_key(sha256))
        for kind in (IMAGES, *OF_BEFORE, PICTURES):
            folder = self.folder / kind / sha256[:2]
            found = [] if kind == IMAGES else sorted(folder.glob(f"{sha256}*"))
            found += filter(_is_left, folder.glob(f".{sha256}*")) if unfinished else ()
            for path in found:
                path.unlink(missing_ok=True)
            if found:
                sync(folder)
            n += len(found)
        return n

    def secret(self, purpose: str) -> bytes:
        """32 bytes that only this site has, another for each purpose; made at the first call, kept in the folder.

        Raises ServiceError where the file that is named for it is missing or too short.
        """
        self._site_key = self._site_key or self._read_key()
        return hashlib.blake2b(self._site_key, digest_size=32, person=purpose.encode()[:16]).digest()

    def _read_key(self) -> bytes:
        path = self._key_file or self.folder / KEY_FILE
        if self._key_file is None and not path.is_file():
            self._make_key(path)
        try:
            key = path.read_bytes()
        except OSError as error:
            raise ServiceError(f"the site's key '{path}' cannot be read: {error.strerror}") from error
        if len(key) < _LEAST_KEY:
            raise ServiceError(f"the site's key '{path}' has {len(key)} bytes; it takes {_LEAST_KEY} that are random")
        return key

    def _write(self, asked: Sequence[tuple[str, bytes]]) -> list[Exception | None]:
        """All in one go; where that fails each alone, so that the error is only its own."""
        files = {_key(sha256): data for sha256, data in asked}
        try:
            self.storage.write_many(files, once=True)
        except StorageAway:  # it is nobody's own
            raise
        except (ServiceError, CannotWrite):
            if len(asked) == 1:
                raise
            return [self._write_one(*one) for one in asked]
        return [None] * len(asked)

    def _write_one(self, sha256: str, data: bytes) -> Exception | None:
        try:
            self.storage.write_many({_key(sha256): data}, once=True)
        except (ServiceError, CannotWrite) as error:
            return error
        return None

    def _agree(self) -> None:
        """Hosts with other secrets would not know each other's names and repeated requests. Raises UsageError."""
        if not self.is_shared:
            return
        if self._key_file is None:
            raise UsageError(
                "with images in shared storage every host needs the same secret: name a file of 32 random bytes with "
                "the setting site_key (openssl rand 32 > site.key)"
            )
        if not self.storage.agree(self.secret("host").hex()):
            raise UsageError(
                f"the site's key '{self._key_file}' is another than that of the hosts before; give every host the same"
            )

    def _make_key(self, path: Path) -> None:
        handle, aside = tempfile.mkstemp(dir=self.folder, prefix=".key-")  # mode 0600
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_LEAST_KEY))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)  # fails where another process was first: its key holds
        except FileExistsError:
            pass
        finally:
            Path(aside).unlink()
        sync(self.folder)


def _is_left(path: Path) -> bool:
    """Whether nobody is writing this file any more."""
    try:
        return time.time() - path.stat().st_mtime > _WRITTEN_WITHIN
    except FileNotFoundError:
        return False


def _key(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):  # never a path from outside
        raise NotThere(GONE)
    return f"{IMAGES}/{sha256[:2]}/{sha256}"
