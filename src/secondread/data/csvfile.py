"""Tables that people make: CSV with commas, semicolons or tabs, every complaint naming its line."""

import csv
import difflib
import io
from collections.abc import Sequence
from pathlib import Path

from secondread.errors import DataInvalid


def read_table(data: bytes, *, where: Path, known: Sequence[str]) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header in lower case, and every row's line number with its cells by column; blank rows are left out.

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
                _check(header, known, f"'{where}' line {reader.line_num}: the header")
            elif len(cells) != len(header):
                raise DataInvalid(
                    f"'{where}' line {reader.line_num} has {len(cells)} cells where the header has {len(header)}; "
                    "put a cell that holds a comma in quotes"
                )
            else:
                lines.append((reader.line_num, dict(zip(header, map(str.strip, cells), strict=True))))
    except csv.Error as error:
        raise DataInvalid(f"'{where}' line {reader.line_num} is not CSV: {error}") from error
    return header, lines


def _check(header: list[str], known: Sequence[str], where: str) -> None:
    for column in header:
        near = difflib.get_close_matches(column, known, n=1, cutoff=0.8)
        if near and column not in known and near[0] not in header:
            raise DataInvalid(f"{where} has an unknown column '{column}'; did you mean '{near[0]}'? Rename it")
    if twice := sorted({column for column in header if column in known and header.count(column) > 1}):
        raise DataInvalid(f"{where} has the column '{twice[0]}' twice; delete one")
