"""`secondread lab compare`: models beside one another on the same images, and the leaderboard of kept results."""

from pathlib import Path
from typing import Any

import click

from secondread.cli.left_out import LeftOut, left_out_options
from secondread.cli.options import command_line, complete_tasks
from secondread.cli.tables import table


def _seeds(ctx: click.Context, param: click.Parameter, value: str) -> list[int]:
    try:
        seeds = [int(word) for word in value.split(",")]
    except ValueError as error:
        raise click.BadParameter("give whole numbers with commas between, as 0,1,2") from error
    if min(seeds) < 0:
        raise click.BadParameter("seeds are not negative")
    return list(dict.fromkeys(seeds))


@click.command()
@click.option(
    "--task",
    default=None,
    metavar="NAME|FILE",
    shell_complete=complete_tasks,
    help="A task's name or a TOML file of your own.",
)
@click.option(
    "--data", type=click.Path(path_type=Path), default=None, help="A manifest, or a folder in a known layout."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where trained bundles and `results` go, and are found again.",
)
@click.option(
    "--system",
    "systems",
    multiple=True,
    metavar="NAME",
    help="One that the seed paper names, trained by a recipe of its own until its validation loss is flat; may be "
    "given again.",
)
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="A network or a classical learner; may be given again."
)
@click.option("--bundle", "bundles", multiple=True, metavar="NAME|PATH", help="A trained bundle; may be given again.")
@click.option(
    "--recipe", default="paper", show_default=True, metavar="NAME", help="Of all networks; see `secondread models`."
)
@click.option("--epochs", type=click.IntRange(1), default=None, help="Instead of the recipe's.")
@click.option(
    "--seeds", default="0", show_default=True, callback=_seeds, metavar="N,…", help="Each model once for every seed."
)
@left_out_options
@click.option(
    "--ensemble",
    "ensembles",
    multiple=True,
    type=click.Choice(["mean", "weighted", "stacked"]),
    help="Of all networks and bundles named; may be given again.",
)
@click.option(
    "--baseline",
    default="lenet",
    show_default=True,
    metavar="NAME|BUNDLE",
    help="What all are tested against: a system where systems are compared, a model, or a bundle.",
)
@click.option(
    "--threads", type=click.IntRange(1), default=2, show_default=True, help="Of a network where its time is measured."
)
@click.option(
    "--kept",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("benchmarks/results/leaderboard"),
    show_default=True,
    help="With --page: the results it shows, a folder for each task.",
)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Keep these results and write the leaderboard of all kept ones; alone: only write it.",
)
@click.option(
    "--kit",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="With --page alone: a folder with a manifest.csv for each task; results of other data are stale from now on.",
)
def compare(
    task: str | None,
    data: Path | None,
    out: Path | None,
    systems: tuple[str, ...],
    models: tuple[str, ...],
    bundles: tuple[str, ...],
    recipe: str,
    epochs: int | None,
    seeds: list[int],
    hospitals: LeftOut,
    ensembles: tuple[str, ...],
    baseline: str,
    threads: int,
    kept: Path,
    page: Path | None,
    kit: Path | None,
) -> None:
    """Train models or load bundles, and measure all on the same test images against a baseline.

    Each reads the test split once; given again, the command goes on where it stopped and trains nothing twice. The
    page is written after each result, and says which kept ones are stale: of other images than those at hand.
    """
    if task and data and out and not kit:
        results = _compare(
            task,
            data,
            out,
            kept=kept if page else None,
            page=page,
            hospitals=hospitals,
            systems=systems,
            models=models,
            bundles=bundles,
            recipe=recipe,
            epochs=epochs,
            seeds=seeds,
            ensembles=ensembles,
            baseline=baseline,
            threads=threads,
        )
        _show(results)
        click.echo(f"results: {out / 'results'}")
    elif page is None or task or data or out:
        raise click.UsageError("give --task, --data and --out together, or --page alone")
    if page is not None:
        if kit is not None:
            _note(kit, kept)
        _write(kept, page)


def _note(kit: Path, kept: Path) -> None:
    """Which data the tasks' results ought to be of."""
    from secondread.data import load_data
    from secondread.lab.results import keep_fingerprints
    from secondread.tasks import first_tasks, load_task

    manifests = {task: kit / task / "manifest.csv" for task in first_tasks()}
    found = {task: load_data(path, task=load_task(task)) for task, path in manifests.items() if path.is_file()}
    keep_fingerprints({task: manifest.fingerprint() for task, manifest in found.items()}, kept)


def _write(kept: Path, page: Path) -> None:
    from secondread.lab.leaderboard import write_leaderboard

    written = write_leaderboard(kept, page)
    click.echo(f"page: {page}, {written.n} results")
    for name in written.stale:
        click.echo(f"stale, of other data: {name}")
    if written.missing:
        click.echo(f"named by the paper and not measured on these data: {', '.join(written.missing)}")


def _compare(
    task: str,
    data: Path,
    out: Path,
    *,
    kept: Path | None,
    page: Path | None,
    recipe: str,
    epochs: int | None,
    threads: int,
    hospitals: LeftOut,
    **what: Any,
) -> list[dict[str, Any]]:
    from rich.console import Console

    from secondread.cli.progress import training_progress
    from secondread.data import load_data
    from secondread.errors import ExtraMissing
    from secondread.tasks import load_task
    from secondread.training import load_recipe

    chosen = load_task(task)
    plan = load_recipe(recipe, chosen, epochs=epochs)
    try:
        from secondread.lab.candidates import Comparison
        from secondread.lab.compare import compare_models
        from secondread.lab.leaderboard import write_leaderboard
        from secondread.lab.results import keep_fingerprints, keep_result
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("comparing models", "lab") from error
    manifest = load_data(data, task=chosen)
    comparison = Comparison(chosen, manifest, plan, threads=threads, hospitals=hospitals(manifest))
    console = Console(stderr=True)

    def keep(result: dict[str, Any]) -> None:
        if kept is not None and page is not None:
            keep_fingerprints({chosen.name: comparison.fingerprint}, kept)
            keep_result(result, kept)
            write_leaderboard(kept, page)

    with training_progress(console) as progress:
        return compare_models(
            comparison,
            out,
            command=command_line(),
            progress=progress,
            on_start=lambda name, step: console.print(f"{name}: {step}", highlight=False),
            on_result=keep,
            **what,
        )


def _show(results: list[dict[str, Any]]) -> None:
    from secondread.stats.interval import Interval

    hospitals = list(dict.fromkeys(name for result in results for name in result["left_out"]))
    left_out = [f"without {name}" for name in hospitals]
    head = ("model", *left_out, "val AUC", "test AUC", "difference", "p", "accuracy", "network ×", "whole ×")
    rows = []
    for result in results:
        test, against, latency = result["metrics"]["test"], result["against"], result["latency"]
        row = (
            result["name"],
            *(Interval.from_dict(result["left_out"].get(name, {}).get("roc_auc")).format() for name in hospitals),
            f"{result['metrics']['val']['roc_auc']['value']:.3f}",
            Interval.from_dict(test["roc_auc"]).format(),
            f"{against['difference']:+.3f}",
            f"{against['p']:.3f}",
            Interval.from_dict(test["accuracy"]).format(),
            f"{latency['network_ratio']:.2f}",
            f"{latency['whole_ratio']:.2f}",
        )
        rows.append(row)
    table(head, rows)
