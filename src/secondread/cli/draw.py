"""`secondread lab draw`: a bundle that reads learns to name boxes."""

from pathlib import Path

import click

from secondread.cli.options import command_line, complete_bundles


@click.command()
@click.argument("bundle", metavar="NAME|PATH", shell_complete=complete_bundles)
@click.option("--data", required=True, type=click.Path(path_type=Path), help="The manifest the bundle was trained on.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The new bundle's folder.")
@click.option("--source", "sources", multiple=True, help="Whose boxes and masks teach; else all. May be given again.")
@click.option("--epochs", type=click.IntRange(1), default=40, show_default=True)
@click.option("--views", type=click.IntRange(1), default=8, show_default=True, help="Of each image, changed at random.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=0.003, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@click.option(
    "--healthy",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="Images without disease for one with lesions.",
)
@click.option("--random-state", default=0, show_default=True)
@click.option("--no-measure", is_flag=True, help="Leave the test rows unread, to choose between trials by validation.")
def draw(
    bundle: str,
    data: Path,
    out: Path,
    sources: tuple[str, ...],
    epochs: int,
    views: int,
    learning_rate: float,
    batch_size: int,
    healthy: float,
    random_state: int,
    no_measure: bool,
) -> None:
    """Teach a bundle to draw boxes around what it finds; its answers stay as they are.

    What reads, one network or the mean of several, is not changed: a part that draws is trained beside it, on the boxes
    and masks of the training rows. Takes minutes. The bundle's record says how good the boxes are on validation.
    """
    from rich.console import Console

    from secondread.cli.progress import bars
    from secondread.data import load_data
    from secondread.errors import ExtraMissing
    from secondread.reading import load_bundle

    try:
        from secondread.training.draw import DrawPlan, draw_bundle
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training", "train") from error
    old = load_bundle(bundle)
    plan = DrawPlan(sources, epochs, views, learning_rate, batch_size, healthy, random_state)
    with bars(Console(stderr=True)) as progress:
        row = progress.add_task("epochs", total=epochs, said="")
        made = draw_bundle(
            old,
            load_data(data, task=old.task),
            plan,
            out=out,
            command=command_line(),
            measure=not no_measure,
            on_epoch=lambda epoch, _, loss: progress.update(row, completed=epoch, said=f"loss {loss:.3f}"),
        )
    boxes = made.record["training"]["boxes"]
    ap = boxes["val"]["ap50"]
    click.echo(
        f"{made.id}: drawn on {boxes['n_boxes']} boxes of {boxes['n_images']} images; "
        f"validation AP50 {ap['value']:.3f} ({ap['low']:.3f}–{ap['high']:.3f}), n = {boxes['val']['n']}"
    )
    click.echo(f"bundle: {out}")
