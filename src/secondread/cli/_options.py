"""Options and small helpers that several commands share."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from secondread.errors import UsageError


def complete_tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of tasks that begin with what was typed."""
    from secondread.tasks import list_tasks

    return [name for name in [*list_tasks(), "auto"] if name.startswith(incomplete)]


def complete_bundles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Shipped bundles that begin with what was typed."""
    from secondread.reading import list_bundles

    return [name for name in list_bundles() if name.startswith(incomplete)]


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--max-megapixels and --max-megabytes."""
    command = click.option(
        "--max-megapixels", type=click.IntRange(1), default=64, show_default=True, help="Refuse larger images."
    )(command)
    return click.option(
        "--max-megabytes", type=click.IntRange(1), default=200, show_default=True, help="Refuse larger files."
    )(command)


def bundle_reference(task: str | None, bundle: str | None) -> str:
    """What --task and --bundle together name, for `load`. Raises UsageError."""
    if bundle is None:
        return task or "auto"
    if "/" in bundle or Path(bundle).is_dir():
        return bundle
    if task in (None, "auto"):
        raise UsageError(f"--bundle {bundle} needs --task, or write it as task/{bundle}")
    return f"{task}/{bundle}"


def command_line() -> str:
    """The command as typed, with the benchmark folder by its variable, so that it runs elsewhere too."""
    data = os.environ.get("SECONDREAD_DATA", "").rstrip("/")
    words = ["secondread", *(_portable(arg, data) for arg in sys.argv[1:] if arg != "--debug")]
    return " ".join(words)


def _portable(argument: str, data: str) -> str:
    if data and (argument == data or argument.startswith(f"{data}/")):
        return f"$SECONDREAD_DATA{argument[len(data) :]}"
    return shlex.quote(argument)
