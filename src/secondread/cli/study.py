"""`secondread study`: what each augmentation of a recipe is worth."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from secondread.cli.options import chosen_recipe, command_line, set_option, subject_options

if TYPE_CHECKING:
    from rich.progress import TaskID

    from secondread.training.fit import Epoch


@click.command()
@subject_options(recipe_help="See `secondread models`.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where study.json, study.md, study.png and the runs go.",
)
@click.option(
    "--folds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="1 measures on the validation split, more on folds of train and validation together.",
)
@click.option("--epochs", type=click.IntRange(1), default=None, help="Instead of the recipe's.")
@click.option("--seeds", default="0,1,2", show_default=True, metavar="LIST", help="Random states, with commas between.")
@set_option
def study(
    task: str,
    data: Path,
    model: str,
    recipe: str,
    out: Path,
    folds: int,
    epochs: int | None,
    seeds: str,
    changes: tuple[str, ...],
) -> None:
    """Train a recipe with no augmentation, with each alone, with all but one and with all; compare on validation.

    The test split is not read. Given again, it goes on where it stopped.
    """
    from rich.console import Console

    from secondread.cli.options import bars
    from secondread.data import load_data
    from secondread.errors import ExtraMissing
    from secondread.tasks import load_task

    chosen = load_task(task)
    plan = chosen_recipe(recipe, chosen, changes, epochs=epochs)
    try:
        from secondread.lab.runs import Runs
        from secondread.lab.study import study as run_study
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training", "train") from error
    with bars(Console(stderr=True)) as progress:
        rows: dict[str, TaskID] = {}

        def tell(run: str, epoch: "Epoch", epochs: int) -> None:
            if run not in rows:
                rows[run] = progress.add_task(run, total=epochs, said="")
            progress.update(rows[run], completed=epoch.epoch, said=f"val AUC {epoch.val_auc:.3f}")

        table = run_study(
            Runs(chosen, load_data(data, task=chosen), model),
            plan,
            out=out,
            n_folds=folds,
            seeds=_seeds(seeds),
            command=command_line(),
            on_epoch=tell,
        )
    for arm in table["arms"]:
        click.echo(f"{arm['name']}: validation AUC {arm['roc_auc']['value']:.3f}")
    click.echo(f"page: {out / 'study.md'}")


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(word) for word in text.split(",")]
    except ValueError as error:
        raise click.UsageError(
            f"--seeds takes whole numbers with commas between, such as 0,1,2, not '{text}'"
        ) from error
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise click.UsageError(f"--seeds takes different numbers from 0 on, not '{text}'")
    return seeds
