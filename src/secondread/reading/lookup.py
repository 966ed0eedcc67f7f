"""Where bundles lie, by name: the shipped ones, and those of a folder of the user's own."""

import json
import os
from pathlib import Path

from secondread.errors import CannotOpen, UnknownName

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
    """The folder of a shipped bundle, of a task's own choice, or of one of the site's own; None for any other name."""
    if name in list_bundles():
        return SHIPPED / name
    if name in (default := default_bundles()):
        return SHIPPED / name / default[name]
    own = own_folder()
    return None if own is None else _under(own, name)


def unknown_bundle(name: str) -> UnknownName:
    """The error for a name that is no bundle's, with the nearest that is."""
    if "/" not in name:
        return UnknownName.of("task", name, default_bundles())
    own = own_folder()
    kept = [] if own is None else [f"{path.parent.parent.name}/{path.parent.name}" for path in records_in(own)]
    return UnknownName.of("bundle", name, [*list_bundles(), *kept])


def default_bundles() -> dict[str, str]:
    """Task → the shipped bundle that reads for it when none is named."""
    return json.loads((SHIPPED / "default.json").read_text(encoding="utf-8"))
