"""A site's own scores and outcomes, and a bundle's record fitted anew to them; the weights stay as they are."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data import read_table
from secondread.errors import CannotOpen, DataInvalid
from secondread.stats.calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
    without_calibration,
)
from secondread.stats.metrics import brier, roc_auc
from secondread.stats.operating_points import (
    ValidationSet,
    calibrated_paper_threshold,
    choose_operating_points,
    measure_operating_point,
)

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


def read_site_scores(path: Path, *, record: Mapping[str, Any], bundle_id: str, data: bytes | None = None) -> SiteScores:
    """The table at `path`: comma, semicolon or tab, UTF-8; `outcome` (0, 1) and `logit`, `probability` or `score`.

    A probability, as `secondread read --json` gives it, is turned back into the network's logit by the calibration in
    `record`. `group` or `patient` says which images belong together (an empty cell: the image stands alone); with
    `bundle`, every row must be of `bundle_id`. Raises CannotOpen, or DataInvalid with the line's number, also where a
    class has less than 10 images.
    data: the table's bytes, where they are at hand; `path` then only names it.
    """
    data, lines, scores, column = _scored_lines(path, bundle_id, outcomes=True, data=data)
    y_true = np.array([_outcome(cells["outcome"], number, path) for number, cells in lines], dtype=bool)
    _check_classes(y_true, path)
    logits = scores if column == "logit" else Calibration.from_record(record).undo(scores)
    return SiteScores(path.name, hashlib.sha256(data).hexdigest(), logits, y_true, _groups(lines))


def read_unlabelled_scores(
    path: Path, *, record: Mapping[str, Any], bundle_id: str
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """The probabilities (n,) of such a table without outcomes, and what belongs together, where it says so.

    A column `outcome` is not looked at. Raises as `read_site_scores`.
    """
    _, lines, scores, column = _scored_lines(path, bundle_id, outcomes=False)
    found = Calibration.from_record(record).apply(scores) if column == "logit" else scores
    return np.round(found, 6), _groups(lines)


def _scored_lines(
    path: Path, bundle_id: str, *, outcomes: bool, data: bytes | None = None
) -> tuple[bytes, list[tuple[int, dict[str, str]]], np.ndarray, str]:
    """The file's bytes, its lines, their scores, and the column that these are of."""
    try:
        data = path.read_bytes() if data is None else data
    except OSError as error:
        raise CannotOpen(f"cannot read '{path}': {error.strerror}; give the CSV file of scores") from error
    lines = _lines(data, path, outcomes=outcomes)
    if not lines:
        raise DataInvalid(f"'{path}' has no rows; add a line for each image, with its score")
    column = next(name for name in _SCORES if name in lines[0][1])
    for number, cells in lines:
        if cells.get("bundle", bundle_id) != bundle_id:
            raise DataInvalid(
                f"'{path}' line {number} was scored by {cells['bundle'] or 'no named bundle'}, not by {bundle_id}; "
                "read the images again with this bundle, or recalibrate that one"
            )
    return data, lines, np.array([_score(cells[column], column, number, path) for number, cells in lines]), column


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


def objections_to(site: SiteScores, fitted: Calibration) -> list[str]:
    """Sentences on why nothing should be fitted to these scores: a reader would be worse off with the new bundle."""
    if len(np.unique(site.logits)) == 1:
        return ["every image has the same score, so nothing can be fitted to them: read the images with this bundle"]
    found = []
    auc = roc_auc(site.y_true, site.logits)
    if auc <= 0.5:
        found.append(
            f"the scores rank the diseased no higher than the others (AUC {auc:.3f}, 0.5 is chance): outcomes may be "
            "the wrong way round (1: disease was found), or of other images"
        )
    if fitted.undecided:
        found.append(
            f"the temperature {fitted.temperature:.3f} lies at an end of what is searched: the scores tell the classes "
            "apart without a mistake or hardly at all, so the new probabilities would mean nothing; collect more images"
        )
    return found


def _lines(data: bytes, path: Path, *, outcomes: bool) -> list[tuple[int, dict[str, str]]]:
    header, lines = read_table(data, where=path, known=_COLUMNS)
    where = f"'{path}' line 1: the header"
    if outcomes and header and "outcome" not in header:
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


_HASHES = ("sha256", "format", "version")  # written anew with the bundle


@dataclass(frozen=True)
class Targets:
    """What a task asks of its operating points."""

    sensitivity: float
    specificity: float
    confidence: float = 0.9
    worst_case: bool = False  # images of one group count as wholly alike: see `Promise`


def recalibrated_record(
    record: Mapping[str, Any], site: SiteScores, *, bundle_id: str, name: str, method: str, targets: Targets, date: str
) -> dict[str, Any]:
    """What bundle.json of the new bundle says, but for format and hashes; it says what it was recalibrated from.

    method: see `fit_calibration`. One set of scores serves calibration and thresholds alike: calibration keeps the
    order of the images, and the guarantees of the thresholds rest on that order alone.
    Raises UnknownName, OneClassOnly or DataInvalid.
    """
    fitted = fit_calibration(method, site.logits, site.y_true)
    fitted = replace(fitted, how=f"{fitted.how}, on the scores of a site ({site.name})")
    points = choose_operating_points(
        ValidationSet(
            site.y_true,
            probabilities_of(fitted, site),
            site.groups,
            data=f"{site.name}, {site.sha256[:12]}",
            date=date,
            weights_sha256=record["model"]["sha256"],
            sources=[site.name] * len(site.y_true),
        ),
        target_sensitivity=targets.sensitivity,
        target_specificity=targets.specificity,
        confidence=targets.confidence,
        worst_case=targets.worst_case,
        paper_threshold=calibrated_paper_threshold(fitted),
    )
    default = record["default_operating_point"]
    return {
        **without_calibration({key: value for key, value in record.items() if key not in (*_HASHES, "series")}),
        **fitted.to_record(),
        "name": name,
        "created": date,
        "operating_points": points,
        "default_operating_point": default if default in points else "screening",
        "recalibrated_from": {
            "bundle": bundle_id,
            "sha256": record["sha256"],
            "data": site.name,
            "fingerprint": site.sha256,
            "n": len(site.y_true),
            "n_positive": int(site.y_true.sum()),
            "n_groups": len(set(site.groups)) if site.groups else len(site.y_true),
            "method": method,
            "confidence": targets.confidence,
            "worst_case": targets.worst_case,
            "date": date,
        },
    }


def probabilities_of(calibration: Calibration, site: SiteScores) -> np.ndarray:
    """What a bundle with this calibration reads on the site's images, float (n,) of six decimals."""
    return np.asarray(np.round(calibration.apply(site.logits), 6))


def at_the_site(record: Mapping[str, Any], site: SiteScores) -> dict[str, Any]:
    """How a record does on the site's images: {brier, ece, operating_points: {name: measured point}}.

    Of the record that was fitted to them it speaks too well; of the one before, as it is.
    """
    probabilities = probabilities_of(Calibration.from_record(record), site)
    return {
        "brier": round(brier(site.y_true, probabilities), 6),
        "ece": round(expected_calibration_error(site.y_true, probabilities), 6),
        "operating_points": {
            name: measure_operating_point(
                site.y_true,
                probabilities,
                threshold=point["threshold"],
                chosen_by=point["chosen_by"],
                data=site.name,
                date=point["date"],
                weights_sha256=point["weights_sha256"],
                groups=site.groups,
            )
            for name, point in record["operating_points"].items()
            if "low" not in point  # triage is screening and confirm again
        },
    }
