"""`secondread recalibrate`: a bundle fitted to a site's own scores and outcomes, its weights untouched."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import complete_bundles, service_options
from secondread.cli.tables import table

if TYPE_CHECKING:
    from secondread.stats.calibration import Calibration


@click.command()
@click.option(
    "--bundle",
    required=True,
    metavar="NAME|PATH",
    shell_complete=complete_bundles,
    help="The bundle that gave the scores: task/name or a folder.",
)
@click.option(
    "--scores",
    default=None,
    type=click.Path(path_type=Path),
    help="CSV: `outcome` (0 or 1) and `probability` (or `score`, 0–1, or `logit`); `group` or `patient`, `bundle`.",
)
@click.option("--out", default=None, type=click.Path(file_okay=False, path_type=Path), help="The new bundle's folder.")
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Of the guarantees of screening and confirm.",
)
@click.option(
    "--worst-case",
    is_flag=True,
    help="Count images of one patient as wholly alike: holds against rare kinds of patients too, and needs many more.",
)
@click.option(
    "--method",
    type=click.Choice(["temperature", "platt", "isotonic"]),
    default="temperature",
    show_default=True,
    help="platt also mends another share of diseased images; isotonic wants hundreds of images.",
)
@click.option("--name", default=None, help="The new bundle's name; default: that of the folder.")
@click.option("--force", is_flag=True, help="Write the bundle even where the scores speak against it; for research.")
@click.option("--unlabelled", is_flag=True, help="From scores alone, without outcomes: see below.")
@click.option(
    "--images",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With --unlabelled: files or folders to read, in place of --scores. May be given again.",
)
@click.option("--store", is_flag=True, help="With --unlabelled: the bundle's readings that are kept here.")
@click.option(
    "--prevalence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=None,
    metavar="SHARE",
    help="With --unlabelled: share of the diseased among these images, known from elsewhere; moves the thresholds.",
)
@click.option("--set", "to_set", is_flag=True, help="With --unlabelled: set what was found for this site.")
@service_options
def recalibrate(
    bundle: str,
    scores: Path | None,
    out: Path | None,
    confidence: float,
    worst_case: bool,
    method: str,
    name: str | None,
    force: bool,
    unlabelled: bool,
    images: tuple[Path, ...],
    store: bool,
    prevalence: float | None,
    to_set: bool,
    **options: Any,
) -> None:
    """Fit temperature and operating points to a site, from local scores and outcomes.

    The weights stay as they are; a new bundle is written beside the old one. Nothing is written, and the exit status is
    2, where the scores do not rank the diseased higher, are all alike, or leave the temperature undecided.

    With --unlabelled no outcomes are needed, and less can be said. Alone it estimates how common disease is there, if
    nothing else differs (label shift), and refuses where the scores speak against that, or are too few to. --set makes
    it this site's prevalence; thresholds stay, as label shift moves no sensitivity or specificity. With --prevalence it
    moves the thresholds so that as many images are flagged as should be where so many are diseased; --out writes them
    as a new bundle, --set makes the moved default point this site's own. That trades one rate for the other; it brings
    no order into scores that have none.
    """
    if unlabelled:
        from secondread.cli.unlabelled import Asked, run

        run(bundle, Asked(scores, images, store, prevalence, out, name, to_set, force, options))
        return
    if images or store or prevalence is not None or to_set:
        raise click.UsageError("--images, --store, --prevalence and --set go with --unlabelled")
    if scores is None or out is None:
        raise click.UsageError("give --scores and --out, or --unlabelled")
    from secondread.errors import Objected, UsageError
    from secondread.workflows import recalibrate as run_recalibration

    try:
        done = run_recalibration(
            bundle, scores, out=out, name=name, method=method, confidence=confidence, worst_case=worst_case, force=force
        )
    except Objected as error:
        _say("note", error.warnings)
        _say("refused", error.objections)
        raise UsageError("no bundle was written; mend the scores, or give --force to write it all the same") from error
    _say("note", done.warnings)
    _say("warning", done.objections)
    before, after, new, old = done.before, done.after, done.bundle, done.old
    _points(before, after, n=done.n, n_positive=done.n_positive)
    click.echo(f"calibration: {_in_words(old.calibration)} → {_in_words(new.calibration)}")
    for measure, title in (("brier", "Brier score"), ("ece", "calibration error (ten bins of equal numbers)")):
        click.echo(f"{title}: {before[measure]:.4f} → {after[measure]:.4f} (the latter on the images fitted to)")
    for point in ("screening", "confirm"):
        click.echo(f"{point}: {new.operating_points[point].chosen_by}")
    click.echo(f"{new.id}: bundle in {new.folder}, weights as in {old.id}; no evidence yet: `secondread evaluate`")


def _say(what: str, sentences: Iterable[str]) -> None:
    for sentence in sentences:
        click.echo(f"{what}: {sentence}", err=True)


def _points(before: Mapping[str, Any], after: Mapping[str, Any], *, n: int, n_positive: int) -> None:
    """Every operating point, old and new, as it does on the site's images."""
    from secondread.stats.interval import Interval

    rows = []
    for which, found in (("old", before), ("new", after)):
        for name, point in found["operating_points"].items():
            rates = (Interval.from_dict(point[rate]).format() for rate in ("sensitivity", "specificity"))
            rows.append((f"{which} {name}", f"{point['threshold']:.4f}", *rates))
    title = f"on the site's {n} images, {n_positive} positive; 95 % intervals"
    table(("operating point", "positive above", "sensitivity", "specificity"), rows, title=title)


def _in_words(calibration: "Calibration") -> str:
    bias = "" if calibration.bias is None else f", bias {calibration.bias:+.3f}"
    knots = "" if calibration.knots is None else f", {len(calibration.knots[0])} knots"
    return f"temperature {calibration.temperature:.3f}{bias}{knots}"
