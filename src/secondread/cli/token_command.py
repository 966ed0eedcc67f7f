"""`secondread token`: what programs sign in with."""

from typing import Any

import click

from secondread.cli._service_options import open_service, service_options, who


@click.group()
def token() -> None:
    """API tokens of accounts."""


@token.command("add")
@click.argument("user")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "write", "review", "admin"]),
    default=("read", "write"),
    show_default=True,
    help="What it may do; may be given several times.",
)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Until it expires.")
@service_options
def add(user: str, name: str, scopes: tuple[str, ...], days: int, **options: Any) -> None:
    """Make a token for USER and print it: it cannot be shown again."""
    with open_service(**options) as service:
        secret, made = service.accounts.add_token(user, name=name, scopes=scopes, days=days, actor=who())
    click.echo(
        f"token {made.id} of {made.user} ({', '.join(made.scopes)}), {days} days; it is shown only now:", err=True
    )
    click.echo(secret)


@token.command("list")
@click.argument("user", required=False)
@service_options
def list_command(user: str | None, **options: Any) -> None:
    """Show the tokens of USER, or all."""
    with open_service(**options) as service:
        for found in service.accounts.tokens(user):
            state = (
                "revoked" if found.revoked_at else f"until {found.expires_at:%Y-%m-%d}" if found.expires_at else "open"
            )
            used = f"{found.last_used_at:%Y-%m-%d %H:%M UTC}" if found.last_used_at else "never"
            scopes = ",".join(found.scopes)
            click.echo(f"{found.id}\t{found.user}\t{found.name}\t{found.start}…\t{scopes}\t{state}\tlast used {used}")


@token.command("revoke")
@click.argument("number", type=int)
@service_options
def revoke(number: int, **options: Any) -> None:
    """End token NUMBER for good."""
    with open_service(**options) as service:
        found = service.accounts.revoke_token(number, actor=who())
    click.echo(f"token {found.id} of {found.user} is revoked")
