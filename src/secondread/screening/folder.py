"""The pictures of a folder and those below it, by name."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from secondread.files import shown
from secondread.screening.picture import Picture, stamp_of


def of_folder(source: Path, but: Iterable[Path]) -> Iterator[Picture]:
    """Every file that is not hidden, a folder's own before those of the folders in it."""
    for inside, entry in _files(os.fspath(source), "", _left_out(but)):
        try:
            stamp = stamp_of(entry.stat())
        except OSError:  # a link to nothing: whoever reads it will say so
            stamp = ""
        yield Picture(shown(inside), Path(entry.path), stamp)


def count_folder(source: Path, but: Iterable[Path]) -> int:
    """How many `of_folder` gives, without looking at the files themselves."""
    return sum(1 for _ in _files(os.fspath(source), "", _left_out(but)))


def _left_out(but: Iterable[Path]) -> set[str]:
    return {os.fspath(path.absolute()) for path in but}


def _files(folder: str, inside: str, left_out: set[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(path from the source on, entry); links to folders are not followed, a folder that may not be listed is empty."""
    try:
        with os.scandir(folder) as listed:
            found = sorted((entry for entry in listed if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError:
        return
    folders = []
    for entry in found:
        try:
            if entry.is_dir():
                if not entry.is_symlink():
                    folders.append(entry)
                continue
            plain = entry.is_file() or entry.is_symlink()
        except OSError:
            plain = True
        if plain and not (
            left_out and os.fspath(Path(entry.path).absolute()) in left_out
        ):  # a pipe would be waited for
            yield f"{inside}{entry.name}", entry
    for entry in folders:
        yield from _files(entry.path, f"{inside}{entry.name}/", left_out)
