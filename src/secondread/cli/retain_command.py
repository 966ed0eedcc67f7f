"""`secondread retain`: deletes what has been kept long enough."""

from typing import Any

import click

from secondread.cli._service_options import open_service, service_options, service_settings, who


@click.command()
@click.option("--days", type=click.IntRange(1), help="Keep this many days; default: the setting retention_days.")
@click.option("--dry-run", is_flag=True, help="Say how many images it would delete, and delete none.")
@service_options
def retain(days: int | None, dry_run: bool, **options: Any) -> None:
    """Delete images, names and notes older than so many days; the audit trail proves each deletion."""
    from secondread.errors import UsageError

    days = days or int(service_settings(**options)["RETENTION_DAYS"])
    if not days:
        raise UsageError("nothing says how long images are kept; give --days or set retention_days")
    with open_service(**options) as service:
        if dry_run:
            click.echo(f"{service.retention.due(days)} images were received more than {days} days ago")
            return
        found = service.retention.apply(days, actor=who())
    click.echo(f"deleted {found.images} images received before {found.before:%Y-%m-%d %H:%M UTC}")
    click.echo(f"{found.readings} readings stay without them")
