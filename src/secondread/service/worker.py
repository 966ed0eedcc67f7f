"""Reads what waits in the queue, one image at a time; as many workers as one likes, in threads or processes."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from secondread.errors import NotThere, SecondReadError
from secondread.service.queue import Claim, Queue, ReadingRequest
from secondread.service.readings import Draft, StoredReading

_RENEWALS = 90  # thirds of a lease: what takes longer than thirty of them hangs, and is another's to try
_LOG = logging.getLogger("secondread.service.worker")  # numbers and hashes only, never a file's name


class Worker:
    """Takes images from the queue until told to stop. look: as ReadingDesk.look."""

    def __init__(
        self,
        queue: Queue,
        look: Callable[[str, ReadingRequest], Draft | StoredReading],
        *,
        poll_seconds: float = 0.5,
    ):
        self._queue = queue
        self._look = look
        self._poll = poll_seconds
        self._woken = threading.Event()
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Look now: something was submitted in this process."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the image at hand and end."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Work until `stop`. A database that is away for a while is waited for."""
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                worked = self.step()
            except SecondReadError as error:
                _LOG.error("the queue cannot be used now: %s", error)
                worked = False
            if not worked:
                self._woken.wait(self._poll)

    def run_until_empty(self) -> int:
        """Work until nothing waits; gives how many items were closed."""
        n = 0
        while not self._stopping.is_set() and self.step():
            n += 1
        return n

    def step(self) -> bool:
        """Read one image; False where none waits."""
        claim = self._queue.claim()
        if claim is None:
            return False
        try:
            with self._held(claim):
                self._close(claim)
        except (KeyboardInterrupt, SystemExit):
            with suppress(SecondReadError):
                self._queue.give_back(claim)
            raise
        return True

    @contextmanager
    def _held(self, claim: Claim) -> Iterator[None]:
        """Renews the lease for as long as the image takes: a huge file on a slow machine is not read twice."""
        closed = threading.Event()

        def renew() -> None:
            for _ in range(_RENEWALS):
                if closed.wait(self._queue.lease.total_seconds() / 3):
                    return
                with suppress(SecondReadError):  # a database that is away for a moment: the next try may reach it
                    if not self._queue.renew(claim):
                        return

        renewing = threading.Thread(target=renew, name=f"lease of item {claim.id}", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            closed.set()
            renewing.join()

    def _close(self, claim: Claim) -> None:
        try:
            found = self._look(claim.image_sha256, claim.asked)
        except NotThere:
            self._queue.fail(claim, code="erased", message="the image is not kept any more; send it again")
        except SecondReadError as error:
            self._queue.fail(claim, code="cannot_read", message=str(error))
        except Exception:
            # A bug on one image must not stop the others; its traceback is for the log.
            _LOG.exception("item %d (image %s) could not be read", claim.id, claim.image_sha256[:12])
            self._queue.fail(claim, code="defect", message="reading it failed by a defect of secondread; see the log")
        else:
            self._queue.finish(claim, found)
