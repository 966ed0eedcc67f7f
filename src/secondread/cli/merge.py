"""`secondread merge`: several bundles of a task as one."""

from pathlib import Path

import click

from secondread.cli.options import command_line, complete_bundles, point_in_words


@click.command()
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE BUNDLE …", shell_complete=complete_bundles)
@click.option("--data", required=True, type=click.Path(path_type=Path), help="The manifest that all were trained on.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The new bundle's folder.")
@click.option("--name", default=None, help="The bundle's name; default: that of the folder.")
@click.option(
    "--calibration",
    type=click.Choice(["temperature", "isotonic", "none"]),
    default="temperature",
    show_default=True,
    help="How probabilities are fitted to the validation split.",
)
@click.option(
    "--shares",
    default=None,
    metavar="2,1,…",
    help="How much each of the bundles counts, in their order; default: alike.",
)
@click.option("--no-measure", is_flag=True, help="Leave the test split unread: no evidence yet.")
@click.option("--gate", is_flag=True, help="Let the shipped gate refuse what is unlike its own training images.")
def merge(
    bundles: tuple[str, ...],
    data: Path,
    out: Path,
    name: str | None,
    calibration: str,
    shares: str | None,
    no_measure: bool,
    gate: bool,
) -> None:
    """Make one bundle that reads as the mean of several: their networks in one file, thresholds and evidence anew.

    BUNDLE: task/name or a folder.
    """
    from rich.console import Console

    from secondread.cli.options import training_progress
    from secondread.data import load_data
    from secondread.errors import ExtraMissing, UsageError
    from secondread.reading import load_bundle

    members = [load_bundle(bundle) for bundle in bundles]
    if out.resolve() in {member.folder.resolve() for member in members}:
        raise UsageError(f"--out '{out}' is one of the bundles; name a new folder, the members are kept")
    manifest = load_data(data, task=members[0].task)
    try:
        from secondread.training.merge import merge_bundles
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("merging", "train") from error
    with training_progress(Console(stderr=True)) as progress:
        bundle = merge_bundles(
            members,
            manifest,
            out=out,
            name=name or out.name,
            shares=None if shares is None else _numbers(shares),
            calibration=calibration,
            command=command_line(),
            measure=not no_measure,
            gate=gate,
            progress=progress,
        )
    for member in bundle.record["members"]:
        click.echo(f"{member['bundle']}: validation AUC {member['training']['best_val_auc']:.3f}")
    click.echo(f"{bundle.id}: validation AUC {bundle.record['training']['best_val_auc']:.3f}")
    for point in bundle.operating_points.values():
        click.echo(point_in_words(point))
    click.echo(f"bundle in {bundle.folder}")


def _numbers(shares: str) -> list[float]:
    try:
        return [float(share) for share in shares.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"'{shares}' are not numbers with commas between", param_hint="--shares") from error
