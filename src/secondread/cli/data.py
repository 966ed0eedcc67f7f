"""`secondread data`: import, split, look at and download collections of labelled images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import counted

if TYPE_CHECKING:
    from rich.table import Table

    from secondread.data import Manifest
    from secondread.tasks import Source

_FILE = click.Path(path_type=Path)


@click.group("data")
def data() -> None:
    """Import, split, look at and download labelled images."""


@data.command("import")
@click.argument("folder", type=_FILE)
@click.option("--task", "task_name", required=True, metavar="NAME", help="The task whose classes the folders are.")
@click.option("--out", required=True, type=_FILE, metavar="FILE", help="The manifest to write (CSV).")
@click.option(
    "--importer", default="folders", show_default=True, metavar="NAME", help="Of another layout: see `data importers`."
)
def import_command(folder: Path, task_name: str, out: Path, importer: str) -> None:
    """Write the manifest of a FOLDER: class folders, yes/no, train/val/test trees or names ending _0/_1."""
    from secondread.data import import_with, write_manifest
    from secondread.tasks import load_task

    manifest = import_with(importer, folder, task=load_task(task_name))
    write_manifest(manifest, out)
    _say_written(manifest, out)
    if not any(row.patient for row in manifest.rows):
        click.echo("If patients have several images, fill the column 'patient' before splitting.")


@data.command("importers")
def importers_command() -> None:
    """List the layouts of folders that are known; --data IMPORTER:FOLDER reads one."""
    from secondread.cli.tables import listed, say_left_out
    from secondread.data import known_importers, list_importers

    listed(list_importers())
    say_left_out(known_importers())


@data.command("split")
@click.argument("manifest", type=_FILE)
@click.option("--out", required=True, type=_FILE, metavar="FILE", help="The manifest to write (CSV).")
@click.option("--fractions", default="70,10,20", show_default=True, help="Per cent for train, val and test.")
@click.option("--random-state", default=0, show_default=True, help="Another number draws another split.")
def split_command(manifest: Path, out: Path, fractions: str, random_state: int) -> None:
    """Split a MANIFEST into train, val and test: groups stay whole, classes in proportion."""
    from secondread.data import check_manifest, read_manifest, split, write_manifest

    # Unchecked for groups: a table divided wrongly is what this command mends.
    whole = read_manifest(manifest, check=False)
    divided = split(whole, fractions=_fractions(fractions), random_state=random_state)
    check_manifest(divided, where=manifest)
    write_manifest(divided, out)
    _say_written(divided, out)


@data.command("info")
@click.argument("path", metavar="MANIFEST|FOLDER", type=_FILE)
@click.option("--task", "task_name", metavar="NAME", help="The task whose class names the labels may be.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info_command(path: Path, task_name: str | None, as_json: bool) -> None:
    """Count a MANIFEST or FOLDER by split, source and class, and say what is wrong with it."""
    import json

    from secondread.data import load_data, summarise
    from secondread.tasks import load_task

    summary = summarise(load_data(path, task=load_task(task_name) if task_name else None, check=False))
    if as_json:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
        return
    _show(summary)


@data.command("download")
@click.option("--task", "task_name", required=True, metavar="NAME", help="The task whose public originals to fetch.")
@click.option(
    "--source", "source_name", metavar="NAME", help="One of the task's sources; by default all with an address."
)
@click.option("--out", required=True, type=_FILE, metavar="DIR", help="The folder to put them in.")
@click.option("--accept-terms", is_flag=True, help="Say that you have read and accept the terms.")
def download_command(task_name: str, source_name: str | None, out: Path, accept_terms: bool) -> None:
    """Fetch the public originals of a task, once their terms are accepted."""
    from secondread.data import download

    for source in _sources(task_name, source_name):
        _say_terms(source)
        if not source.url and not source_name:
            click.echo(f"  To be fetched by hand from {source.page}")
            continue
        accepted = accept_terms or (bool(source.url) and _ask())
        with _progress(source.name) as progress:
            path = download(source, out, accept_terms=accepted, progress=progress)
        click.echo(f"  {path}")


def _fractions(text: str) -> tuple[float, ...]:
    from secondread.errors import UsageError

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    total = sum(numbers)
    if len(numbers) != 3 or min(abs(total - 100), abs(total - 1)) > 1e-6:
        raise UsageError(
            f"--fractions '{text}': give three numbers for train, val and test that sum to 100, such as 70,10,20"
        )
    return tuple(number / total for number in numbers)


def _sources(task_name: str, source_name: str | None) -> tuple[Source, ...]:
    from secondread.errors import UnknownName
    from secondread.tasks import load_task

    sources = load_task(task_name).sources
    if source_name is None:
        return sources
    chosen = tuple(source for source in sources if source.name == source_name)
    if not chosen:
        raise UnknownName.of(f"source of {task_name}", source_name, [source.name for source in sources])
    return chosen


def _say_written(manifest: Manifest, out: Path) -> None:
    positives = int(manifest.labels.sum())
    splits = ", ".join(f"{name} {count}" for name, count in manifest.splits().items() if name)
    click.echo(f"{out}: {counted(len(manifest), 'image')}, {positives} positive, {len(manifest) - positives} negative")
    click.echo(f"splits: {splits or 'none yet'}")


def _say_terms(source: Source) -> None:
    click.echo(
        f"{source.name}: {source.title}\n  Cite:  {source.citation}\n  Terms: {source.terms}\n  Page:  {source.page}"
    )


def _ask() -> bool:
    """The answer of a person at a terminal; without one, no."""
    return _at_terminal() and click.confirm("  Do you accept these terms?")


def _at_terminal() -> bool:
    return sys.stdin.isatty()


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _show(summary: dict[str, Any]) -> None:
    from rich.console import Console

    Console(markup=False, emoji=False, highlight=False).print(_table(summary))
    for what in ("group", "patient"):
        if divided := summary[f"divided_{what}s"]:
            name, splits = next(iter(divided.items()))
            click.echo(f"Leak: {len(divided)} {what}s lie in two splits, such as '{name}' in {' and '.join(splits)}.")
    if missing := summary["missing"]:
        click.echo(f"Missing: the files of {len(missing)} rows, such as '{missing[0]}'.")


def _table(summary: dict[str, Any]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    caption = "majority: accuracy of always giving the commoner answer"
    table = Table(title=summary["folder"], caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("split", "source"):
        table.add_column(column, overflow="fold")
    for column in ("images", "neg", "pos", "groups", "patients", "majority"):
        table.add_column(column, justify="right", min_width=max(5, len(column)))
    for name, split in summary["splits"].items():
        for source, counts in split["sources"].items():
            table.add_row(name or "none", source or "-", *_cells(counts))
        if len(split["sources"]) > 1:
            table.add_row(name or "none", "all", *_cells(split), style="bold")
    table.add_row("all", "all", *_cells(summary), style="bold")
    return table


def _cells(counts: dict[str, Any]) -> list[str]:
    whole = [str(counts[key]) for key in ("n", "negatives", "positives", "groups", "patients")]
    return [*whole, f"{counts['majority_accuracy']:.1%}"]
