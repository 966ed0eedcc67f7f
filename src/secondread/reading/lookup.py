"""Where bundles lie, by name: the shipped ones, those of a folder of the user's own, and those of extensions."""

import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from secondread.errors import CannotOpen, UnknownName
from secondread.extensions import Brought, gather
from secondread.tasks import list_tasks

RECORD = "bundle.json"
SHIPPED = Path(__file__).parents[1] / "bundles"


def list_bundles() -> list[str]:
    """The shipped bundles as 'task/name', sorted."""
    return sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in SHIPPED.glob(f"*/*/{RECORD}"))


OWN_VARIABLE = "SECONDREAD_BUNDLES"
_own: list[str] = []  # what a program said in place of the environment; one entry at most


def use_own_bundles(folder: str | None) -> None:
    """Find bundles of the user's own in this folder from now on, in the whole process; '' for none.

    None goes back to the environment variable SECONDREAD_BUNDLES.
    """
    _own[:] = [] if folder is None else [folder]


def own_folder() -> Path | None:
    """The folder of bundles of the user's own, laid out as task/name; None where there is none.

    Raises CannotOpen if what is named is no folder.
    """
    named = _own[0] if _own else os.environ.get(OWN_VARIABLE, "")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not _is_folder(folder):
        raise CannotOpen(
            f"{OWN_VARIABLE} names '{named}', which is no folder; give one laid out as task/name, or unset it"
        )
    return folder


def other_folders() -> tuple[Path, ...]:
    """Where bundles lie that do not come with the package: the user's own folder, then those of extensions.

    Raises CannotOpen as `own_folder`.
    """
    own = own_folder()
    return (*(() if own is None else (own,)), *extension_folders().found.values())


@cache
def extension_folders() -> Brought[Path]:
    """Folders of bundles, laid out as task/name, that extensions bring by the entry point `secondread.bundles`.

    It names the path of the folder, or a module, in whose folder they lie.
    """
    return gather("bundles", "folder of bundles", _place, shipped={})


def _place(name: str, named: Any) -> dict[str, Path]:
    place = Path(named.__file__ or "").parent if isinstance(named, ModuleType) else Path(named)
    if not _is_folder(place):
        raise CannotOpen(f"there is no folder '{place}'")
    return {name: place}


def records_in(folder: Path) -> list[Path]:
    """Where bundles seem to lie in a folder that is laid out as task/name, sorted."""
    return sorted(path for path in folder.glob(f"*/*/{RECORD}") if not path.parent.name.startswith("."))


def _under(folder: Path, name: str) -> Path | None:
    task, slash, rest = name.partition("/")
    plain = slash and rest and "/" not in rest and not {task, rest} & {"", ".", ".."} and not rest.startswith(".")
    return folder / task / rest if plain and (folder / task / rest / RECORD).is_file() else None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no disk can have
        return False


def find_bundle(reference: str | Path) -> Path:
    """The folder of a task's default bundle ('fracture'), a shipped or own one ('fracture/paper') or a path.

    Of one name a shipped bundle goes before one of the folder of own bundles. Raises CannotOpen or UnknownName.
    """
    name = str(reference)
    if (here := folder_of(name)) is not None:
        return here
    if _is_folder(Path(name)):
        return Path(name)
    if Path(name).suffix or name.startswith((".", "/")):
        raise CannotOpen(f"no bundle at '{name}'; give the folder that holds its {RECORD}")
    raise unknown_bundle(name)


def folder_of(name: str) -> Path | None:
    """The folder of a shipped bundle, of a task's own choice, or of another one; None for any other name."""
    if name in list_bundles():
        return SHIPPED / name
    if "/" not in name:
        chosen = default_bundles().get(name)
        return None if chosen is None else folder_of(f"{name}/{chosen}")
    found = (_under(folder, name) for folder in other_folders())
    return next((place for place in found if place is not None), None)


def unknown_bundle(name: str) -> UnknownName:
    """The error for a name that is no bundle's, with the nearest that is."""
    if "/" not in name:
        return UnknownName.of("task", name, default_bundles())
    kept = [_name_of(path) for folder in other_folders() for path in records_in(folder)]
    return UnknownName.of("bundle", name, [*list_bundles(), *kept])


def default_bundles() -> dict[str, str]:
    """Task → the bundle that reads for it when none is named: the shipped choice.

    An installed task that none is shipped for is read by `best`, or by the only one there is.
    """
    chosen: dict[str, str] = json.loads((SHIPPED / "default.json").read_text(encoding="utf-8"))
    others: dict[str, set[str]] = {}
    with suppress(CannotOpen):  # the folder is gone: that is told where a bundle of it is asked for
        for record in (path for folder in other_folders() for path in records_in(folder)):
            others.setdefault(record.parent.parent.name, set()).add(record.parent.name)
    for task in (others.keys() - chosen.keys()).intersection(list_tasks()):
        if "best" in others[task] or len(others[task]) == 1:
            chosen[task] = "best" if "best" in others[task] else others[task].pop()
    return chosen


def _name_of(record: Path) -> str:
    return f"{record.parent.parent.name}/{record.parent.name}"
