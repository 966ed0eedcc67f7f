"""What is known of a set of labelled images: one row an image, what must stay together, and all of it in numbers."""

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from secondread.errors import CannotOpen, DataInvalid
from secondread.files import shown


@dataclass(frozen=True)
class Row:
    """One labelled image."""

    path: Path  # absolute
    name: str  # the path as written in the manifest
    label: int  # 1: disease present
    class_name: str = ""
    source: str = ""  # the collection or hospital it comes from
    patient: str = ""
    group: str = ""  # what must never be divided between splits
    split: str = ""
    mask: Path | None = None  # 1-bit image of the lesion, absolute
    note: str = ""


@dataclass(frozen=True)
class Manifest:
    """Labelled images and the folder that their names start from."""

    rows: tuple[Row, ...]
    folder: Path

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> np.ndarray:
        """bool (n,): disease present."""
        return np.array([row.label == 1 for row in self.rows], dtype=bool)

    @property
    def groups(self) -> tuple[str, ...]:
        """What must stay together, a name for each row: its group, else its patient, else its own path."""
        return tuple(row.group or row.patient or row.name for row in self.rows)

    def split(self, name: str) -> "Manifest":
        """The rows of one split, in their order. Raises DataInvalid for a split that is not there."""
        chosen = tuple(row for row in self.rows if row.split == name)
        if not name or not chosen:
            raise DataInvalid(f"there is no split '{name}' in '{self.folder}'; {self._known_splits()}")
        return Manifest(chosen, self.folder)

    def splits(self) -> dict[str, int]:
        """How many rows each split has, in order of appearance; '' counts the rows without one."""
        return dict(Counter(row.split for row in self.rows))

    def divided(self, what: Literal["group", "patient"] = "group") -> dict[str, tuple[str, ...]]:
        """Groups (or patients) that lie in more than one split, with these splits: leaks, all of them."""
        names = self.groups if what == "group" else tuple(row.patient for row in self.rows)
        seen: dict[str, set[str]] = {}
        for name, row in zip(names, self.rows, strict=True):
            if name and row.split:
                seen.setdefault(name, set()).add(row.split)
        return {name: tuple(sorted(splits)) for name, splits in seen.items() if len(splits) > 1}

    def missing(self) -> tuple[Row, ...]:
        """The rows whose image, or named mask, is not there."""
        return tuple(row for row in self.rows if missing_file(row))

    def fingerprint(self) -> str:
        """SHA-256 over names, labels, splits and file contents; the order of rows does not count.

        Raises CannotOpen if a file cannot be read.
        """
        lines = sorted(json.dumps([row.name, row.label, row.split, digest_of(row.path)]) for row in self.rows)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _known_splits(self) -> str:
        known = [f"{name} ({count})" for name, count in self.splits().items() if name]
        return f"known: {', '.join(known)}" if known else "no row has one: make them with `secondread data split`"


def missing_file(row: Row) -> str:
    """The file that a row names and that is not there; '' if all are."""
    if not _is_there(row.path):
        return row.name
    return str(row.mask) if row.mask and not _is_there(row.mask) else ""


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the disk
        return False


def absolute(path: str | Path) -> Path:
    """The path from the root, without dots; links are kept, as the folder that someone named is the one they mean."""
    return Path(os.path.normpath(Path(path).absolute()))


def digest_of(path: Path) -> str:
    """BLAKE2b of a file's content, as hexadecimal digits. Raises CannotOpen."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, new_digest).hexdigest()
    except OSError as error:
        raise CannotOpen(f"cannot read '{path}': {error.strerror}") from error


def new_digest(data: bytes = b"") -> hashlib.blake2b:
    """The hash that tells contents apart: 128 bits are plenty against accident."""
    return hashlib.blake2b(data, digest_size=16)


def some_of(names: list[str], *, most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{shown(name)}'" for name in names[:most]) + more


def summarise(manifest: Manifest) -> dict[str, Any]:
    """Plain numbers, ready for JSON.

    `majority_accuracy` is what always answering with the commoner class scores: no accuracy means anything without it.
    `divided_…` are groups or patients in two splits, which are leaks; `missing`, rows whose files are not there.
    """
    return {
        "folder": str(manifest.folder),
        **_counts(manifest),
        "splits": {name: _split(manifest, name) for name in manifest.splits()},
        "divided_groups": {name: list(splits) for name, splits in manifest.divided().items()},
        "divided_patients": {name: list(splits) for name, splits in manifest.divided("patient").items()},
        "missing": [row.name for row in manifest.missing()],
    }


def _split(manifest: Manifest, name: str) -> dict[str, Any]:
    rows = [row for row in manifest.rows if row.split == name]
    by_source: dict[str, list[Row]] = {row.source: [] for row in sorted(rows, key=lambda row: row.source)}
    for row in rows:
        by_source[row.source].append(row)
    sources = {source: _counts(Manifest(tuple(some), manifest.folder)) for source, some in by_source.items()}
    return {**_counts(Manifest(tuple(rows), manifest.folder)), "sources": sources}


def _counts(manifest: Manifest) -> dict[str, Any]:
    n, positives = len(manifest), int(manifest.labels.sum())
    return {
        "n": n,
        "negatives": n - positives,
        "positives": positives,
        "groups": len(set(manifest.groups)),
        "patients": len({row.patient for row in manifest.rows} - {""}),
        "majority_accuracy": max(positives, n - positives) / n,
    }
