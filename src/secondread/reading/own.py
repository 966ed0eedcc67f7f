"""Bundles of the user's own and of extensions, laid out as task/name: which can be asked for, and why others cannot."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from secondread.errors import SecondReadError
from secondread.reading.bundle import load_bundle
from secondread.reading.lookup import list_bundles, other_folders, records_in
from secondread.reading.reader import gate_of, session_of
from secondread.tasks import list_tasks


@dataclass(frozen=True)
class OwnBundles:
    """What lies in the folder that the setting `bundles` names, and in those that extensions bring."""

    names: tuple[str, ...] = ()  # as task/name
    skipped: Mapping[str, str] = field(default_factory=dict)  # name → why it cannot be asked for, without paths


def own_bundles() -> OwnBundles:
    """Looked at anew where a record has changed. Raises CannotOpen where the user's folder is none."""
    names: dict[str, None] = {}
    skipped: dict[str, str] = {}
    for folder in other_folders():
        records: list[tuple[Path, int, int]] = []
        for path in records_in(folder):
            with suppress(OSError):  # taken away meanwhile
                found = path.stat()
                records.append((path.parent, found.st_mtime_ns, found.st_size))
        there = _looked_at(folder, tuple(records))
        names |= dict.fromkeys(there.names)
        skipped = {**there.skipped, **skipped}
    return OwnBundles(tuple(names), {name: why for name, why in skipped.items() if name not in names})


@lru_cache(maxsize=8)
def _looked_at(folder: Path, records: tuple[tuple[Path, int, int], ...]) -> OwnBundles:
    names: list[str] = []
    skipped: dict[str, str] = {}
    for place, _, _ in records:
        name = f"{place.parent.name}/{place.name}"
        if why := _unusable(place, name, folder):
            skipped[name] = why
        else:
            names.append(name)
    return OwnBundles(tuple(names), skipped)


def _unusable(place: Path, name: str, folder: Path) -> str:
    """Why nobody can ask for this bundle; '' where everyone can."""
    if name in list_bundles():
        return "a bundle that comes with the package has this name, which goes before; give it another name"
    if place.parent.name not in list_tasks():
        return "its task is not installed here; read with it by its path"
    try:
        bundle = load_bundle(place)
        _ = bundle.operating_points, bundle.operating_point(), bundle.evidence, bundle.card
        gate_of(bundle)
        session_of(bundle)
    except SecondReadError as error:
        return str(error).replace(f"{folder}/", "")
    except (KeyError, TypeError, ValueError, AttributeError):  # its hash holds, so another program wrote it
        return "its record lacks something; write it with this version"
    except OSError:
        return "it cannot be read; look at its folder's rights"
    if (said := bundle.id.partition("@")[0]) != name:
        return f"its record calls it {said}; rename its folders so"
    return ""
