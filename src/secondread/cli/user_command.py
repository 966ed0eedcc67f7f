"""`secondread user`: accounts of people."""

from typing import Any

import click

from secondread.cli._service_options import ask_password, open_service, service_options, who

_ROLES = click.Choice(["reader", "reviewer", "administrator"])


@click.group()
def user() -> None:
    """Accounts: who may use the service, and as what."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=_ROLES, default="reader", show_default=True, help="What the account may do.")
@click.option("--subject", help="Sign in through OpenID Connect only, as this issuer and subject; asks no password.")
@service_options
def add(name: str, role: str, subject: str | None, **options: Any) -> None:
    """Make an account. The password is asked for, or read as one line of standard input."""
    password = None if subject else ask_password()
    with open_service(**options) as service:
        made = service.accounts.add(name, role=role, password=password, subject=subject, actor=who())
    click.echo(f"{made.name}: {made.role}")


@user.command("list")
@service_options
def list_command(**options: Any) -> None:
    """Show every account."""
    with open_service(**options) as service:
        for found in service.accounts.users():
            state = "disabled" if found.disabled_at else "enabled"
            seen = found.last_login_at.strftime("%Y-%m-%d %H:%M UTC") if found.last_login_at else "never"
            click.echo(f"{found.name}\t{found.role}\t{state}\tlast login {seen}")


@user.command("disable")
@click.argument("name")
@service_options
def disable(name: str, **options: Any) -> None:
    """Let an account do nothing more; its sessions end at once."""
    with open_service(**options) as service:
        click.echo(f"{service.accounts.disable(name, actor=who()).name} is disabled")


@user.command("enable")
@click.argument("name")
@service_options
def enable(name: str, **options: Any) -> None:
    """Undo `disable`."""
    with open_service(**options) as service:
        click.echo(f"{service.accounts.enable(name, actor=who()).name} is enabled")


@user.command("password")
@click.argument("name")
@service_options
def password_command(name: str, **options: Any) -> None:
    """Set a new password, asked for or read as one line of standard input; sessions end."""
    password = ask_password("New password")
    with open_service(**options) as service:
        click.echo(f"{service.accounts.set_password(name, password, actor=who()).name} has a new password")


@user.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
@service_options
def role_command(name: str, role: str, **options: Any) -> None:
    """Give an account another role; its sessions end."""
    with open_service(**options) as service:
        found = service.accounts.set_role(name, role, actor=who())
    click.echo(f"{found.name}: {found.role}")
