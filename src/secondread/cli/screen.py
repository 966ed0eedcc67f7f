"""`secondread screen`: an archive in, one table out."""

from pathlib import Path

import click
from rich.console import Console

from secondread.cli.options import bundle_reference, limit_options, question_options


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@question_options
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="….parquet or ….csv")
@click.option("--workers", type=click.IntRange(1), default=None, help="Threads that read; default: one for each core.")
@click.option("--no-gate", is_flag=True, help="Read even what looks unlike anything learnt from; for research.")
@limit_options
def screen(
    source: Path,
    task: str | None,
    bundle: str | None,
    operating_point: str | None,
    out: Path,
    workers: int | None,
    no_gate: bool,
    max_megapixels: int,
    max_megabytes: int,
) -> None:
    """Read a folder, a zip or tar archive, or a CSV of paths into one table: a row a picture, refusals among them.

    Killed, it goes on where it was when it is asked the same again; the table appears when all is read.
    Exit status: 0 when every file was read or refused with a reason, 1 when one could not be opened.
    """
    from secondread.cli.progress import bars
    from secondread.images import Limits
    from secondread.screening import screen as screen_archive

    limits = Limits(max_pixels=max_megapixels * 1_000_000, max_bytes=max_megabytes * 1_000_000)
    with bars(Console(stderr=True)) as progress:
        row = progress.add_task("read", total=None, said="")
        found = screen_archive(
            source,
            out=out,
            reference=bundle_reference(task, bundle),
            operating_point=operating_point,
            limits=limits,
            gate=not no_gate,
            workers=workers,
            progress=lambda done, total: progress.update(row, completed=done, total=total),
        )
    counts = ", ".join(f"{n} {name}" for name, n in sorted(found.decisions.items()) if n)
    before = f" ({found.resumed} of them before)" if found.resumed else ""
    click.echo(f"{out}: {found.n} pictures{before}: {counts or 'none'}")
    if found.not_opened:
        raise click.exceptions.Exit(1)
