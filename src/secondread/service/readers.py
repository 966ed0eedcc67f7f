"""The readers that a service has loaded: by name alone, once, shared between threads."""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from secondread.errors import Busy, CannotOpen, SecondReadError, UnknownName, UsageError
from secondread.images import Limits, budget
from secondread.reading import (
    AutoReader,
    OwnBundles,
    Reader,
    default_bundles,
    list_bundles,
    load_named,
    own_bundles,
    own_folder,
    use_own_bundles,
)
from secondread.tasks import list_tasks

AnyReader = Reader | AutoReader
GetReader = Callable[[str, str], AnyReader]  # (task or 'auto', bundle or '') → its reader, loaded once
AUTO = "auto"
Load = Callable[..., AnyReader]
_LOG = logging.getLogger(__name__)


class Turn:
    """So many images are read at once. A block takes a turn; Busy where there is none within `patience` seconds.

    Who waits for a turn takes a thread of the server from others, so nobody waits for long.
    """

    def __init__(self, parallel: int, *, patience: float = budget.PATIENCE):
        self.patience = patience
        self._free = threading.BoundedSemaphore(parallel)

    def __enter__(self) -> None:
        if not self._free.acquire(timeout=self.patience):
            raise Busy("as many images as may be are being read; send it again in a moment", retry_after=self.patience)

    def __exit__(self, *_: object) -> None:
        self._free.release()


class Readers:
    """Loads a reader when it is first asked for. Safe to share between threads.

    ready: readers by name ('fracture', 'fracture/paper', 'auto') that need no loading.
    """

    def __init__(
        self, *, limits: Limits, parallel: int, ready: Mapping[str, AnyReader] | None = None, load: Load = load_named
    ):
        self.limits = limits
        self._load = load
        self._ready: dict[str, AnyReader] = dict(ready or {})
        self._lock = threading.Lock()
        self.turn = Turn(parallel)  # held while an image is read

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
        return sorted({*self._ready, *list_bundles(), *default_bundles(), *self.own().names} - {AUTO})

    def own(self) -> OwnBundles:
        """What the setting `bundles` adds. A folder that is gone since the start adds nothing."""
        try:
            return own_bundles()
        except CannotOpen as error:
            _LOG.error("bundles of the site's own cannot be read: %s", error)
            return OwnBundles()

    def bundled(self) -> list[Reader]:
        """One reader for each bundle, loaded where it is not yet; the site's own that cannot be loaded are left out."""
        own = self.own().names
        unique: dict[str, Reader] = {}
        for name in self.names():
            try:
                reader = self.get(*name.split("/", 1))
            except SecondReadError as error:
                if name not in own:
                    raise
                _LOG.error("the bundle %s cannot be loaded: %s", name, error)
                continue
            if isinstance(reader, Reader):
                unique[reader.bundle.id] = reader
        return list(unique.values())


def readers_of(
    settings: Mapping[str, Any], *, ready: Mapping[str, AnyReader] | None = None, load: Load | None = None
) -> Readers:
    """The readers that these settings ask for (MAX_MEGAPIXELS, MAX_FILE_MB, MAX_FRAMES, PARALLEL_READINGS, GATE, and
    BUNDLES and DECODE_MEMORY_MB, which hold for the whole process).

    Raises CannotOpen where the folder of own bundles is none.
    """
    limits = Limits(
        max_pixels=settings["MAX_MEGAPIXELS"] * 10**6,
        max_bytes=settings["MAX_FILE_MB"] * 10**6,
        max_frames=settings["MAX_FRAMES"],
    )
    budget.limit(settings["DECODE_MEMORY_MB"] * 10**6)
    use_own_bundles(str(settings.get("BUNDLES", "")))
    own_folder()  # one that is none stops the start
    load = load or partial(load_named, gate=settings["GATE"] != "off")
    return Readers(limits=limits, parallel=settings["PARALLEL_READINGS"], ready=ready, load=load)


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
