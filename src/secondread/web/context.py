"""What an application holds: its service, the readers it has loaded, and the workers that read uploads."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from apiflask import APIFlask
from flask import current_app

from secondread.errors import UnknownName, UsageError
from secondread.images import Limits
from secondread.reading import AutoReader, Bundle, Reader, Reading, default_bundles, list_bundles
from secondread.reading import load as load_reader
from secondread.service import Service, Worker
from secondread.tasks import list_tasks

KEY = "secondread.service"


def service() -> Service:
    """That of the application that serves this request."""
    found: Service = current_app.extensions[KEY]
    return found


AUTO = "auto"
AnyReader = Reader | AutoReader
Load = Callable[..., AnyReader]


class Readers:
    """Loads a reader when it is first asked for. Safe to share between threads.

    ready: readers by name ('fracture', 'fracture/paper', 'auto') that need no loading.
    """

    def __init__(
        self, *, limits: Limits, parallel: int, ready: Mapping[str, AnyReader] | None = None, load: Load = load_reader
    ):
        self.limits = limits
        self._load = load
        self._ready: dict[str, AnyReader] = dict(ready or {})
        self._lock = threading.Lock()
        self._turn = threading.BoundedSemaphore(parallel)

    def get(self, task: str, bundle: str = "") -> AnyReader:
        """The reader for a task, 'auto' included, and the named or the default bundle. Raises UnknownName.

        Names only: a path is never taken from a request.
        """
        name = _reference(task, bundle)
        with self._lock:
            if name not in self._ready:
                if name != AUTO and name not in self.names():
                    kind = "bundle" if bundle else "trained task"
                    raise UnknownName.of(kind, name, self.names())
                self._ready[name] = self._load(name, limits=self.limits)
            return self._ready[name]

    def names(self) -> list[str]:
        """What can be asked for besides 'auto', sorted."""
        return sorted({*self._ready, *list_bundles(), *default_bundles()} - {AUTO})

    def bundled(self) -> list[Reader]:
        """One reader for each bundle, loaded where it is not yet."""
        readers = [self.get(*name.split("/", 1)) for name in self.names()]
        unique = {reader.bundle.id: reader for reader in readers if isinstance(reader, Reader)}
        return list(unique.values())

    def read(self, reader: AnyReader, data: bytes, **options: Any) -> Reading:
        """One image's answer, when it is its turn."""
        with self._turn:
            return reader.read(data, keep_image=True, **options)


def readers_of(
    settings: Mapping[str, Any], *, ready: Mapping[str, AnyReader] | None = None, load: Load | None = None
) -> Readers:
    """The readers that these settings ask for (MAX_MEGAPIXELS, MAX_FILE_MB, PARALLEL_READINGS, GATE)."""
    limits = Limits(max_pixels=settings["MAX_MEGAPIXELS"] * 10**6, max_bytes=settings["MAX_FILE_MB"] * 10**6)
    load = load or partial(load_reader, gate=settings["GATE"] != "off")
    return Readers(limits=limits, parallel=settings["PARALLEL_READINGS"], ready=ready, load=load)


def bundle_named(reference: str) -> Bundle:
    """The bundle 'task/name', with or without its hash, or a task's own choice. Raises UnknownName."""
    task, _, name = reference.partition("@")[0].partition("/")
    reader = readers().get(task, name)
    if not isinstance(reader, Reader):
        raise UnknownName.of("bundle", reference, readers().names())
    return reader.bundle


def readers() -> Readers:
    """Those of the application that serves this request."""
    found: Readers = current_app.extensions["secondread"]
    return found


def _reference(task: str, bundle: str) -> str:
    if task == AUTO and not bundle:
        return AUTO
    if task == AUTO:
        return bundle  # 'fracture/paper' says the task itself
    if task not in list_tasks():
        raise UnknownName.of("task", task, [AUTO, *list_tasks()])
    if bundle and bundle.partition("/")[0] not in (task, bundle):
        raise UsageError(f"bundle '{bundle}' is not of task '{task}'; name one of that task or leave the bundle out")
    return f"{task}/{bundle.rpartition('/')[2]}" if bundle else task


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
    found = Workers(app.extensions[KEY], app.extensions["secondread"], app.config["WORKERS"])
    app.extensions[_KEY] = found
    found.start()
    return found


def wake_workers() -> None:
    """Those of this process, if there are any; others look by themselves twice a second."""
    found: Workers | None = current_app.extensions.get(_KEY)
    if found is not None:
        found.wake()
