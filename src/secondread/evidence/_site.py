"""A site's own scores and outcomes: a CSV table, every complaint naming its line."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import read_table
from secondread.errors import CannotOpen, DataInvalid
from secondread.evidence._calibration import undo_calibration

_OUTCOMES = {"0": False, "1": True, "0.0": False, "1.0": True}  # the latter as spreadsheets and data frames write them
_SCORES = ("logit", "probability", "score")  # the first of these that is there is used
_GROUPS = ("group", "patient")
_COLUMNS = (*_SCORES, *_GROUPS, "outcome", "bundle")
_LEAST, _FEW, _FEW_ISOTONIC = 10, 20, 100  # images of a class


@dataclass(frozen=True, eq=False)
class SiteScores:
    """What a bundle said of a site's images, and what was found in truth."""

    name: str  # of the file
    sha256: str  # of its bytes
    logits: np.ndarray  # float (n,), of the network, before any calibration
    y_true: np.ndarray  # bool (n,)
    groups: tuple[str, ...] | None  # (n,)


def read_site_scores(path: Path, *, record: Mapping[str, Any], bundle_id: str) -> SiteScores:
    """The table at `path`: comma, semicolon or tab, UTF-8; `outcome` (0, 1) and `logit`, `probability` or `score`.

    A probability, as `secondread read --json` gives it, is turned back into the network's logit by the calibration in
    `record`. `group` or `patient` says which images belong together (an empty cell: the image stands alone); with
    `bundle`, every row must be of `bundle_id`. Raises CannotOpen, or DataInvalid with the line's number, also where a
    class has less than 10 images.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CannotOpen(f"cannot read '{path}': {error.strerror}; give the CSV file of scores and outcomes") from error
    lines = _lines(data, path)
    if not lines:
        raise DataInvalid(f"'{path}' has no rows; add a line for each image, with its score and outcome")
    column = next(name for name in _SCORES if name in lines[0][1])
    for number, cells in lines:
        if cells.get("bundle", bundle_id) != bundle_id:
            raise DataInvalid(
                f"'{path}' line {number} was scored by {cells['bundle'] or 'no named bundle'}, not by {bundle_id}; "
                "read the images again with this bundle, or recalibrate that one"
            )
    scores = np.array([_score(cells[column], column, number, path) for number, cells in lines])
    y_true = np.array([_outcome(cells["outcome"], number, path) for number, cells in lines], dtype=bool)
    _check_classes(y_true, path)
    logits = scores if column == "logit" else undo_calibration(record, scores)
    return SiteScores(path.name, hashlib.sha256(data).hexdigest(), logits, y_true, _groups(lines))


def warnings_about(site: SiteScores, *, method: str) -> list[str]:
    """Sentences on what these images are too few for."""
    found = []
    for name, here in (("positive", site.y_true), ("negative", ~site.y_true)):
        n = int(here.sum())
        n_groups = n if site.groups is None else len({site.groups[at] for at in np.flatnonzero(here)})
        if n_groups < _FEW:
            of = f"{n} {name} images" if n_groups == n else f"{n_groups} groups with {name} images ({n} images)"
            found.append(f"there are only {of}, and {_FEW} or more are better: the intervals are wide")
        if method == "isotonic" and n < _FEW_ISOTONIC:
            found.append(f"isotonic regression on {n} {name} images follows chance: prefer --method temperature")
    return found


def _lines(data: bytes, path: Path) -> list[tuple[int, dict[str, str]]]:
    header, lines = read_table(data, where=path, known=_COLUMNS)
    where = f"'{path}' line 1: the header"
    if header and "outcome" not in header:
        raise DataInvalid(
            f"{where} lacks the column 'outcome' (1: disease was found, 0: not); it has {', '.join(header)}"
        )
    if header and not set(_SCORES) & set(header):
        raise DataInvalid(f"{where} lacks a column 'probability' (or 'score' or 'logit'); it has {', '.join(header)}")
    return lines


def _score(cell: str, column: str, number: int, path: Path) -> float:
    if not cell or cell.lower() in ("null", "none", "nan"):
        raise DataInvalid(f"'{path}' line {number} has no {column}; delete the rows of images that were refused")
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataInvalid(f"'{path}' line {number}: {column} '{cell}' is not a number; write it like 0.73")
    if column != "logit" and not 0 <= value <= 1:
        raise DataInvalid(
            f"'{path}' line {number}: {column} {cell} is not between 0 and 1; take `probability` of "
            "`secondread read --json` (its `score` is rounded to percent), or name the column 'logit'"
        )
    return value


def _outcome(cell: str, number: int, path: Path) -> bool:
    if cell not in _OUTCOMES:
        raise DataInvalid(f"'{path}' line {number}: outcome '{cell}' is not 0 or 1; delete rows without one")
    return _OUTCOMES[cell]


def _check_classes(y_true: np.ndarray, path: Path) -> None:
    for name, n in (("1 (disease was found)", int(y_true.sum())), ("0 (it was not)", int((~y_true).sum()))):
        if n < _LEAST:
            raise DataInvalid(
                f"'{path}' has {n} rows with outcome {name}; {_LEAST} of each are the least that a calibration can be "
                f"fitted to, and {_FEW} or more are better: collect more images"
            )


def _groups(lines: list[tuple[int, dict[str, str]]]) -> tuple[str, ...] | None:
    columns = [name for name in _GROUPS if name in lines[0][1]]
    named = (next(filter(None, (cells[column] for column in columns)), f"line {n}") for n, cells in lines)
    return tuple(named) if columns else None
