"""The readers that a service has loaded: by name alone, once, at first use, shared between threads."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from secondread.errors import CannotOpen, Conflict, SecondReadError, UnknownName, UsageError
from secondread.images import Limits, budget
from secondread.reading import (
    AutoReader,
    Bundle,
    OwnBundles,
    Reader,
    default_bundles,
    list_bundles,
    load_named,
    named_bundle,
    own_bundles,
    own_folder,
    use_own_bundles,
)
from secondread.reading.reader import PointOf
from secondread.service.fairness import Turn
from secondread.service.freed import give_back_freed_memory
from secondread.service.machine import cores
from secondread.service.upgrades import BundleChoice
from secondread.tasks import list_tasks

AnyReader = Reader | AutoReader
GetReader = Callable[[str, str], AnyReader]  # (task or 'auto', bundle or '') → its reader, loaded once
AUTO = "auto"
Load = Callable[..., AnyReader]
T = TypeVar("T")
_LOG = logging.getLogger(__name__)


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
        self._given = frozenset(self._ready)
        self._bundles: dict[str, Bundle] = {}
        self._known: dict[tuple[str, str], str] = {}  # what was asked for → the name that it is kept under
        self._switched: Callable[[], Mapping[str, BundleChoice]] = dict
        self._point_of: PointOf | None = None
        self._trouble: dict[str, SecondReadError] = {}  # what could not be loaded when it was last tried, and why
        self._lock = threading.Lock()
        self._used_at = time.monotonic()
        self.turn = Turn(parallel, patience=budget.PATIENCE)  # held while an image is read

    def get(self, task: str, bundle: str = "") -> AnyReader:
        """The reader for a task, 'auto' included, and the named or the default bundle. Raises UnknownName.

        Names only: a path is never taken from a request.
        """
        self._used_at = time.monotonic()
        if not bundle and (choice := self._switched().get(task)) is not None:
            return self._switched_to(choice)
        if (found := self._ready.get(self._known.get((task, bundle), ""))) is not None:
            return found
        name = self._name(task, bundle)
        if (found := self._ready.get(name)) is not None:
            self._known[task, bundle] = name
            return found
        with self._lock:
            if name not in self._ready:
                self._check_name(name, bundle)
                self._ready[name] = self._loaded(name)
            return self._ready[name]

    def bundle(self, task: str, bundle: str = "") -> Bundle | None:
        """What a reader's bundle says of itself, without loading its network; None for 'auto'. Raises as `get`."""
        if not bundle and (choice := self._switched().get(task)) is not None:
            bundle = choice.name
        name = self._known.get((task, bundle)) or self._name(task, bundle)
        if (reader := self._ready.get(name)) is not None:
            self._known[task, bundle] = name
            return reader.bundle if isinstance(reader, Reader) else None
        self._check_name(name, bundle)
        if name == AUTO:
            return None
        if name not in self._bundles:
            self._bundles[name] = self._noting(name, lambda: named_bundle(name))
        return self._bundles[name]

    def follow(self, switched: Callable[[], Mapping[str, BundleChoice]], point_of: PointOf | None = None) -> "Readers":
        """From now on let what a person switched to answer where no bundle is named, at the site's own point.

        switched: see Upgrades.chosen; point_of: see OperatingPoints.active_point.
        """
        self._switched = switched
        self._point_of = point_of
        return self

    def default(self, task: str) -> Bundle | None:
        """What answers for a task where nobody has switched. Raises as `get`."""
        chosen = self._chosen.get(task)
        return self.bundle(task, f"{task}/{chosen}" if chosen else "")

    def names(self) -> list[str]:
        """What can be asked for besides 'auto', sorted."""
        return sorted({*self._ready, *list_bundles(), *self._chosen, *self.own().names} - {AUTO})

    def own(self) -> OwnBundles:
        """What the setting `bundles` adds. A folder that is gone since the start adds nothing."""
        try:
            return own_bundles()
        except CannotOpen as error:
            _LOG.error("bundles of the site's own cannot be read: %s", error)
            return OwnBundles()

    def bundled(self) -> list[Bundle]:
        """Every bundle that can be asked for, once; the site's own that cannot be loaded are left out."""
        own = self.own().names
        unique: dict[str, Bundle] = {}
        for name in self.names():
            try:
                found = self.bundle(*name.split("/", 1))
            except SecondReadError as error:
                if name not in own:
                    raise
                _LOG.error("the bundle %s cannot be loaded: %s", name, error)
                continue
            if found is not None:
                unique[found.id] = found
        return list(unique.values())

    def look_at_all(self) -> None:
        """Look whether every bundle is whole, without loading networks: what is not is told by `check` from now on."""
        for name in self.names():
            try:
                self.bundle(*name.split("/", 1))
            except SecondReadError as error:
                _LOG.error("the bundle %s cannot be loaded: %s", name, error)

    def load_all(self, stopping: threading.Event) -> None:
        """Load every bundle, so that the first reading is as fast as the next. What cannot be loaded is noted."""
        for name in self.names():
            if stopping.is_set():
                return
            try:
                self.get(*name.split("/", 1))
            except SecondReadError as error:
                _LOG.error("the bundle %s cannot be loaded: %s", name, error)

    def check(self) -> None:
        """Raise the error of a bundle that comes with the package and could not be loaded when it was last tried."""
        own = self.own().names
        for name, error in list(self._trouble.items()):
            if name not in own:
                raise error

    def let_go(self, *, idle: float) -> bool:
        """Free what was loaded, where nothing was asked for in so many seconds. Whether there was something to free."""
        if time.monotonic() - self._used_at < idle:
            return False
        with self._lock:
            loaded = [self._ready.pop(name) for name in list(self._ready) if name not in self._given]
        if not loaded:
            return False
        _give_back(loaded)  # who reads with one now has it until the end
        give_back_freed_memory()
        return True

    @property
    def _chosen(self) -> dict[str, str]:
        """Task → bundle, anew each time: one of the site's own may be the first for its task."""
        usable = {*list_bundles(), *self.own().names}
        return {task: name for task, name in default_bundles().items() if f"{task}/{name}" in usable}

    def _name(self, task: str, bundle: str) -> str:
        """Under which it is kept: a task's own choice is that bundle, which is not loaded twice."""
        name = _reference(task, bundle)
        if name in self._given or name == AUTO or "/" in name:
            return name
        chosen = self._chosen.get(name)
        return name if chosen is None else f"{name}/{chosen}"

    def _check_name(self, name: str, bundle: str) -> None:
        if name != AUTO and name not in self.names():
            kind = "bundle" if bundle else "trained task"
            raise UnknownName.of(kind, name, self.names())

    def _switched_to(self, choice: BundleChoice) -> AnyReader:
        """The reader of what a person switched to. Raises Conflict where it is not there, or has other weights."""
        advice = f"go back with `secondread bundles upgrade {choice.task} --back`"
        try:
            found = self.get(choice.task, choice.name)
        except UnknownName as error:
            raise Conflict(f"{choice.bundle}, switched to here, is not installed: put it back, or {advice}") from error
        if isinstance(found, Reader) and found.bundle.sha256 != choice.bundle_sha256:
            raise Conflict(f"{found.bundle.id} lies where {choice.bundle} was switched to: switch to it, or {advice}")
        return found

    def _loaded(self, name: str) -> AnyReader:
        reader = self._noting(name, lambda: self._load(name, limits=self.limits))
        if isinstance(reader, Reader):
            reader.take_readers_from(self.get, point_of=self._point_of)
        else:
            reader.take_readers_from(self.get)
        give_back_freed_memory()  # loading a network takes twice its size for a moment
        return reader

    def _noting(self, name: str, load: Callable[[], T]) -> T:
        try:
            found = load()
        except SecondReadError as error:
            self._trouble[name] = error
            raise
        self._trouble.pop(name, None)
        return found


def _give_back(loaded: list[AnyReader]) -> None:
    """Close readers that nobody else holds, and their memory with them."""
    while loaded:
        reader = loaded.pop()
        if isinstance(reader, Reader):
            reader.give_memory_back()


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
    parallel = int(settings["PARALLEL_READINGS"]) or cores()
    return Readers(limits=limits, parallel=parallel, ready=ready, load=load)


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
