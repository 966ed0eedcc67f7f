"""The page of all commands, out of click's own tables."""

import inspect
import re
from collections.abc import Iterator

import click
from docs.generate.markdown import cell, code, table

from secondread.cli.main import ALIASES, secondread

_START = """\
# Commands

What `secondread COMMAND --help` says, of every command. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted;
what a command adds to these is said below. `--debug` shows the traceback of an error. What the JSON of `read` holds is
among the [formats](formats.md), and errors are in the [list of codes](errors.md).
"""


def commands_page() -> str:
    """Every command and group, in the order of `--help`, with usage, description and options."""
    parts = [_START]
    parts += [_section(path, command, context) for path, command, context in _walk(secondread, "secondread", None)]
    aliases = ", ".join(f"`secondread {name}`" for name in sorted(ALIASES))
    return "\n".join([*parts, f"\n{aliases} are understood too, as before `secondread lab`.\n"])


def _walk(
    group: click.Group, name: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(group, info_name=name, parent=parent)
    for one in group.list_commands(context):
        command = group.get_command(context, one)
        if command is None or command.hidden:
            continue
        path = f"{context.command_path} {one}"
        yield path, command, click.Context(command, info_name=one, parent=context)
        if isinstance(command, click.Group):
            yield from _walk(command, one, context)


def _section(path: str, command: click.Command, context: click.Context) -> str:
    level = "##" if path.count(" ") == 1 else "###"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    rows = [
        (code(record[0]), cell(record[1]))
        for param in command.get_params(context)
        if isinstance(param, click.Option) and (record := param.get_help_record(context))
    ]
    options = "\n" + table(("option", "what it does"), rows) if rows else ""
    return f"\n{level} {path}\n\n{_words(command)}\n\n```text\n{usage}\n```\n{options}"


def _words(command: click.Command) -> str:
    """The help text: its paragraphs flow, but what stands behind click's `\\b` keeps its lines."""
    parts = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            parts.append(f"```text\n{paragraph.lstrip(chr(8)).strip(chr(10))}\n```")
        else:
            parts.append(re.sub(r"([<>])", r"\\\1", " ".join(paragraph.split())))
    return "\n\n".join(parts)
