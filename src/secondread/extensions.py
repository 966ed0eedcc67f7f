"""What other installed packages bring by entry points; what cannot be used is named with the reason, and stops nothing.

Groups: `secondread.tasks`, `secondread.models`, `secondread.importers`, `secondread.bundles`. What an entry point of
each must name is said where it is taken: `tasks.task`, `models.registry`, `data.importers`, `reading.lookup`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from secondread.errors import SecondReadError, UnknownName, UsageError

T = TypeVar("T")
OURSELVES = "secondread"


@dataclass(frozen=True)
class Brought(Generic[T]):
    """What there is of one kind by name: shipped, and of extensions."""

    kind: str  # 'task', 'model', 'importer'
    found: Mapping[str, T]
    owners: Mapping[str, str] = field(default_factory=dict)  # name → the package that brings it, with its version
    clashes: Mapping[str, str] = field(default_factory=dict)  # name that two packages bring → what to do
    left_out: Mapping[str, str] = field(default_factory=dict)  # 'package (entry point)' → why it cannot be used

    def __getitem__(self, name: str) -> T:
        """What has that name. Raises UnknownName, or UsageError where two packages bring it."""
        if name in self.found:
            return self.found[name]
        if name in self.clashes:
            raise UsageError(self.clashes[name])
        error = UnknownName.of(self.kind, name, self.found)
        if self.left_out:
            reasons = "; ".join(f"{who}: {why}" for who, why in self.left_out.items())
            raise UnknownName(f"{error}; extensions that cannot be used: {reasons}")
        raise error

    @property
    def complaints(self) -> list[str]:
        """A sentence for each extension, or name, that cannot be used."""
        return [*(f"{who}: {why}" for who, why in self.left_out.items()), *self.clashes.values()]


def gather(
    group: str,
    kind: str,
    unfold: Callable[[str, Any], Mapping[str, T]],
    *,
    shipped: Mapping[str, T],
) -> Brought[T]:
    """The shipped things of a kind, and those that the entry points of `secondread.<group>` bring.

    unfold: an entry point's name and what it names → the things by name; it raises SecondReadError for what is not
    as it should be. A shipped name is never replaced; of two extensions with one name neither is taken.
    """
    found: dict[str, T] = dict(shipped)
    owners: dict[str, str] = {}
    clashes: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for point in _points(group):
        who = package_of(point)
        try:
            things = dict(unfold(point.name, point.load()))
        except SecondReadError as error:
            left_out[f"{who} ({point.name})"] = str(error)
            continue
        except (Exception, SystemExit) as error:  # the code of others may raise anything while it is imported
            left_out[f"{who} ({point.name})"] = f"{point.value} cannot be loaded: {type(error).__name__}: {error}"
            continue
        for name, thing in things.items():
            if name in clashes:
                clashes[name] = f"{who} and {clashes[name]}"
            elif name in owners:
                clashes[name] = f"{who} and {owners.pop(name)} both bring the {kind} '{name}'; uninstall one of them"
                del found[name]
            elif name in found:
                left_out[f"{who} ({name})"] = f"this program has a {kind} of that name already; it must choose another"
            else:
                found[name] = thing
                if not _is_ours(point):
                    owners[name] = who
    return Brought(kind, found, owners, clashes, left_out)


def package_of(point: EntryPoint) -> str:
    """The package that an entry point comes from, with its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "a package without a name"


def _points(group: str) -> list[EntryPoint]:
    """Our own first, then by package: who is named does not depend on the order of folders."""
    points = entry_points(group=f"{OURSELVES}.{group}")
    return sorted(points, key=lambda point: (not _is_ours(point), package_of(point), point.name))


def _is_ours(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == OURSELVES
