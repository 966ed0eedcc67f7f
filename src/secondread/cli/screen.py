"""`secondread screen`: an archive in, one table out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from secondread.cli.options import (
    bundle_reference,
    counted,
    engine_options,
    limit_options,
    limits_of,
    open_service,
    question_options,
    service_settings,
    who,
)

if TYPE_CHECKING:
    from secondread.screening import Store


@click.command()
@click.argument("source")
@question_options
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="….parquet or ….csv")
@click.option("--frame", type=click.IntRange(1), default=None, help="Of files of several, this one alone, from 1.")
@click.option(
    "--workers", type=click.IntRange(1), default=None, help="How many read at a time; default: one for each core."
)
@engine_options
@click.option(
    "--store",
    metavar="DATA_FOLDER",
    type=click.Path(file_okay=False),
    default=None,
    help="Keep images and readings in this service too, by its settings and at the site's operating points.",
)
@click.option("--no-gate", is_flag=True, help="Read even what looks unlike anything learnt from; for research.")
@limit_options
def screen(
    source: str,
    task: str | None,
    bundle: str | None,
    operating_point: str | None,
    out: Path,
    frame: int | None,
    workers: int | None,
    engine: str,
    address: str | None,
    store: str | None,
    no_gate: bool,
    max_megapixels: int,
    max_megabytes: int,
) -> None:
    """Read a folder, a zip or tar archive, or a CSV of paths into one table: a row a picture, refusals among them.

    SOURCE may be in S3: s3://bucket/prefix or s3://bucket/archive.zip, with credentials and endpoint from the
    environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL …).
    Killed, it goes on where it was when it is asked the same again; the table appears when all is read.
    Exit status: 0 when every file was read or refused with a reason, 1 when one could not be opened, 2
    when there is none.
    """
    from secondread.cli.progress import event_bars
    from secondread.errors import UsageError
    from secondread.workflows import screen as run

    if store and no_gate:
        raise UsageError("what a service keeps is read by its own settings: leave out --no-gate, or set gate to 'off'")
    with event_bars(Console(stderr=True)) as tell, _kept(store, task, bundle, operating_point, frame) as keeps:
        found = run(
            source,
            out=out,
            bundle=bundle_reference(task, bundle),
            operating_point=operating_point,
            frame=frame,
            limits=limits_of(max_megapixels=max_megapixels, max_megabytes=max_megabytes),
            gate=not no_gate,
            workers=workers,
            engine=engine,
            address=address,
            store=keeps,
            progress=tell,
        )
    counts = ", ".join(f"{n} {name}" for name, n in sorted(found.decisions.items()) if n)
    before = f" ({found.resumed} of them before)" if found.resumed else ""
    click.echo(f"{out}: {counted(found.n, 'picture')}{before}: {counts or 'none'}")
    if found.not_opened:
        raise click.exceptions.Exit(1)


@contextmanager
def _kept(
    folder: str | None, task: str | None, bundle: str | None, operating_point: str | None, frame: int | None
) -> "Iterator[Store | None]":
    """The service in that folder, open while this lasts; None where nothing is to be kept."""
    if folder is None:
        yield None
        return
    from secondread.screening import store_of
    from secondread.service import ReadingRequest, readers_of

    where: dict[str, Any] = {"config": None, "data_folder": folder, "database": None}
    asked = ReadingRequest(task or "auto", bundle or "", operating_point or "", source="screen", frame=frame)
    with open_service(**where) as service:
        readers = readers_of(service_settings(**where)).follow(service.upgrades.chosen, service.points.active_point)
        yield store_of(service, readers, asked, actor=who())
