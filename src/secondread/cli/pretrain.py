"""`secondread pretrain`: weights from images without labels."""

from pathlib import Path

import click

from secondread.cli.options import chosen_recipe, command_line, set_option, subject_options


@click.command()
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
    changes: tuple[str, ...],
    fresh: bool,
) -> None:
    """Teach a network without labels (SimCLR) and write its weights, for `secondread train --weights`.

    It sees training images and the teaching parts of shared collections, never validation, test or external ones. An
    interrupted run goes on where it stopped.
    """
    from rich.console import Console

    from secondread.cli.options import bars
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
        from secondread.training.recipe import change_recipe
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training", "train") from error
    plan = contrastive_recipe(base, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    plan = change_recipe(plan, changes)
    with bars(Console(stderr=True)) as progress:
        row = progress.add_task("epochs", total=plan.epochs, said="")
        made = run_pretraining(
            chosen,
            load_data(data, task=chosen),
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
