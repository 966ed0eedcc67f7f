"""Folders of images in the layouts that public collections come in, turned into manifests.

Importers of other layouts come by the entry point `secondread.importers`, which names a function like `import_folder`:
(folder, *, task) → Manifest; it raises DataInvalid for a folder that is not in its layout.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from secondread.data.manifest import Manifest, Row, absolute, some_of
from secondread.data.table import label_words, read_manifest
from secondread.errors import CannotOpen, DataInvalid, ImageError, SecondReadError, UsageError
from secondread.extensions import Brought, gather
from secondread.files import shown
from secondread.images import sniff
from secondread.tasks import Task

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".dcm", ".dicom"}
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_FLAT_NAME = re.compile(r"_([01])$")
_TRIED = (
    "two class folders (such as yes/no or the task's classes), train/val/test folders with these inside, "
    "file names ending _0 or _1"
)
_INSTEAD = "rename the folders, or write a manifest with the columns path,label"


Importer = Callable[..., Manifest]  # (folder, *, task) → Manifest
_NAMED = re.compile(r"([A-Za-z][\w-]+):(.+)", re.DOTALL)  # more than one letter: C:\ is a disk


def load_data(path: str | Path, *, task: Task | None = None, check: bool = True) -> Manifest:
    """The manifest at that path: a CSV file, a folder with `manifest.csv` in it, or a folder in a known layout.

    IMPORTER:FOLDER names the importer that knows the layout. check: as for `read_manifest`.
    Raises CannotOpen, DataInvalid or UnknownName.
    """
    path = Path(path)
    if not path.exists():
        if named := _NAMED.fullmatch(str(path)):
            return import_with(named[1], named[2], task=task)
        raise CannotOpen(f"there is nothing at '{path}'; give a manifest (CSV) or a folder of images")
    if not path.is_dir():
        return read_manifest(path, task=task, check=check)
    table = path / "manifest.csv"
    if table.is_file():
        return read_manifest(table, task=task, check=check)
    return import_folder(path, task=task)


def import_with(name: str, folder: str | Path, *, task: Task | None = None) -> Manifest:
    """The images of a folder as the importer of that name finds them.

    Raises UnknownName, CannotOpen, or DataInvalid where the folder is not in its layout.
    """
    chosen = known_importers()[name]
    if not (root := absolute(folder)).is_dir():
        raise CannotOpen(f"there is no folder '{folder}' for the importer '{name}'; give a folder of images")
    try:
        found = chosen(root, task=task)
    except (SecondReadError, OSError):
        raise
    except Exception as error:  # the code of others may raise anything
        raise DataInvalid(f"the importer '{name}' failed on '{root}': {type(error).__name__}: {error}") from error
    if not isinstance(found, Manifest) or not found.rows:
        raise DataInvalid(f"the importer '{name}' found no images in '{root}'; give a folder in its layout")
    return found


def list_importers() -> dict[str, str]:
    """Name → one line that says which layout it knows."""
    return {name: (one.__doc__ or name).strip().splitlines()[0] for name, one in known_importers().found.items()}


@cache
def known_importers() -> Brought[Importer]:
    """The importers by name, and what extensions bring that cannot be used."""
    return gather("importers", "importer", _function, shipped={"folders": import_folder})


def _function(name: str, named: Any) -> dict[str, Importer]:
    if not callable(named):
        raise UsageError("must name a function (folder, *, task) → Manifest")
    return {name: named}


def import_folder(folder: str | Path, *, task: Task | None = None) -> Manifest:
    """Class folders, train/val/test trees or names ending _0/_1: the labels, and splits, that a folder's layout tells.

    Layouts: two class folders; train, val and test folders with class folders or flat names inside; flat file names
    ending _0 or _1. A layout says nothing of patients: the caller adds these where images share one.
    Raises CannotOpen, or DataInvalid if no layout fits or more than one does.
    """
    root = absolute(folder)
    if not root.is_dir():
        raise CannotOpen(f"there is no folder '{folder}'; give a folder of images")
    inner = _innermost(root)
    rows = _split_tree(inner, root, task) or _labelled(inner, root, task)
    if unnamed := [row.name for row in rows if shown(row.name) != row.name]:
        raise DataInvalid(
            f"the names of {len(unnamed)} files in '{shown(root)}' are not UTF-8, in which a manifest names files: "
            f"{some_of(unnamed)}; rename them (convmv does so for a whole folder)"
        )
    if len(labels := {row.label for row in rows}) < 2:
        raise DataInvalid(f"'{root}' holds only images labelled {labels.pop()}; both classes are needed")
    return Manifest(tuple(sorted(rows, key=lambda row: row.name)), root)


def _innermost(folder: Path) -> Path:
    """Past the single folders that archives wrap their contents in."""
    while True:
        inside = _folders_with_images(folder)
        if len(inside) != 1 or _images_in(folder) or inside[0].name.lower() in _SPLITS:
            return folder
        folder = inside[0]


def _split_tree(folder: Path, root: Path, task: Task | None) -> list[Row]:
    """The rows of train, val and test folders; none if there is no such folder."""
    inside = _folders_with_images(folder)
    named = {child: _SPLITS.get(child.name.lower(), "") for child in inside}
    if not any(named.values()):
        return []
    strangers = [child.name for child, split in named.items() if not split]
    strangers += [path.name for path in _images_in(folder)]
    if strangers:
        raise DataInvalid(f"'{folder}' has splits, and beside them {some_of(strangers)}; move these elsewhere")
    if len(set(named.values())) < len(named):
        raise DataInvalid(
            f"'{folder}': two of {some_of([c.name for c in named])} mean the same split; join or rename them"
        )
    return [replace(row, split=split) for child, split in named.items() for row in _labelled(child, root, task)]


def _labelled(folder: Path, root: Path, task: Task | None) -> list[Row]:
    """The rows of class folders or flat names, whichever fits alone."""
    direct, inside = _images_in(folder), _folders_with_images(folder)
    if direct and inside:
        raise DataInvalid(
            f"'{folder}' has images both directly ({some_of([p.name for p in direct])}) and in folders "
            f"({some_of([p.name for p in inside])}): it is not clear which tell the class; {_INSTEAD}"
        )
    if direct:
        return _flat_names(direct, folder, root, task)
    if inside:
        return _class_folders(inside, folder, root, task)
    raise DataInvalid(
        f"there are no images in '{folder}'; give a folder with PNG, JPEG, TIFF, WebP, BMP or DICOM files"
    )


def _class_folders(inside: list[Path], folder: Path, root: Path, task: Task | None) -> list[Row]:
    labels = label_words([child.name for child in inside], task)
    if strangers := [child.name for child in inside if child.name not in labels]:
        raise DataInvalid(
            f"'{folder}': no class is known by the name of {some_of(strangers)}; tried: {_TRIED}; {_INSTEAD}"
        )
    if len(set(labels.values())) < len(labels):
        raise DataInvalid(f"'{folder}': two of {some_of(list(labels))} mean the same class; join them, or {_INSTEAD}")
    rows = []
    for child in inside:
        for path in _images_under(child):
            if _SPLITS.get(path.relative_to(child).parts[0].lower()):
                raise DataInvalid(
                    f"'{child}' has splits inside a class; put the class folders inside the splits instead"
                )
            rows.append(_row(path, root, labels[child.name], task, word=child.name))
    _check_names_agree(rows, folder)
    return rows


def _check_names_agree(rows: list[Row], folder: Path) -> None:
    """Names that all end in _0 or _1 and contradict their folders leave it open which of the two is meant."""
    ends = [_FLAT_NAME.search(row.path.stem) for row in rows]
    against = [row.name for row, end in zip(rows, ends, strict=True) if end and int(end[1]) != row.label]
    if all(ends) and against:
        raise DataInvalid(
            f"'{folder}' fits two layouts that disagree: folders say one class and names ending _0 or _1 the other "
            f"for {some_of(against)}; rename the files, or write a manifest with the columns path,label"
        )


def _flat_names(paths: list[Path], folder: Path, root: Path, task: Task | None) -> list[Row]:
    ends = {path: _FLAT_NAME.search(path.stem) for path in paths}
    if strangers := [path.name for path, end in ends.items() if not end]:
        raise DataInvalid(
            f"'{folder}': the class of {some_of(strangers)} cannot be told; tried: {_TRIED}; "
            "write a manifest with the columns path,label"
        )
    return [_row(path, root, int(end[1]), task) for path, end in ends.items() if end]


def _row(path: Path, root: Path, label: int, task: Task | None, *, word: str = "") -> Row:
    class_name = task.classes[label] if task else word
    return Row(path=path, name=path.relative_to(root).as_posix(), label=label, class_name=class_name)


def _folders_with_images(folder: Path) -> list[Path]:
    children = sorted(child for child in folder.iterdir() if child.is_dir() and not _hidden(child))
    return [child for child in children if next(_images_under(child), None)]


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _is_image(path))


def _images_under(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not _hidden(path):
            yield from _images_under(path)
        elif _is_image(path):
            yield path


def _hidden(path: Path) -> bool:
    """Left behind by file managers and archivers."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def _is_image(path: Path) -> bool:
    """By suffix, or by signature where the suffix says nothing: DICOM files often have none, or the end of a UID."""
    if _hidden(path) or not path.is_file():
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return bool(sniff(file.read(256)))
    except (ImageError, OSError):
        return False
