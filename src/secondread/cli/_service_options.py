"""Options of the commands that work on what the service keeps, and how they open it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from secondread.service import Actor, Service

_DATABASE_HELP = (
    "URL of PostgreSQL; default: SQLite in the data folder. Write no password here: set SECONDREAD_DATABASE."
)


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--config, --data-folder and --database."""
    command = click.option("--database", metavar="URL", help=_DATABASE_HELP)(command)
    command = click.option("--data-folder", metavar="DIR", help="Where images and the database are kept.")(command)
    return click.option(
        "--config", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Settings, as TOML."
    )(command)


def service_settings(*, config: Path | None, data_folder: str | None, database: str | None) -> dict[str, Any]:
    """Every setting, with what was given here."""
    from secondread.service import settings_from

    return settings_from(os.environ, config=config, given={"data_folder": data_folder, "database": database})


@contextmanager
def open_service(*, upgrade: bool = True, **options: Any) -> "Iterator[Service]":
    """The service with these options (see service_settings), closed at the end."""
    from secondread.service import Service

    service = Service.open(service_settings(**options), upgrade=upgrade)
    try:
        yield service
    finally:
        service.close()


def who() -> "Actor":
    """The one at this terminal, for the trail."""
    import getpass

    from secondread.service import Actor

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return Actor(name, "command")


def ask_password(prompt: str = "Password") -> str:
    """A password from the terminal, asked twice, or one line of standard input; never from the command line."""
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")
