"""`secondread restore`: a backup, put into a new place."""

from pathlib import Path
from typing import Any

import click

from secondread.cli._service_options import service_options, service_settings


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@service_options
def restore(file: Path, **options: Any) -> None:
    """Check FILE, made by `secondread backup`, and put it into an empty data folder (and database)."""
    from secondread.service import data_folder_of
    from secondread.service import restore as restore_backup

    settings = service_settings(**options)
    folder = data_folder_of(settings)
    found = restore_backup(file, folder, url=str(settings["DATABASE"]))
    click.echo(f"{folder}: {found.n_files} files of {found.created}; audit trail up to {found.trail}")
