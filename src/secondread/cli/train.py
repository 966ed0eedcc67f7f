"""`secondread train`, `merge` and `build`: from a manifest to a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import (
    chosen_recipe,
    command_line,
    complete_bundles,
    complete_tasks,
    engine_options,
    point_in_words,
    set_option,
    weights_options,
)

if TYPE_CHECKING:
    from secondread.reading import Bundle


@click.command()
@click.option(
    "--task",
    required=True,
    metavar="NAME|FILE",
    shell_complete=complete_tasks,
    help="A task's name or a TOML file of your own.",
)
@click.option("--model", default="lenet", show_default=True, metavar="NAME", help="See `secondread models`.")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="A manifest, or a folder in a known layout."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The bundle's folder; the run's state goes to OUT.run.",
)
@click.option("--recipe", default="paper", show_default=True, metavar="NAME", help="See `secondread models`.")
@click.option("--name", default=None, help="The bundle's name; default: that of the folder.")
@click.option(
    "--random-state", default=0, show_default=True, help="Seed of the initial weights, batches and augmentation."
)
@click.option("--epochs", type=click.IntRange(1), default=None, help="Instead of the recipe's.")
@click.option("--batch-size", type=click.IntRange(2), default=None, help="Instead of the recipe's.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=None, help="Instead of the recipe's.")
@click.option(
    "--patience",
    type=click.IntRange(1),
    default=None,
    help="Stop after so many epochs without a better validation AUC.",
)
@click.option(
    "--calibration",
    type=click.Choice(["temperature", "isotonic", "none"]),
    default="temperature",
    show_default=True,
    help="How probabilities are fitted to the validation split; isotonic wants hundreds of images of each class.",
)
@set_option
@weights_options
@click.option("--fresh", is_flag=True, help="Forget an interrupted run in OUT.run.")
@click.option("--no-measure", is_flag=True, help="Leave the test split unread: no evidence yet.")
@click.option("--gate", is_flag=True, help="Let the shipped gate refuse what is unlike its own training images.")
@click.option(
    "--operating-point",
    type=click.Choice(["screening", "confirm", "paper"]),
    default="screening",
    show_default=True,
    help="Which threshold decides where none is named; paper: the network's own probability above 0.7.",
)
@engine_options
def train(
    task: str,
    model: str,
    data: Path,
    out: Path,
    recipe: str,
    name: str | None,
    random_state: int,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    patience: int | None,
    calibration: str,
    changes: tuple[str, ...],
    weights: str | None,
    weights_sha256: str | None,
    fresh: bool,
    no_measure: bool,
    gate: bool,
    operating_point: str,
    engine: str,
    address: str | None,
) -> None:
    """Train a network and write a bundle, with its evidence.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    from rich.console import Console

    from secondread.cli.progress import event_bars
    from secondread.tasks import load_task
    from secondread.workflows import train as run

    plan = chosen_recipe(
        recipe,
        load_task(task),
        changes,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        weights=weights,
        weights_sha256=weights_sha256,
    )
    with event_bars(Console(stderr=True)) as tell:
        bundle = run(
            task,
            data,
            out=out,
            model=model,
            recipe=plan,
            name=name,
            random_state=random_state,
            calibration=calibration,
            operating_point=operating_point,
            gate=gate,
            measure=not no_measure,
            fresh=fresh,
            engine=engine,
            address=address,
            command=command_line(),
            progress=tell,
        )
    _tell(bundle)


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

    from secondread.cli.progress import training_progress
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
    _tell(bundle)


@click.command()
@click.argument("plan", metavar="TASK/NAME|FILE", shell_complete=complete_bundles)
@click.option("--data", required=True, type=click.Path(path_type=Path), help="The manifest to train on.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The bundle's folder; members of a mean go to OUT.members.",
)
@click.option("--fresh", is_flag=True, help="Forget what was begun.")
@click.option("--no-measure", is_flag=True, help="Leave the test split unread: no evidence yet.")
@click.option(
    "--trained",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=None,
    metavar="FOLDER",
    help="Take the networks that `secondread lab fit` wrote there instead of training them.",
)
def build(plan: str, data: Path, out: Path, fresh: bool, no_measure: bool, trained: Path | None) -> None:
    """Train a bundle as its recipe file says: one network, or several and their mean.

    TASK/NAME: a shipped bundle, to be made again. FILE: a recipe file of your own, in TOML.
    Given again, it goes on where it stopped.
    """
    from rich.console import Console

    from secondread.cli.progress import training_progress
    from secondread.data import load_data
    from secondread.errors import ExtraMissing

    try:
        from secondread.training.build import build_bundle, load_plan
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training", "train") from error
    chosen = load_plan(plan)
    manifest = load_data(data, task=chosen.task)
    with training_progress(Console(stderr=True)) as progress:
        bundle = build_bundle(
            chosen,
            manifest,
            out=out,
            command=command_line(),
            fresh=fresh,
            measure=not no_measure,
            trained=trained,
            progress=progress,
        )
    _tell(bundle)


def _tell(bundle: "Bundle") -> None:
    """What was made, and how well it did."""
    for member in bundle.members:
        click.echo(f"{member.bundle}: validation AUC {member.training.best_val_auc:.3f}")
    made = bundle.training
    best = "" if made.best_epoch is None else f"best epoch {made.best_epoch} of {made.epochs_run}, "
    click.echo(f"{bundle.id}: {best}validation AUC {made.best_val_auc:.3f}")
    for point in bundle.operating_points.values():
        click.echo(point_in_words(point))
    for split, result in (bundle.evidence or {"results": {}})["results"].items():
        click.echo(f"{split}: {_summary(result)}")
    curves = "" if bundle.members else f"; learning curves in {bundle.folder}.run/curves.png"
    click.echo(f"bundle in {bundle.folder}{curves}")


def _summary(result: dict[str, Any]) -> str:
    from secondread.stats.interval import Interval

    parts = [f"n = {result['n']}"]
    for key in ("roc_auc", "accuracy", "recall", "specificity"):
        found = result["metrics"].get(key)
        if found and found["value"] is not None:
            parts.append(f"{key} {Interval.from_dict(found).format()}")
    return ", ".join(parts)


def _numbers(shares: str) -> list[float]:
    try:
        return [float(share) for share in shares.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"'{shares}' are not numbers with commas between", param_hint="--shares") from error
