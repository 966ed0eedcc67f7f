"""`secondread search`: better values for a recipe's fields."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from secondread.cli.options import chosen_recipe, command_line, set_option, subject_options, weights_options

if TYPE_CHECKING:
    from secondread.training.fit import Epoch


@click.command()
@subject_options(recipe_help="Where the search starts.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where search.json, search.md, search.png and the trials go.",
)
@click.option("--trials", type=click.IntRange(1), required=True, help="How many there shall be in the end.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=None,
    metavar="MINUTES",
    help="Start no trial after so long.",
)
@click.option(
    "--leave-source-out",
    is_flag=True,
    help="Measure on each source that has both classes, left out of training in turn, instead of on validation.",
)
@click.option("--epochs", type=click.IntRange(1), default=None, help="Instead of the recipe's.")
@click.option("--random-state", default=0, show_default=True, help="Of the search and of every training.")
@set_option
@weights_options
def search(
    task: str,
    data: Path,
    model: str,
    recipe: str,
    out: Path,
    trials: int,
    timeout: float | None,
    leave_source_out: bool,
    epochs: int | None,
    random_state: int,
    changes: tuple[str, ...],
    weights: str | None,
    weights_sha256: str | None,
) -> None:
    """Search better values for a recipe's fields by validation AUC, with Optuna.

    The test split is not read. Given again, it goes on where it stopped, also to more trials.
    """
    from rich.console import Console

    from secondread.cli.options import bars
    from secondread.data import load_data
    from secondread.errors import ExtraMissing
    from secondread.tasks import load_task

    chosen = load_task(task)
    plan = chosen_recipe(recipe, chosen, changes, epochs=epochs, weights=weights, weights_sha256=weights_sha256)
    try:
        import optuna

        from secondread.lab.runs import Runs
        from secondread.lab.search import search as run_search
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("searching", "train") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with bars(Console(stderr=True)) as progress:
        row = progress.add_task("trials", total=trials, said="")

        def tell(trial: int, epoch: "Epoch", epochs: int) -> None:
            said = f"trial {trial}  epoch {epoch.epoch}/{epochs}  val AUC {epoch.val_auc:.3f}"
            progress.update(row, completed=trial, said=said)

        table = run_search(
            Runs(chosen, load_data(data, task=chosen), model),
            plan,
            out=out,
            n_trials=trials,
            timeout_minutes=timeout,
            leave_source_out=leave_source_out,
            random_state=random_state,
            command=command_line(),
            on_epoch=tell,
        )
    if best := table["best"]:
        click.echo(f"best of {table['n_trials']}: trial {best['number']}, AUC {best['value']:.4f}")
        click.echo(" ".join(f"--set {text}" for text in best["set"]))
    click.echo(f"page: {out / 'search.md'}")
