"""`recalibrate`: a bundle fitted to a site's own scores and outcomes, its weights untouched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secondread.errors import ExtraMissing, Objected, UsageError

if TYPE_CHECKING:
    from secondread.evidence.site import SiteScores
    from secondread.reading import Bundle

Columns = Mapping[str, Sequence[Any]]  # or a data frame: names, and a column by its name


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A bundle before and after it was fitted to a site.

    before, after: {brier, ece, operating_points} on the site's images; `after` speaks too well, as it was fitted to
    them. warnings: sentences on what these images are too few for; objections: on why nothing should be fitted to them.
    """

    bundle: "Bundle"
    old: "Bundle"
    n: int
    n_positive: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    warnings: tuple[str, ...]
    objections: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Recalibration {self.bundle.id}, of {self.old.id} on {self.n} images, {self.n_positive} positive>"


def recalibrate(
    bundle: "str | Path | Bundle",
    scores: str | Path | Columns,
    *,
    out: str | Path,
    name: str | None = None,
    method: str = "temperature",
    confidence: float = 0.9,
    worst_case: bool = False,
    force: bool = False,
) -> Recalibration:
    """Fit temperature and operating points to a site, from local scores and outcomes; write a new bundle to `out`.

    bundle: the one that gave the scores. scores: a CSV file, or columns (a dictionary of lists, or a data frame):
    `outcome` (0 or 1) and `probability` (or `score`, 0–1, or `logit`), and `group` or `patient` where images belong
    together. method: 'temperature', 'platt' or 'isotonic'. confidence: of the guarantees of screening and confirm.
    worst_case: count images of one patient as wholly alike. force: write the bundle even where the scores speak
    against it; for research.

    Raises Objected, with the sentences, where the scores speak against it: they do not rank the diseased higher, are
    all alike, or leave the temperature undecided. Raises also CannotOpen, DataInvalid with the line's number,
    UnknownName, UsageError where `out` is the bundle itself, and BundleError if `out` holds something else.
    """
    from secondread.evidence.site import (
        Targets,
        at_the_site,
        objections_to,
        read_site_scores,
        recalibrated_record,
        warnings_about,
    )
    from secondread.reading import Bundle, load_bundle
    from secondread.stats.calibration import Calibration

    old = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    folder = Path(out)
    if folder.resolve() == old.folder.resolve():
        raise UsageError(f"'{out}' is the bundle itself; name a new folder, the old bundle is kept")
    if isinstance(scores, str | Path):
        site = read_site_scores(Path(scores), record=old.record, bundle_id=old.id)
    else:
        site = _scores_in(scores, old)
    targets = Targets(old.task.target_sensitivity, old.task.target_specificity, confidence, worst_case)
    try:
        record = recalibrated_record(
            old.record,
            site,
            bundle_id=old.id,
            name=name or folder.name,
            method=method,
            targets=targets,
            date=date.today().isoformat(),
        )
        before, after = at_the_site(old.record, site), at_the_site(record, site)
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("recalibration", "train") from error
    warnings = tuple(warnings_about(site, method=method))
    objections = tuple(objections_to(site, Calibration.from_record(record)))
    if objections and not force:
        raise Objected(
            "no bundle was written; mend the scores, or give force=True to write it all the same",
            warnings=warnings,
            objections=objections,
        )
    return Recalibration(
        _write(old, record, folder),
        old,
        len(site.y_true),
        int(site.y_true.sum()),
        before,
        after,
        warnings,
        objections,
    )


def _scores_in(columns: Columns, old: "Bundle") -> "SiteScores":
    """The columns, checked as a file of them would be: its lines are counted from 1, the header's."""
    from secondread.data import table_of
    from secondread.evidence.site import read_site_scores

    return read_site_scores(Path("scores"), record=old.record, bundle_id=old.id, data=table_of(columns))


def _write(old: "Bundle", record: Mapping[str, Any], folder: Path) -> "Bundle":
    from secondread.evidence.card import recalibrated_card
    from secondread.reading import add_card, write_bundle

    new = write_bundle(folder, record=record, model=old.model_path.read_bytes(), task_file=old.task_file)
    add_card(new, recalibrated_card(new, old))
    return new
