"""Every mistake a user can make, as an exception whose sentence says what to do next.

SecondReadError
├── UsageError                 a name, an option or a table is wrong
│   ├── UnknownName            no such task, model, bundle, recipe or operating point
│   ├── TaskInvalid            a task file lacks a field or holds a wrong one
│   ├── DataInvalid            a manifest or folder of images cannot be used
│   ├── ExtraMissing           an optional dependency is not installed
│   ├── Objected               a site's scores speak against fitting a bundle to them; `objections` says why
│   ├── NotThere               no such reading, batch, account or token
│   ├── NotAllowed             this account may not do that
│   ├── Conflict               the state of things does not allow it any more
│   ├── IdempotencyKeyReused   a key came with another request than the first time
│   └── UploadRefused          an upload or archive is outside the bounds; `code` names why
├── Cancelled                  a caller ended its run from a progress callback
├── ReadingRefused             an image of several was refused where an answer is needed; `index` and `code` say which
├── CannotOpen                 a path does not exist or may not be read
├── CannotWrite                a file cannot be written where it should be
│   └── DiskFull               there is no room left for it
├── ImageError                 the bytes cannot become an image; `code` names the refusal
│   ├── NotAnImage
│   ├── ImageTooLarge
│   ├── TruncatedImage
│   └── UnsupportedImage
│       ├── NotUnpacked        an archive in place of an image
│       └── NoSuchFrame        of a file with fewer frames
├── BundleError
│   ├── BundleDamaged          a file is missing or not what was written
│   └── BundleForeign          not a bundle of ours, or of a version not known here
├── ServiceError               what the service keeps cannot be used
│   ├── DatabaseUnusable       cannot be reached, or is of a version not known here
│   │   └── DatabaseAway       does not answer now, or is locked; `retry_after` says when to ask again
│   ├── StorageAway            where images are kept does not answer now; `retry_after` says when to ask again
│   ├── TrailBroken            the audit trail is not as it was written
│   ├── BackupDamaged          an archive is not as it was written
│   └── Busy                   no turn or no memory in time; `retry_after` says when to ask again
├── LoginRefused               name or password is wrong, or the account is disabled
│   └── LoginThrottled         too many failures; `retry_after` says how long to wait
├── OneClassOnly               a measure needs both classes
├── DownloadError              a public original could not be fetched
└── TrainingError              a run cannot start, go on or be exported
"""

import difflib
from collections.abc import Iterable
from typing import Any

_LONGEST_NAME = 80  # characters of a name that is said back


class SecondReadError(Exception):
    """A mistake that the user can mend; the message says how."""

    def __reduce__(self) -> tuple[Any, ...]:
        """From one process to another: some are made of more than their sentence."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[SecondReadError], args: tuple[Any, ...], facts: dict[str, Any]) -> SecondReadError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class UsageError(SecondReadError):
    """A name, an option or a table is wrong."""


class UnknownName(UsageError):
    """No such task, model, bundle, recipe or operating point."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str]) -> "UnknownName":
        """An error that suggests the nearest of the known names."""
        known = sorted(known)
        name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        near = near or [k for k in known if name and (k.startswith(name) or _initials(k) == name)][:1]
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known) or 'none'}"
        return cls(f"unknown {kind} '{name}'; {hint}")


def _initials(name: str) -> str:
    """'tuberculosis' is often typed 'tb': first letter and the first letter of a later syllable."""
    return name[:1] + name[2:3] if len(name) > 2 else name


class TaskInvalid(UsageError):
    """A task file lacks a field or holds a wrong one."""


class DataInvalid(UsageError):
    """A manifest or a folder of images cannot be used as it is."""


class ExtraMissing(UsageError):
    """An optional dependency is not installed."""

    @classmethod
    def of(cls, what: str, extra: str) -> "ExtraMissing":
        """The sentence that names the extra to install."""
        return cls(f"{what} needs the extra '{extra}': pip install 'secondread[{extra}]'")


