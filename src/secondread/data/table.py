"""Tables that people make, manifests above all: CSV read with every complaint naming its line, and written aside."""

import csv
import difflib
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data.cells import plain, plain_path, safe, safe_path
from secondread.data.manifest import Manifest, Row, absolute, missing_file, some_of
from secondread.errors import CannotOpen, DataInvalid
from secondread.files import written_aside
from secondread.tasks import Task, list_tasks, load_task

_REQUIRED = ("path", "label")
_COLUMNS = ("path", "label", "class_name", "source", "patient", "group", "split", "mask", "note")
_BINARY = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}  # the latter as a spreadsheet or data frame with gaps writes them


def read_manifest(path: str | Path, *, task: Task | None = None, check: bool = True) -> Manifest:
    """The manifest in a CSV file: comma, semicolon or tab, UTF-8, with the columns `path` and `label` at least.

    task: lets labels be its class names as well as 0 and 1.
    check: False reads a table with missing files and divided groups too, to report on them.
    Raises CannotOpen, or DataInvalid with the line's number.
    """
    path = absolute(path)
    lines = _lines(path)
    rows = tuple(_row(cells, path, number, task) for number, cells in lines)
    if not rows:
        raise DataInvalid(f"'{path}' has a header and no rows; add a line for each image")
    _check_unique(rows, [number for number, _ in lines], where=path)
    manifest = Manifest(rows, path.parent)
    if check:
        check_manifest(manifest, where=path)
    return manifest


