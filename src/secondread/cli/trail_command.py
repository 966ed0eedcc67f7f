"""`secondread trail`: the audit trail, verified and exported."""

from typing import Any

import click

from secondread.cli._service_options import open_service, service_options


@click.group()
def trail() -> None:
    """The audit trail: every access to an image or reading, and every change."""


@trail.command("verify")
@click.option("--checkpoint", help="What `secondread trail checkpoint` printed earlier; it must still be in the trail.")
@service_options
def verify(checkpoint: str | None, **options: Any) -> None:
    """Go through every line; exit status 1 and the first wrong line where one was changed, removed or moved."""
    from secondread.service import Checkpoint

    known = Checkpoint.parse(checkpoint) if checkpoint else None
    with open_service(upgrade=False, **options) as service:
        found = service.trail.verify(known)
    click.echo(f"the audit trail is whole: {found.seq} lines, up to {found}")


@trail.command("checkpoint")
@service_options
def checkpoint_command(**options: Any) -> None:
    """Print where the trail ends now. Kept elsewhere, this line shows if the trail is cut off or rewritten later."""
    with open_service(upgrade=False, **options) as service:
        click.echo(str(service.trail.checkpoint()))


@trail.command("export")
@click.option("--after", default=0, type=click.IntRange(0), help="Only lines after this number.")
@click.option("--actor", help="Only what this account did.")
@click.option("--subject", help="Only what concerns this, as reading:17 or user:anna.")
@service_options
def export(after: int, actor: str | None, subject: str | None, **options: Any) -> None:
    """Print lines as JSON, one a line, as they were hashed."""
    import json

    with open_service(upgrade=False, **options) as service:
        for line in service.trail.lines(after=after, actor=actor, subject=subject):
            click.echo(json.dumps(line, ensure_ascii=False))
