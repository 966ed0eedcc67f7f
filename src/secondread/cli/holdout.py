"""`secondread lab holdout`, `pack` and `fit`: recipes chosen by hospitals left out, and training on another machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from secondread.cli.left_out import together_of
from secondread.cli.options import command_line, complete_bundles, seeds_of

if TYPE_CHECKING:
    from rich.progress import TaskID

    from secondread.training.fit import Epoch


@click.command()
@click.argument("plans", nargs=-1, required=True, metavar="TASK/NAME|FILE …")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A manifest with several hospitals.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where holdout.json, holdout.md and the runs go.",
)
@click.option(
    "--together",
    multiple=True,
    metavar="NAME=SOURCE,SOURCE",
    help="Sources that count as one hospital, such as web collections that copy from each other. May be given again.",
)
@click.option("--seeds", default="0", show_default=True, metavar="LIST", help="Repeats, with commas between.")
@click.option(
    "--blocks",
    type=click.IntRange(2, 50),
    default=None,
    help="Of one collection: so many blocks of its groups, each left out in turn.",
)
@click.option(
    "--into",
    default=None,
    metavar="NAME|PATH",
    shell_complete=complete_bundles,
    help="Put the table into the evidence of the bundle that was built of this one plan.",
)
def holdout(
    plans: tuple[str, ...],
    data: Path,
    out: Path,
    together: tuple[str, ...],
    seeds: str,
    blocks: int | None,
    into: str | None,
) -> None:
    """Train recipe files without each hospital in turn, and measure them on it.

    A hospital is a source with both classes among the train and val rows. Its test rows and external collections are
    not read. The mean over hospitals chooses. Given again, it goes on where it stopped.
    """
    if together and blocks:
        raise click.UsageError("--together joins hospitals, --blocks divides one collection: give one of the two")
    if into and blocks:
        raise click.UsageError("--into keeps hospitals left out, and blocks of one collection are none")
    from rich.console import Console

    from secondread.cli.progress import epoch_bars
    from secondread.data import load_data
    from secondread.errors import ExtraMissing
    from secondread.reading import load_bundle

    try:
        from secondread.lab.carried import keep_in, must_be_made_of
        from secondread.lab.holdout import holdout as run_holdout
        from secondread.lab.holdout import members_of
        from secondread.lab.pages import area_in_words
        from secondread.training.build import load_plan
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training", "train") from error
    chosen = [load_plan(plan) for plan in plans]
    bundle = None if into is None else load_bundle(into)
    if bundle is not None:  # what cannot be is told before hours of training
        if len(chosen) != 1:
            raise click.UsageError("--into takes one plan: the one that the bundle was built of")
        must_be_made_of(bundle, chosen[0].name, members_of(chosen[0]), chosen[0].margin)
    with epoch_bars(Console(stderr=True)) as tell:
        table = run_holdout(
            chosen,
            load_data(data, task=chosen[0].task),
            out=out,
            together=together_of(together),
            blocks=blocks or 0,
            seeds=seeds_of(seeds),
            command=command_line(),
            on_epoch=tell,
        )
    for plan in table["plans"]:
        places = ", ".join(f"{name} {area_in_words(results)}" for name, results in plan["hospitals"].items())
        click.echo(f"{plan['name']}: mean AUC {plan['mean_roc_auc']:.3f}; left out: {places}")
        needed = ", ".join(f"{name} {margin:g}" for name, margin in plan["margin_needed"].items())
        click.echo(f"    margins (logits) with which promises hold there on average: {needed}")
    click.echo(f"page: {out / 'holdout.md'}")
    if bundle is not None:
        keep_in(bundle, table)
        click.echo(f"{bundle.id}: its evidence and card hold the table")


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A manifest.")
@click.option("--task", required=True, metavar="NAME|FILE", help="A task.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The pack's folder.")
@click.option(
    "--longest-side", type=click.IntRange(32), required=True, help="Pixels: no less than the recipe's input takes."
)
@click.option("--quality", type=click.IntRange(1, 100), default=80, show_default=True, help="Of WebP.")
def pack(data: Path, task: str, out: Path, longest_side: int, quality: int) -> None:
    """Write the training rows as a small folder, for `secondread lab fit` on a machine that holds no data.

    It holds train and val rows and the shares of shared collections that may teach: no test row, no external one.
    """
    from secondread.data import load_data
    from secondread.lab.pack import write_pack
    from secondread.tasks import load_task

    about = write_pack(load_data(data, task=load_task(task)), out, longest_side=longest_side, quality=quality)
    click.echo(f"{out}: {', '.join(f'{count} {split}' for split, count in about['splits'].items())}")
    click.echo(f"next: secondread lab fit PLAN --data {out / 'manifest.csv'} --out FOLDER")


@click.command()
@click.argument("plan", metavar="TASK/NAME|FILE")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A manifest, or that of a pack.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the .safetensors files go."
)
@click.option("--without", default="", metavar="SOURCE", help="Leave a hospital out, to be measured on it.")
def fit(plan: str, data: Path, out: Path, without: str) -> None:
    """Train the networks of a recipe file and write their weights alone, for `secondread build --trained`.

    On a GPU where there is one. No test row is read and no bundle is made.
    """
    from rich.console import Console

    from secondread.cli.progress import bars
    from secondread.data import load_data
    from secondread.errors import ExtraMissing
    from secondread.lab.pack import packed_fingerprint, without_source

    try:
        from secondread.training.apart import fit_apart
        from secondread.training.build import load_plan, weights_name
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training", "train") from error
    chosen = load_plan(plan)
    manifest = load_data(data, task=chosen.task)
    fingerprint = packed_fingerprint(manifest, without=without)
    if without:
        manifest = without_source(manifest, without)
    for member in chosen.members:
        path = out / weights_name(chosen, member)
        with bars(Console(stderr=True)) as progress:
            row = progress.add_task(path.stem, total=None, said="")

            def tell(epoch: "Epoch", epochs: int, row: "TaskID" = row) -> None:
                progress.update(row, completed=epoch.epoch, total=epochs, said=f"val AUC {epoch.val_auc:.3f}")

            result = fit_apart(
                chosen.task, manifest, member, out=path, fingerprint=fingerprint, command=command_line(), on_epoch=tell
            )
        best = result.history[result.best_epoch - 1]
        click.echo(f"{path}: epoch {result.best_epoch} of {len(result.history)}, validation AUC {best.val_auc:.3f}")
    click.echo(f"next: secondread build {plan} --trained {out}, with the whole manifest")