def check_manifest(manifest: Manifest, *, where: Path) -> None:
    """Raise DataInvalid if files are missing or a group lies in two splits."""
    if gone := [missing_file(row) for row in manifest.missing()]:
        raise DataInvalid(
            f"'{where}': {len(gone)} of {len(manifest)} rows name a file that is not there: {some_of(gone)}; "
            f"paths start from '{manifest.folder}'"
        )
    if divided := manifest.divided():
        name, splits = next(iter(divided.items()))
        raise DataInvalid(
            f"'{where}': group '{name}' is in the splits {' and '.join(splits)} ({len(divided)} such groups); "
            "keep a group in one split, or split anew with `secondread data split`"
        )


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write the table aside, then rename it: a reader never finds half of it. Raises CannotOpen or DiskFull.

    Paths are written relative to the table's folder. Nothing in it is a formula to a spreadsheet, and `read_manifest`
    gives back what was written.
    """
    path = absolute(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows(_cells(row, manifest, path.parent) for row in manifest.rows)
    except OSError as error:
        raise CannotOpen(f"cannot write '{path}': {error.strerror}") from error


def read_table(data: bytes, *, where: Path, known: Sequence[str]) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header in lower case, and every row's line number with its cells by column; blank rows are left out.

    Cells are what they were before they were made safe for a spreadsheet (see `cells`).

    where: named in complaints. known: the columns that have a meaning; one that is nearly one of them is taken for a
    mistake, since a misspelt `patient` that is passed over would make one patient's images independent.
    Raises DataInvalid with the line's number.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataInvalid(f"'{where}' line {line} is not UTF-8; save the table as 'CSV UTF-8'") from error
    first = text.lstrip("\r\n").split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    header: list[str] = []
    lines = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip().lower() for cell in cells]
                _check_header(header, known, f"'{where}' line {reader.line_num}: the header")
            elif len(cells) != len(header):
                raise DataInvalid(
                    f"'{where}' line {reader.line_num} has {len(cells)} cells where the header has {len(header)}; "
                    "put a cell that holds a comma in quotes"
                )
            else:
                lines.append((reader.line_num, dict(zip(header, (plain(cell.strip()) for cell in cells), strict=True))))
    except csv.Error as error:
        raise DataInvalid(f"'{where}' line {reader.line_num} is not CSV: {error}") from error
    return header, lines


def table_of(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """A CSV file's bytes with these columns: of a dictionary of lists, or of a data frame.

    None and NaN are empty cells. Raises DataInvalid where they are not of one length.
    """
    cells = {str(name): [_cell(value) for value in columns[name]] for name in columns}
    lengths = {name: len(values) for name, values in cells.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"'{name}' {n}" for name, n in lengths.items())
        raise DataInvalid(f"the columns are not of one length: {said}; give each a value for every image")
    target = io.StringIO(newline="")
    csv.writer(target).writerows([list(cells), *zip(*cells.values(), strict=True)])
    return target.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN alone is not itself
        return ""
    return str(int(value)) if isinstance(value, bool | np.bool_) else str(value)


def _check_header(header: list[str], known: Sequence[str], where: str) -> None:
    for column in header:
        near = difflib.get_close_matches(column, known, n=1, cutoff=0.8)
        if near and column not in known and near[0] not in header:
            raise DataInvalid(f"{where} has an unknown column '{column}'; did you mean '{near[0]}'? Rename it")
    if twice := sorted({column for column in header if column in known and header.count(column) > 1}):
        raise DataInvalid(f"{where} has the column '{twice[0]}' twice; delete one")


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    if path.is_dir():
        raise CannotOpen(f"'{path}' is a folder; give the CSV file in it")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CannotOpen(f"cannot read the manifest '{path}': {error.strerror}") from error
    header, lines = read_table(data, where=path, known=_COLUMNS)
    if not header:
        raise DataInvalid(f"'{path}' is empty; its first line must be a header with the columns path,label")
    if absent := [column for column in _REQUIRED if column not in header]:
        raise DataInvalid(
            f"'{path}' line 1: the header lacks the column {' and '.join(absent)}; it has {', '.join(header)}"
        )
    return lines


def _row(cells: dict[str, str], table: Path, number: int, task: Task | None) -> Row:
    if not cells["path"]:
        raise DataInvalid(f"'{table}' line {number} has no path; name an image or delete the line")
    label = _BINARY.get(cells["label"])
    if label is None and task:
        label = label_of(cells["label"], task.classes)
    if label is None:
        classes = f" or one of the classes '{task.classes[0]}' and '{task.classes[1]}'" if task else ""
        raise DataInvalid(f"'{table}' line {number}: label '{cells['label']}' is not 0 or 1{classes}")
    texts = {column: cells.get(column, "") for column in ("class_name", "source", "patient", "group", "split", "note")}
    if task and not texts["class_name"]:
        texts["class_name"] = task.classes[label]
    mask = absolute(table.parent / cells["mask"]) if cells.get("mask") else None
    name = plain_path(cells["path"])
    return Row(path=absolute(table.parent / name), name=name, label=label, mask=mask, **texts)


def _check_unique(rows: tuple[Row, ...], numbers: list[int], *, where: Path) -> None:
    first: dict[Path, int] = {}
    for row, number in zip(rows, numbers, strict=True):
        if row.path in first:
            raise DataInvalid(
                f"'{where}' line {number}: '{row.name}' is already on line {first[row.path]}; delete one of them"
            )
        first[row.path] = number


def _cells(row: Row, manifest: Manifest, folder: Path) -> list[str]:
    name = row.name if folder == manifest.folder else _relative(row.path, folder)
    mask = _relative(row.mask, folder) if row.mask else ""
    note = " ".join(row.note.split())  # one image a line, whatever was noted
    words = map(safe, (row.class_name, row.source, row.patient, row.group, row.split))
    return [safe_path(name), str(row.label), *words, safe_path(mask), safe(note)]


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive, on Windows
        return str(path)


# As people name the folders of two-class collections. Not 'benign': a benign tumour is a tumour.
_NEGATIVE = {"0", "no", "none", "normal", "negative", "neg", "healthy", "control", "controls", "absent", "false"}
_POSITIVE = {"1", "yes", "abnormal", "positive", "pos", "diseased", "disease", "present", "true"}
_WITHOUT = ("no", "non", "not", "without")
_SAME = {"tb": "tuberculosis", "fracture": "fractured", "fractures": "fractured", "tumors": "tumor"}


def label_of(word: str, classes: Sequence[str]) -> int | None:
    """0 or 1 if the word is one of the two classes, however it is spaced, hyphenated or capitalised; else None."""
    keys = [_key(name) for name in classes]
    return keys.index(_key(word)) if _key(word) in keys else None


def label_words(words: Iterable[str], task: Task | None) -> dict[str, int]:
    """The label of each word that is understood; the rest are left out.

    With a task only its own disease counts, so that 'pneumonia' is never taken for tuberculosis.
    """
    words = list(words)
    tasks = [task] if task else [load_task(name) for name in list_tasks()]
    sick = {_key(name) for known in tasks for name in (known.positive_class, known.name)}
    well = {_key(known.classes[0]) for known in tasks}
    if task is None:  # 'x' beside 'no x' explains itself, whatever x is
        sick |= {_key(word) for word in words} & {rest for word in words for rest in _denied(word)}
    found = ((word, _label(word, sick, well)) for word in words)
    return {word: label for word, label in found if label is not None}


def _label(word: str, sick: set[str], well: set[str]) -> int | None:
    key = _key(word)
    if key in sick | _POSITIVE:
        return 1
    return 0 if key in well | _NEGATIVE or _denied(word) & sick else None


def _denied(word: str) -> set[str]:
    """What a word such as 'no_tumour' or 'NonFractured' may say is absent."""
    key = _squeeze(word)
    rests = (key.removeprefix(start) for start in _WITHOUT if key.startswith(start))
    return {_SAME.get(rest, rest) for rest in rests if rest}


def _key(word: str) -> str:
    squeezed = _squeeze(word)
    return _SAME.get(squeezed, squeezed)


def _squeeze(word: str) -> str:
    """Letters and digits alone, lower case, American where the two spellings differ."""
    return re.sub(r"[\W_]+", "", word.lower()).replace("tumour", "tumor")