class Objected(UsageError):
    """A site's scores speak against fitting a bundle to them: a reader would be worse off with the new one."""

    def __init__(self, message: str, *, warnings: tuple[str, ...], objections: tuple[str, ...]):
        super().__init__(message)
        self.warnings = warnings
        self.objections = objections


class NotThere(UsageError):
    """No such reading, batch, account or token."""


class NotAllowed(UsageError):
    """This account may not do that."""


class Conflict(UsageError):
    """The state of things does not allow it any more, or not yet."""


class IdempotencyKeyReused(UsageError):
    """An Idempotency-Key came with another request than the first time."""

    def __init__(self, message: str = "this Idempotency-Key came with another request; choose a new one"):
        super().__init__(message)


class UploadRefused(UsageError):
    """An upload or an archive is outside the bounds; `code` names why."""

    def __init__(self, message: str, *, code: str):
        super().__init__(message)
        self.code = code


class ServiceError(SecondReadError):
    """What the service keeps cannot be used."""


class DatabaseUnusable(ServiceError):
    """The database cannot be reached, or is of a version not known here."""


class DatabaseAway(DatabaseUnusable):
    """It does not answer now, or another process keeps it locked: nothing was stored, and it passes."""

    def __init__(self, message: str, *, retry_after: float):
        super().__init__(message)
        self.retry_after = retry_after  # seconds


class StorageAway(ServiceError):
    """Where images are kept does not answer now: nothing was stored, and it passes."""

    def __init__(self, message: str, *, retry_after: float):
        super().__init__(message)
        self.retry_after = retry_after  # seconds


class TrailBroken(ServiceError):
    """The audit trail is not as it was written."""


class BackupDamaged(ServiceError):
    """An archive is not as it was written."""


class Busy(ServiceError):
    """No turn, or no memory to decode in, was to be had in time."""

    def __init__(self, message: str, *, retry_after: float):
        super().__init__(message)
        self.retry_after = retry_after  # seconds


class LoginRefused(SecondReadError):
    """Name or password is wrong, or the account is disabled: which of them is never told."""


class LoginThrottled(LoginRefused):
    """Too many failures of late."""

    def __init__(self, message: str, *, retry_after: float):
        super().__init__(message)
        self.retry_after = retry_after  # seconds


class Cancelled(SecondReadError):
    """Raised by a caller's progress callback to end a run; the same call goes on where the run can."""


class ReadingRefused(SecondReadError):
    """One image of several was refused where each needs an answer."""

    def __init__(self, message: str, *, index: int, code: str):
        super().__init__(message)
        self.index = index  # of the image, from 0
        self.code = code  # of its refusal


class CannotOpen(SecondReadError):
    """A path does not exist or may not be read."""


class CannotWrite(SecondReadError):
    """A file cannot be written where it should be."""


class DiskFull(CannotWrite):
    """There is no room left for it."""


class ImageError(SecondReadError):
    """The bytes cannot become an image; `code` names the refusal."""

    code = "not_an_image"


class NotAnImage(ImageError):
    """The bytes carry no signature of an image format."""

    code = "not_an_image"


class ImageTooLarge(ImageError):
    """More pixels or bytes than the limits allow; found before decoding."""

    code = "too_large"


class TruncatedImage(ImageError):
    """The file ends early or its contents are damaged."""

    code = "truncated"


class UnsupportedImage(ImageError):
    """An image, but of a kind that cannot be decoded here."""

    code = "unsupported"


class NotUnpacked(UnsupportedImage):
    """An archive, which may hold images and is none."""

    code = "archive"


class NoSuchFrame(UnsupportedImage):
    """A frame, page or slice that the file does not have."""

    code = "no_such_frame"


class BundleError(SecondReadError):
    """A bundle cannot be loaded."""


class BundleDamaged(BundleError):
    """A file of the bundle is missing or is not what was written."""


class BundleForeign(BundleError):
    """Not a bundle of this project, or of a version not known here."""


class OneClassOnly(SecondReadError):
    """A measure needs both classes and only one is there."""


class DownloadError(SecondReadError):
    """A public original could not be fetched whole."""


class TrainingError(SecondReadError):
    """A run cannot start, go on or be exported."""
