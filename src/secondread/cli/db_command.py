"""`secondread db`: the tables of the service."""

from typing import Any

import click

from secondread.cli._service_options import open_service, service_options


@click.group()
def db() -> None:
    """The database of the service."""


@db.command("upgrade")
@service_options
def upgrade(**options: Any) -> None:
    """Make the tables, or bring them to this version; safe while others do the same."""
    with open_service(upgrade=False, **options) as service:
        before, needed = service.database.versions() if service.folder.is_dir() else ("", "")
        service.images.prepare()
        service.database.upgrade()
        needed = service.database.versions()[1]
        name = service.database.name
    click.echo(f"{name}: version {needed}" + ("" if before == needed else f", was {before or 'empty'}"))


@db.command("status")
@service_options
def status(**options: Any) -> None:
    """Say which version the tables have; exit status 1 where they do not fit this version."""
    with open_service(upgrade=False, **options) as service:
        service.database.check()
        found = service.database.versions()[0]
        click.echo(f"{service.database.name}: version {found}, {service.queue.waiting()} images waiting")
