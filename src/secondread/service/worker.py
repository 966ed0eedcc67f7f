"""Reads what waits in the queue, one image at a time; as many workers as one likes, in threads or processes."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from secondread.errors import NotThere, SecondReadError
from secondread.reading import AutoReader, OperatingPoint, Reader
from secondread.service.desk import Draft, draft_of
from secondread.service.image_store import ImageStore
from secondread.service.points import OperatingPoints
from secondread.service.queue import Asked, Claim, Queue
from secondread.service.readings import ReadingStore, StoredReading

AnyReader = Reader | AutoReader
ReadFunction = Callable[[Asked, bytes], Draft]
_RENEWALS = 90  # thirds of a lease: what takes longer than thirty of them hangs, and is another's to try
_LOG = logging.getLogger("secondread.service.worker")  # numbers and hashes only, never a file's name


class ReadingDesk:
    """From what is asked and an image's bytes to a draft, with the site's operating points; and what is known already.

    readers: a reader for (task or 'auto', bundle or ''), loaded once. Safe to share between threads.
    """

    def __init__(self, readers: Callable[[str, str], AnyReader], *, points: OperatingPoints | None = None):
        self._readers = readers
        self._points = points

    def read(self, asked: Asked, data: bytes) -> Draft:
        """One image's draft; a bad image is a refusal. Raises UnknownName and the errors of loading a bundle."""
        reader = self._readers(asked.task, asked.bundle)
        wanted = asked.operating_point
        site = wanted in ("", "site")
        reading = reader.read(data, operating_point=None if site else wanted, keep_image=True)
        used = self._used(reader, reading.task)
        point = self._site_point(used) if site and used is not None and reading.refusal is None else None
        return draft_of(reading, reader=used, point=point)

    def known(self, asked: Asked, image_sha256: str, store: ReadingStore) -> StoredReading | None:
        """The stored reading that answers what is asked; None where it has to be read."""
        if asked.task == "auto" and not asked.bundle:
            return None  # which task it is, the image itself must say
        reader = self._readers(asked.task, asked.bundle)
        if not isinstance(reader, Reader):
            return None
        site = self._site_point(reader) if asked.operating_point in ("", "site") else None
        named = None if asked.operating_point in ("", "site") else asked.operating_point
        point = site or (reader.operating_point if named is None else reader.bundle.operating_point(named))
        key = Draft(operating_point=point.name, threshold=point.threshold, low=point.low, high=point.high).point_key
        keys = [key] if asked.task == "auto" else [key, ""]  # '' finds this bundle's refusal
        sha256 = str(reader.bundle.record["sha256"])
        return store.find(image_sha256, bundle_sha256=sha256, point_keys=keys)

    def _used(self, reader: AnyReader, task: str | None) -> Reader | None:
        """The reader that answered."""
        if isinstance(reader, Reader):
            return reader
        return next((one for one in reader.readers if one.task.name == task), None)

    def _site_point(self, reader: Reader) -> OperatingPoint | None:
        return None if self._points is None else self._points.active_point(reader.bundle)


class Worker:
    """Takes images from the queue until told to stop. `known` and `read`: see ReadingDesk."""

    def __init__(
        self,
        queue: Queue,
        images: ImageStore,
        read: ReadFunction,
        *,
        known: Callable[[Asked, str], StoredReading | None] | None = None,
        poll_seconds: float = 0.5,
    ):
        self._queue = queue
        self._images = images
        self._read = read
        self._known = known
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
            known = self._known(claim.asked, claim.image_sha256) if self._known is not None else None
            if known is not None and self._queue.finish_from_store(claim, known):
                return
            draft = self._read(claim.asked, self._images.image(claim.image_sha256))
        except NotThere:
            self._queue.fail(claim, code="erased", message="the image is not kept any more; send it again")
        except SecondReadError as error:
            self._queue.fail(claim, code="cannot_read", message=str(error))
        except Exception:
            # A bug on one image must not stop the others; its traceback is for the log.
            _LOG.exception("item %d (image %s) could not be read", claim.id, claim.image_sha256[:12])
            self._queue.fail(claim, code="defect", message="reading it failed by a defect of secondread; see the log")
        else:
            self._queue.finish(claim, draft)
