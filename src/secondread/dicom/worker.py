"""What becomes of objects that were received: read, joined into series, and their results sent on, in three threads.

Any number of such workers may run, in any number of processes: each object, series and result is one's own while it is
at hand, and another's once that one has died.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from secondread.dicom.outbox import enqueue, send_due
from secondread.dicom.series import read_next
from secondread.errors import SecondReadError
from secondread.service import NODE, GetReader, Service, Worker

_LOG = logging.getLogger("secondread.dicom")


class NodeWorker:
    """Three threads: objects, series, and results, so that a peer that is away keeps nobody waiting."""

    def __init__(
        self,
        service: Service,
        readers: GetReader,
        settings: Mapping[str, Any] | None = None,
        *,
        poll_seconds: float = 0.5,
    ):
        """settings: of the service, for what is sent."""
        self._service = service
        self._settings = settings
        self._desk = service.desk(readers)
        self._objects = Worker(service.dicom, self._desk.look, poll_seconds=poll_seconds)
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (
                ("reading objects", self._objects.run),
                ("reading series", lambda: self._repeat(self.read_series, poll_seconds)),
                ("sending results", lambda: self._repeat(self.send, poll_seconds)),
            )
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look now: something was received in this process."""
        self._objects.wake()

    def close(self) -> None:
        """Finish what is at hand, and end."""
        self._objects.stop()
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=60)

    def read_series(self) -> bool:
        """Read one series; False where none is due."""
        return read_next(self._service, self._desk, actor=NODE) is not None

    def send(self) -> bool:
        """Hand on what was read, and send what is due; whether anything was sent."""
        self.tell()
        return send_due(self._service, self._settings) > 0

    def tell(self) -> None:
        """Hand every new reading to the outbox. Killed in between, it is handed on again: the outbox knows it then."""
        while found := self._service.dicom.untold():
            for reading_id, destinations in found.items():
                enqueue(self._service, reading_id, list(destinations), settings=self._settings)
                self._service.dicom.told(reading_id)

    def _repeat(self, step: Callable[[], bool], poll_seconds: float) -> None:
        """As Worker.run: what hinders everything is waited for."""
        wait = poll_seconds
        while not self._stopping.wait(wait):
            try:
                wait = 0.0 if step() else poll_seconds
            except (SecondReadError, OSError) as error:
                _LOG.error("%s: %s", threading.current_thread().name, error)
                wait = min(2 * wait + poll_seconds, 30.0)
            except Exception:
                _LOG.exception("%s: a defect of secondread", threading.current_thread().name)
                wait = 30.0
