"""`secondread evaluate`: what a bundle is worth on a split."""

from pathlib import Path

import click

from secondread.cli.options import bundle_reference, command_line, complete_bundles, complete_tasks
from secondread.cli.tables import table


@click.command()
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="A manifest, or a folder in a known layout."
)
@click.option(
    "--split",
    "splits",
    required=True,
    multiple=True,
    metavar="NAME|all",
    help="Which split to read; may be given again. all: every one that measures, none that taught.",
)
@click.option(
    "--bundle",
    default=None,
    metavar="NAME|PATH",
    shell_complete=complete_bundles,
    help="A shipped bundle or a folder; default: the task's best.",
)
@click.option(
    "--task",
    default=None,
    metavar="NAME",
    shell_complete=complete_tasks,
    help="Default: the manifest's folder, where it is named after a task.",
)
@click.option("--operating-point", metavar="NAME", default=None, help="Default: the bundle's first.")
@click.option(
    "--prevalence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=None,
    metavar="SHARE",
    help="Share of the diseased where it is to be used, as 0.02, for predictive values; default: the split's own.",
)
@click.option(
    "--no-gallery",
    is_flag=True,
    help="Leave pictures of the worst readings out of the page; evidence.json never holds any.",
)
@click.option("--keep", is_flag=True, help="Put evidence and card into the bundle too, in the place of what it holds.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where evidence.json, the plots and the page go.",
)
def evaluate(
    data: Path,
    splits: tuple[str, ...],
    bundle: str | None,
    task: str | None,
    operating_point: str | None,
    prevalence: float | None,
    no_gallery: bool,
    keep: bool,
    out: Path,
) -> None:
    """Measure a bundle on a split: metrics with intervals, plots, heat maps, and a page to look at.

    The page shows the worst readings as pictures of your images, so keep it where they may be; --no-gallery leaves
    them out.
    """
    from rich.console import Console

    from secondread.cli.progress import event_bars
    from secondread.stats.interval import Interval
    from secondread.workflows import evaluate as run

    with event_bars(Console(stderr=True)) as tell:
        evidence = run(
            bundle_reference(task or _task_of(data, bundle), bundle),
            data,
            splits=splits,
            operating_point=operating_point,
            prevalence=prevalence,
            out=out,
            gallery=not no_gallery,
            keep=keep,
            command=command_line(),
            progress=tell,
        )
    parts = evidence["results"].values()
    rows = [
        ("n (positive)", *(f"{part['n']} ({part['n_positive']})" for part in parts)),
        ("refused", *(str(part["n_refused"]) for part in parts)),
    ]
    rows += [
        (name, *(Interval.from_dict(part["metrics"].get(name)).format() for part in parts))
        for name in dict.fromkeys(name for part in parts for name in part["metrics"])
    ]
    title = f"{evidence['bundle']}, positive above {evidence['operating_point']['threshold']:g}"
    table(("measure", *evidence["results"]), rows, title=title)
    click.echo(f"page: {evidence.page}")


def _task_of(data: Path, bundle: str | None) -> str | None:
    """A manifest in a folder named after a task belongs to it."""
    from secondread.errors import UsageError
    from secondread.tasks import list_tasks

    if bundle is not None:
        return None
    folder = (data if data.is_dir() else data.parent).resolve().name
    if folder in list_tasks():
        return folder
    raise UsageError(f"which task? give --task ({', '.join(list_tasks())}) or --bundle")
