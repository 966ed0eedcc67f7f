"""The workers that read uploads inside the server, as threads; or none, where `secondread work` does it."""

import threading

from apiflask import APIFlask
from flask import current_app

from secondread.service import Service, Worker
from secondread.web._readers import Readers
from secondread.web._service import KEY as SERVICE

_KEY = "secondread.workers"


class Workers:
    """Threads that take from the queue until told to stop."""

    def __init__(self, service: Service, readers: Readers, n: int):
        self._workers: list[Worker] = [service.worker(readers.get) for _ in range(n)]
        self._threads = [
            threading.Thread(target=worker.run, name=f"worker-{at}", daemon=True)
            for at, worker in enumerate(self._workers)
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was submitted: look now."""
        for worker in self._workers:
            worker.wake()

    def stop(self, *, seconds: float = 10.0) -> None:
        """Finish the images at hand and end. What is not done by then is read after the next start."""
        for worker in self._workers:
            worker.stop()
        for thread in self._threads:
            thread.join(timeout=seconds)


def start_workers(app: APIFlask) -> Workers:
    """As many as the setting `workers` says."""
    found = Workers(app.extensions[SERVICE], app.extensions["secondread"], app.config["WORKERS"])
    app.extensions[_KEY] = found
    found.start()
    return found


def wake_workers() -> None:
    """Those of this process, if there are any; others look by themselves twice a second."""
    found: Workers | None = current_app.extensions.get(_KEY)
    if found is not None:
        found.wake()
