"""What the files for running it elsewhere are checked against: the commands and settings that there are."""

import re
import shlex
from pathlib import Path

import click

from secondread.cli.main import secondread
from secondread.reading.session import THREADS_VARIABLE
from secondread.service import SETTINGS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLES = {row.variable for row in SETTINGS} | {"SECONDREAD_CONFIG", THREADS_VARIABLE}


def check_command(arguments: list[str]) -> None:
    """Parse what would follow `secondread` on a command line. Raises click.UsageError for what is not known."""
    command: click.Command = secondread
    context = click.Context(secondread)
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, list(arguments))
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    with command.make_context(context.info_name, list(arguments), parent=context.parent):
        pass


def commands_in(text: str) -> list[list[str]]:
    """The arguments of `secondread` in every line of a shell listing, also behind `env` and in a container."""
    found = []
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        at = [number for number, word in enumerate(words) if _begins(words[:number], word)]
        found += [words[at[0] + 1 :]] if at else []
    return found


def variables_in(text: str) -> set[str]:
    """Names of settings as environment variables."""
    return set(re.findall(r"\bSECONDREAD_[A-Z0-9_]+", text))


def _begins(before: list[str], word: str) -> bool:
    """Whether the program's name stands where a command does, or the container's service in its place."""
    if word == "app":
        return before[-2:] == ["run", "--rm"]
    program = Path(word).name in ("secondread", "secondread-admin") and "=" not in word
    return program and (not before or "=" in before[-1] or before == ["sudo"])
