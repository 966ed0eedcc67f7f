"""Reads what waits in the queue, one image at a time; as many workers as one likes, in threads or processes.

What hinders every image alike (the database is away, the disk is full, no memory is free) is waited for, and is no
image's fault: its item goes back and counts no attempt. What is stored of an image that cannot be read are sentences of
our own: an error's words may name folders, servers or statements, which are for the log.
"""

import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Protocol

from secondread.errors import (
    BundleError,
    Busy,
    CannotWrite,
    DatabaseUnusable,
    NotThere,
    SecondReadError,
    StorageAway,
    UsageError,
)
from secondread.images.steps import step
from secondread.service.outcomes import Draft, StoredReading
from secondread.service.uploads import Claim, ReadingRequest

_RENEWALS = 90  # thirds of a lease: what takes longer than thirty of them hangs, and is another's to try
_OUTAGES = (DatabaseUnusable, StorageAway, CannotWrite, Busy)
_SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.ESTALE)
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between tries while nothing can be read
_LOG = logging.getLogger("secondread.service.worker")  # numbers and hashes only, never a file's name


@contextmanager
def holding(renew: Callable[[], bool], lease: timedelta, what: str) -> Iterator[None]:
    """Renews a lease for as long as this lasts: a huge file on a slow machine is not read twice.

    renew: prolongs it; False where it has been lost. what: whose it is, for the thread's name.
    """
    closed = threading.Event()

    def prolong() -> None:
        for _ in range(_RENEWALS):
            if closed.wait(lease.total_seconds() / 3):
                return
            with suppress(SecondReadError):  # a database that is away for a moment: the next try may reach it
                if not renew():
                    return

    renewing = threading.Thread(target=prolong, name=f"lease of {what}", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        closed.set()
        renewing.join()


class WorkQueue(Protocol):
    """Where images wait: the queue of uploads, or what a DICOM node received. See Queue."""

    lease: timedelta

    def claim(self) -> Claim | None:
        """The next image to read, now this worker's."""

    def renew(self, claim: Claim) -> bool:
        """Prolong the lease; False where it has been lost."""

    def finish(self, claim: Claim, found: Draft | StoredReading) -> StoredReading | None:
        """Store the reading."""

    def fail(self, claim: Claim, *, code: str, message: str) -> bool:
        """Close it without one."""

    def give_back(self, claim: Claim, *, seconds: float = 0.0) -> None:
        """Put it back."""


class Worker:
    """Takes images from the queue until told to stop. look: as ReadingDesk.look. idle: asked where none waits; True
    where it did something.
    """

    def __init__(
        self,
        queue: WorkQueue,
        look: Callable[[str, ReadingRequest], Draft | StoredReading],
        *,
        poll_seconds: float = 0.5,
        idle: Callable[[], bool] = lambda: False,
    ):
        self._queue = queue
        self._look = look
        self._poll = poll_seconds
        self._idle = idle
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._owed: deque[Claim] = deque(maxlen=100)  # items that could not be given back yet

    def wake(self) -> None:
        """Look now: something was submitted in this process."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the image at hand and end."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Work until `stop`. What hinders every image is waited for, longer and longer up to half a minute."""
        wait, since = 0.0, 0.0
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                worked = self.step() or self._idle()
            except (SecondReadError, OSError) as error:
                if not wait:
                    since = time.monotonic()
                    _LOG.error("nothing can be read now; trying again until it can: %s", error)
                wait = min(2 * wait, _LONGEST_WAIT) if wait else _FIRST_WAIT
                self._stopping.wait(wait)
                continue
            if wait:
                _LOG.warning("images are read again, after %.0f s", time.monotonic() - since)
                wait = 0.0
            if not worked:
                self._woken.wait(self._poll)

    def run_until_empty(self) -> int:
        """Work until nothing waits; gives how many items were closed. Raises what hinders every image."""
        n = 0
        while not self._stopping.is_set() and self.step():
            n += 1
        return n

    def step(self) -> bool:
        """Read one image; False where none waits.

        Raises DatabaseUnusable, StorageAway, CannotWrite, Busy or OSError where none can be read now; the item at hand
        is back in the queue then, or will be at the next step that reaches the database.
        """
        self._give_back_owed()
        claim = self._queue.claim()
        if claim is None:
            return False
        try:
            with step("item"), holding(lambda: self._queue.renew(claim), self._queue.lease, f"item {claim.id}"):
                self._close(claim)
        except (KeyboardInterrupt, SystemExit):
            with suppress(SecondReadError):
                self._queue.give_back(claim)
            raise
        except Busy as error:  # the image alone may be too large for what is free now: smaller ones go first
            self._return(claim, seconds=error.retry_after)
            raise
        except (SecondReadError, OSError):
            self._return(claim)
            raise
        return True

    def _return(self, claim: Claim, *, seconds: float = 0.0) -> None:
        try:
            self._queue.give_back(claim, seconds=seconds)
        except SecondReadError:
            self._owed.append(claim)

    def _give_back_owed(self) -> None:
        while self._owed:
            self._queue.give_back(self._owed[0])
            self._owed.popleft()

    def _close(self, claim: Claim) -> None:
        """Raises what hinders every image; all else closes the item."""
        try:
            self._queue.finish(claim, self._look(claim.image_sha256, claim.asked))
        except _OUTAGES:
            raise
        except NotThere:
            self._queue.fail(claim, code="erased", message="the image is not kept any more; send it again")
        except UsageError as error:  # a name that is not here any more: its sentence speaks of names alone
            self._queue.fail(claim, code="cannot_read", message=str(error))
        except BundleError as error:
            _LOG.error("item %d: %s", claim.id, error)
            message = "the model for this task cannot be loaded; the server's log says why"
            self._queue.fail(claim, code="cannot_read", message=message)
        except SecondReadError as error:
            _LOG.error("item %d (image %s): %s", claim.id, claim.image_sha256[:12], error)
            message = "the image cannot be read from where it is kept; the server's log says why"
            self._queue.fail(claim, code="cannot_read", message=message)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _SCARCE:
                raise
            # A bug on one image must not stop the others; its traceback is for the log.
            _LOG.exception("item %d (image %s) could not be read", claim.id, claim.image_sha256[:12])
            self._queue.fail(claim, code="defect", message="reading it failed by a defect of secondread; see the log")
