"""`secondread backup`: everything that is kept, in one file."""

from pathlib import Path
from typing import Any

import click

from secondread.cli._service_options import open_service, service_options, who


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@service_options
def backup(file: Path, **options: Any) -> None:
    """Write database and images into FILE (.tar.gz). The server may run meanwhile."""
    from secondread.service import back_up

    with open_service(upgrade=False, **options) as service:
        service.database.check()
        found = back_up(service.database, service.images, file, actor=who())
    click.echo(f"{found.path}: {found.n_files} files, {found.n_bytes / 1e6:.1f} MB; audit trail up to {found.trail}")
