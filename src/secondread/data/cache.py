"""Prepared images kept as one memory-mapped array, made once for each content and preprocessing."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from secondread.data.manifest import Manifest, Row, digest_of, new_digest
from secondread.errors import CannotOpen, DataInvalid, ExtraMissing, ImageError
from secondread.files import write_text
from secondread.images import PrepareSpec, decode, prepare


@contextmanager
def locked(path: Path, *, what: str, timeout_s: float = -1) -> Iterator[None]:
    """Hold the lock file `path`; the operating system lets go of it when a process dies.

    timeout_s: -1 waits for as long as it takes. Raises TimeoutError, or ExtraMissing that says `what` needs the lock.
    """
    try:
        from filelock import FileLock
    except ImportError as error:
        raise ExtraMissing.of(what, "train") from error
    with FileLock(path, timeout=timeout_s):  # its Timeout is a TimeoutError
        yield


PREPROCESSING_VERSION = 4  # raise it when `images.decode` or `images.prepare` give other pixels for the same file
_ASIDE = ".part"
_CHUNK = 256  # images copied at a time
_LISTED = 5  # unreadable images named in an error

Progress = Callable[[int, int], None]  # done, total


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Prepared images with their labels and rows, all in the same order."""

    images: np.ndarray  # uint8 (n, size, size, channels), memory-mapped, read-only
    labels: np.ndarray  # bool (n,)
    rows: tuple[Row, ...]
    skipped: tuple[tuple[Row, str], ...] = ()  # unreadable images and why; in none of the above

    def __len__(self) -> int:
        return len(self.rows)


def prepared_cache(
    manifest: Manifest,
    spec: PrepareSpec,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    on_bad: Literal["raise", "skip"] = "raise",
) -> PreparedSet:
    """Every image of the manifest as `images.prepare(decode(bytes), spec).pixels`, from the cache or into it.

    The cache is found by the preprocessing and the content of every file, in order: a changed file or spec makes
    another. Two processes may ask at once; one builds, the other waits. Labels are the manifest's, never the cache's.

    folder: where caches are kept; by default $SECONDREAD_CACHE, or the user's cache folder.
    on_bad: what to do with unreadable images: 'raise' DataInvalid that lists them, or 'skip' and report them.
    """
    folder = folder or _default_folder()
    readable, digests, closed = _digests(manifest)
    entry = _Entry(folder, _key(digests, spec), (len(readable), spec.size, spec.size, spec.depth))
    try:
        bad = _find_or_build(readable, digests, spec, entry, progress)
    except OSError as error:
        why = error.strerror or error
        raise CannotOpen(
            f"cannot keep prepared images in '{folder}': {why}; name another in SECONDREAD_CACHE"
        ) from error
    skipped = closed + [(readable.rows[number], why) for number, why in sorted(bad.items())]
    if skipped and (on_bad == "raise" or len(skipped) == len(manifest)):
        raise DataInvalid(_complaint(skipped, len(manifest)))
    rows = tuple(row for number, row in enumerate(readable.rows) if number not in bad)
    return PreparedSet(entry.load(), Manifest(rows, manifest.folder).labels, rows, tuple(skipped))


@dataclass(frozen=True)
class _Entry:
    """One cache: the array of the readable images, and beside it what could not be read."""

    folder: Path
    key: str
    shape: tuple[int, int, int, int]  # were every image readable

    @property
    def array(self) -> Path:
        return self.folder / f"{self.key}.npy"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.key}.json"

    def bad(self) -> dict[int, str] | None:
        """Reasons by number of the row that could not be read; None if the cache is not there or damaged."""
        try:
            bad = {int(number): str(why) for number, why in json.loads(self.report.read_bytes()).items()}
            images = self.load()
        except (OSError, ValueError, EOFError, AttributeError):
            return None
        whole = images.shape == (self.shape[0] - len(bad), *self.shape[1:]) and images.dtype == np.uint8
        offset = getattr(images, "offset", 0)
        return bad if whole and self.array.stat().st_size == offset + images.nbytes else None

    def load(self) -> np.ndarray:
        """The array, memory-mapped and read-only."""
        return np.load(self.array, mmap_mode="r", allow_pickle=False)

    def create(self, path: Path, n_images: int) -> np.memmap:
        """A new array file to write to, its room on the disk taken: what outgrows a disk later kills the process."""
        images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n_images, *self.shape[1:]))
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return images


def _find_or_build(
    manifest: Manifest, digests: list[str], spec: PrepareSpec, entry: _Entry, progress: Progress | None
) -> dict[int, str]:
    """Make sure that the cache is there; return what could not be read."""
    entry.folder.mkdir(parents=True, exist_ok=True)
    bad = entry.bad()
    if bad is None:
        with locked(entry.folder / f"{entry.key}.lock", what="the cache of prepared images"):
            bad = entry.bad()  # another process may have built it meanwhile
            if bad is None:
                return _build(manifest, digests, spec, entry, progress)
    if progress is not None:
        progress(len(manifest), len(manifest))
    return bad


