"""`secondread lab`: what a researcher runs and a clinic never."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from secondread.cli.compare import compare
from secondread.cli.compare_paper import compare_paper
from secondread.cli.draw import draw
from secondread.cli.holdout import fit, holdout, pack
from secondread.cli.left_out import LeftOut, left_out_options
from secondread.cli.options import (
    chosen_recipe,
    command_line,
    engine_options,
    seeds_of,
    set_option,
    subject_options,
    weights_options,
)

if TYPE_CHECKING:
    from secondread.training.fit import Epoch


@click.group()
def lab() -> None:
    """Compare models, study and search recipes, pretrain: what a researcher runs."""


lab.add_command(compare)
lab.add_command(compare_paper)
lab.add_command(holdout)
lab.add_command(pack)
lab.add_command(fit)
lab.add_command(draw)


@lab.command()
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
@left_out_options
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
    hospitals: LeftOut,
    changes: tuple[str, ...],
) -> None:
    """Train a recipe with no augmentation, with each alone, with all but one and with all; compare on validation.

    The test split is not read. Given again, it goes on where it stopped.
    """
    from rich.console import Console

    from secondread.cli.progress import epoch_bars
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
    with epoch_bars(Console(stderr=True)) as tell:
        manifest = load_data(data, task=chosen)
        table = run_study(
            Runs(chosen, manifest, model),
            plan,
            out=out,
            n_folds=folds,
            hospitals=hospitals(manifest),
            seeds=seeds_of(seeds),
            command=command_line(),
            on_epoch=tell,
        )
    for arm in table["arms"]:
        carried = f"; hospital left out {arm['left_out']['mean']['roc_auc']['value']:.3f}" if "left_out" in arm else ""
        click.echo(f"{arm['name']}: validation AUC {arm['roc_auc']['value']:.3f}{carried}")
    click.echo(f"page: {out / 'study.md'}")


@lab.command()
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
@click.option(
    "--seeds", default="0,1,2", show_default=True, metavar="LIST", help="With --left-out: of the trainings there."
)
@left_out_options
@click.option("--workers", type=click.IntRange(1), default=None, help="Trials at a time on a cluster; default: cores.")
@engine_options
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
    seeds: str,
    hospitals: LeftOut,
    workers: int | None,
    engine: str,
    address: str | None,
    changes: tuple[str, ...],
    weights: str | None,
    weights_sha256: str | None,
) -> None:
    """Search better values for a recipe's fields by validation AUC, with Optuna.

    The test split is not read. Given again, it goes on where it stopped, also to more trials. With --left-out the best
    trial and the recipe as it was are measured at hospitals that taught neither.
    """
    from rich.console import Console

    from secondread.cli.progress import bars
    from secondread.data import load_data
    from secondread.errors import ExtraMissing
    from secondread.tasks import load_task

    chosen = load_task(task)
    plan = chosen_recipe(recipe, chosen, changes, epochs=epochs, weights=weights, weights_sha256=weights_sha256)
    try:
        import optuna

        from secondread.lab.runs import Runs
        from secondread.lab.search import search as run_search
        from secondread.lab.search_on_ray import on_ray
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("searching", "lab") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with bars(Console(stderr=True)) as progress:
        row = progress.add_task("trials", total=trials, said="")

        def tell(trial: int, epoch: "Epoch", epochs: int) -> None:
            said = f"trial {trial}  epoch {epoch.epoch}/{epochs}  val AUC {epoch.val_auc:.3f}"
            progress.update(row, completed=trial, said=said)

        manifest = load_data(data, task=chosen)
        table = run_search(
            Runs(chosen, manifest, model),
            plan,
            out=out,
            hospitals=hospitals(manifest),
            seeds=seeds_of(seeds),
            n_trials=trials,
            timeout_minutes=timeout,
            leave_source_out=leave_source_out,
            random_state=random_state,
            command=command_line(),
            on_epoch=tell,
            run=on_ray(address=address, workers=workers) if engine == "ray" else None,
        )
    if best := table["best"]:
        click.echo(f"best of {table['n_trials']}: trial {best['number']}, AUC {best['value']:.4f}")
        click.echo(" ".join(f"--set {text}" for text in best["set"]))
    click.echo(f"page: {out / 'search.md'}")


@lab.command()
@subject_options(recipe_help="Whose preprocessing, flips and start to use: that of the training to come.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The .safetensors file; the run's state goes to OUT.run.",
)
@click.option("--epochs", type=click.IntRange(1), default=100, show_default=True)
@click.option("--batch-size", type=click.IntRange(2), default=128, show_default=True, help="Every other is a negative.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=0.001, show_default=True)
@click.option("--random-state", default=0, show_default=True, help="Seed of the initial weights, batches and views.")
@click.option("--without", default="", metavar="SOURCE", help="Leave a hospital's images out, to be measured on it.")
@set_option
@click.option("--fresh", is_flag=True, help="Forget an interrupted run in OUT.run.")
def pretrain(
    task: str,
    data: Path,
    model: str,
    recipe: str,
    out: Path,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    random_state: int,
    without: str,
    changes: tuple[str, ...],
    fresh: bool,
) -> None:
    """Train a network without labels (SimCLR) and write its weights, for `secondread train --weights`.

    It sees training images and the training shares of shared collections, never validation, test or external ones. An
    interrupted run goes on where it stopped.
    """
    from rich.console import Console

    from secondread.cli.progress import bars
    from secondread.data import load_data
    from secondread.errors import ExtraMissing
    from secondread.tasks import load_task

    if out.suffix != ".safetensors":
        raise click.UsageError(f"--out names a .safetensors file, not '{out}'")
    chosen = load_task(task)
    base = chosen_recipe(recipe, chosen, ())
    try:
        from secondread.lab.contrastive import contrastive_recipe
        from secondread.lab.contrastive import pretrain as run_pretraining
        from secondread.lab.pack import without_source
        from secondread.training.recipe import change_recipe
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training", "train") from error
    manifest = load_data(data, task=chosen)
    plan = contrastive_recipe(base, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    plan = change_recipe(plan, changes)
    with bars(Console(stderr=True)) as progress:
        row = progress.add_task("epochs", total=plan.epochs, said="")
        made = run_pretraining(
            chosen,
            without_source(manifest, without) if without else manifest,
            plan,
            model_name=model,
            out=out,
            random_state=random_state,
            command=command_line(),
            fresh=fresh,
            on_epoch=lambda epoch, _, loss: progress.update(row, completed=epoch, said=f"loss {loss:.3f}"),
        )
    click.echo(f"{made.n_images} images, contrastive loss {made.losses[0]:.3f} → {made.losses[-1]:.3f}")
    click.echo(f"{made.path}: SHA-256 {made.sha256}")
    click.echo(f"next: secondread train --weights {made.path}, with the same model, recipe and preprocessing")
