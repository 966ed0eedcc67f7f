"""`secondread lab compare-paper`: the seed paper's figures beside an honest and a leaking split."""

import json
from pathlib import Path
from typing import Any

import click

from secondread.cli.options import command_line, complete_tasks

_NAME = "paper-comparison"
_DEFAULT = ("tuberculosis",)


@click.command("compare-paper")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that holds a folder with a manifest.csv for each task.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_tasks,
    help="May be given again; default: tuberculosis, which takes minutes. The others take longer.",
)
@click.option("--copies", type=click.IntRange(1), default=5, show_default=True, help="Copies of each image that leak.")
@click.option(
    "--folds", type=click.IntRange(2), default=5, show_default=True, help="Networks that read the same images unseen."
)
@click.option("--epochs", type=click.IntRange(1), default=None, help="Default: the paper's 50.")
@click.option("--random-state", type=int, default=0, show_default=True, help="Of weights, copies and split.")
@click.option(
    "--bundle-only",
    is_flag=True,
    help="Train nothing: only read the figures of the shipped bundle `best` anew, of tasks that --out already holds.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where {_NAME}.json goes; tasks it already holds stay in it.",
)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help=f"Where the page in Markdown goes; default: {_NAME}.md beside it.",
)
def compare_paper(
    data: Path,
    tasks: tuple[str, ...],
    copies: int,
    folds: int,
    epochs: int | None,
    random_state: int,
    bundle_only: bool,
    out: Path,
    page: Path | None,
) -> None:
    """Train the paper's network on an honest and on a leaking split, and set both beside the paper's claims.

    Copies of images are written to a temporary folder and removed again.
    """
    from rich.console import Console

    from secondread.cli.progress import epoch_bars
    from secondread.data import load_data
    from secondread.files import write_json, write_text
    from secondread.lab.pages import comparison_page
    from secondread.lab.paper import best_bundle, compare_splits
    from secondread.tasks import load_task
    from secondread.training import load_recipe

    table = _read(out / f"{_NAME}.json")
    if bundle_only:
        _check_held(tasks, table, out)
    with epoch_bars(Console(stderr=True)) as tell:
        for name in tasks or _DEFAULT:
            task = load_task(name)
            manifest = load_data(data / name / "manifest.csv", task=task)
            if bundle_only:
                table[name] = {**table[name], "best": best_bundle(task, manifest)}
            else:
                table[name] = compare_splits(
                    task,
                    manifest,
                    load_recipe("paper", task, epochs=epochs),
                    copies=copies,
                    folds=folds,
                    random_state=random_state,
                    command=command_line(),
                    on_epoch=tell,
                )
            write_json(out / f"{_NAME}.json", table)
    target = page or out / f"{_NAME}.md"
    manifests = {name: data / name / "manifest.csv" for name in table}
    at_hand = {
        name: load_data(path, task=load_task(name)).fingerprint() for name, path in manifests.items() if path.is_file()
    }
    write_text(target, comparison_page(table, at_hand))
    click.echo(f"page: {target}")


def _read(path: Path) -> dict[str, Any]:
    from secondread.errors import DataInvalid

    if not path.is_file():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataInvalid(f"'{path}' holds something else ({error}); name another --out") from error
    return dict(table)


def _check_held(tasks: tuple[str, ...], table: dict[str, Any], out: Path) -> None:
    from secondread.errors import UsageError

    for name in tasks or _DEFAULT:
        if name not in table:
            raise UsageError(f"'{out}' holds no comparison of '{name}' yet; run without --bundle-only")