def _build(
    manifest: Manifest, digests: list[str], spec: PrepareSpec, entry: _Entry, progress: Progress | None
) -> dict[int, str]:
    """Write the cache aside, then rename it; the lock is held. Returns what could not be read."""
    _check_space(entry)
    aside = entry.array.with_suffix(f".npy{_ASIDE}")
    try:
        images = entry.create(aside, len(manifest))
        bad = _fill(images, manifest, digests, spec, progress)
        images.flush()
        if bad:
            _drop(images, sorted(bad), aside, entry)
        write_text(entry.report, json.dumps(bad))
        aside.replace(entry.array)  # last: with it the cache is whole
    finally:
        for left in entry.folder.glob(f"{entry.key}.*{_ASIDE}"):  # by a process that was killed, too
            left.unlink()
    return bad


def _fill(
    images: np.ndarray, manifest: Manifest, digests: list[str], spec: PrepareSpec, progress: Progress | None
) -> dict[int, str]:
    """Prepare every image into its place. A thread holds one file at a time, so memory stays bounded."""

    def place(number: int) -> str:
        path = manifest.rows[number].path
        data = path.read_bytes() if path.is_file() else b""
        if new_digest(data).hexdigest() != digests[number]:
            raise DataInvalid(f"'{path}' changed while it was read; run again when nothing writes to it")
        try:
            images[number] = prepare(decode(data), spec).pixels
        except ImageError as error:
            return str(error)
        return ""

    bad = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, why in enumerate(pool.map(place, range(len(manifest)))):
            if why:
                bad[number] = why
            if progress is not None:
                progress(number + 1, len(manifest))
    return bad


def _drop(images: np.ndarray, bad: list[int], aside: Path, entry: _Entry) -> None:
    """Rewrite the file aside without these images."""
    keep = np.setdiff1d(np.arange(len(images)), bad)
    dense = aside.with_suffix(f".dense{_ASIDE}")
    target = entry.create(dense, len(keep))
    for start in range(0, len(keep), _CHUNK):
        target[start : start + _CHUNK] = images[keep[start : start + _CHUNK]]
    target.flush()
    dense.replace(aside)


def _complaint(skipped: list[tuple[Row, str]], n_images: int) -> str:
    listed = "; ".join(f"'{row.name}': {why}" for row, why in skipped[:_LISTED])
    more = f"; and {len(skipped) - _LISTED} more" if len(skipped) > _LISTED else ""
    return f"{len(skipped)} of {n_images} images cannot be read ({listed}{more}); mend them or delete their rows"


def _digests(manifest: Manifest) -> tuple[Manifest, list[str], list[tuple[Row, str]]]:
    """The rows whose files open, the content digests of these, and the other rows with the reason."""

    def digest(row: Row) -> str | CannotOpen:
        try:
            return digest_of(row.path)
        except CannotOpen as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(zip(manifest.rows, pool.map(digest, manifest.rows), strict=True))
    closed = [(row, str(digest)) for row, digest in found if isinstance(digest, CannotOpen)]
    if len(closed) == len(manifest):
        raise DataInvalid(_complaint(closed, len(manifest)) if closed else "there are no images to prepare")
    opened = tuple(row for row, digest in found if isinstance(digest, str))
    return Manifest(opened, manifest.folder), [digest for _, digest in found if isinstance(digest, str)], closed


def _key(digests: list[str], spec: PrepareSpec) -> str:
    table = {"version": PREPROCESSING_VERSION, "spec": spec.to_dict(), "files": digests}
    return hashlib.blake2b(json.dumps(table, sort_keys=True).encode(), digest_size=16).hexdigest()


def _check_space(entry: _Entry) -> None:
    """A mapped file that outgrows its disk kills the process instead of raising: hence the look beforehand."""
    needed, free = int(np.prod(entry.shape)), shutil.disk_usage(entry.folder).free
    if needed > free:
        raise CannotOpen(
            f"prepared images need {needed / 1e6:.0f} MB and '{entry.folder}' has {free / 1e6:.0f} MB free; "
            "free some or set SECONDREAD_CACHE to another folder"
        )


def _default_folder() -> Path:
    if named := os.environ.get("SECONDREAD_CACHE"):
        return Path(named)
    try:
        from platformdirs import user_cache_path
    except ImportError as error:
        raise ExtraMissing.of("the cache of prepared images", "train") from error
    return user_cache_path("secondread", appauthor=False)
