"""Lists and sentences as wide as the terminal: longer lines go on below, indented, and are never cut."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from secondread.extensions import Brought

_GAP = "  "  # between columns
_NARROWEST = 16  # columns of a last cell


def terminal_width() -> int:
    """Columns of the terminal, or what COLUMNS says; 80 where there is none."""
    return max(shutil.get_terminal_size((80, 24)).columns, 20)


def say(text: str, *, indent: str = "", bold: str = "", err: bool = False) -> None:
    """The text, wrapped; what follows its first line stands four columns in. bold: the words that it begins with."""
    lines = textwrap.wrap(
        f"{bold}{text}",
        terminal_width(),
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,  # a path or an address is copied whole
        break_on_hyphens=False,
    )
    told = "\n".join(lines)
    click.echo(told.replace(bold, click.style(bold, bold=True), 1) if bold else told, err=err)


def fitted(text: str) -> str:
    """Lines as they are for a program; at a terminal wrapped as `say` does, whatever is coloured in them."""
    return "\n".join(map(_wrapped, text.split("\n"))) if at_terminal() else text


def _wrapped(line: str) -> str:
    width, words = terminal_width(), line.lstrip(" ")
    indent = line[: len(line) - len(words)]
    lines = [indent]
    for word in re.findall(r" *[^ ]+", words):
        if len(click.unstyle(lines[-1] + word)) > width and lines[-1].strip():
            lines.append(f"{indent}    {word.lstrip(' ')}")
        else:
            lines[-1] += word
    return "\n".join(lines)


def listed(rows: Mapping[str, str], *, indent: str = "") -> None:
    """A line for each name, and what it is."""
    for name, what in rows.items():
        say(f": {what}", indent=indent, bold=name)


def columns(rows: Iterable[Sequence[Any]]) -> None:
    """At a terminal cells below one another, the last of which takes what is left of the line; tabs for a program."""
    table = [[str(cell) for cell in row] for row in rows]
    if not at_terminal():
        for row in table:
            click.echo("\t".join(row))
        return
    widths = [max(map(len, column)) for column in zip(*table, strict=True)][:-1]
    taken = sum(widths) + len(_GAP) * len(widths)
    for row in table:
        if terminal_width() - taken < _NARROWEST:  # each row is a sentence
            say(_GAP.join(row))
            continue
        start = "".join(f"{cell:<{width}}{_GAP}" for cell, width in zip(row[:-1], widths, strict=True))
        last = textwrap.wrap(row[-1], terminal_width() - taken, break_long_words=False, break_on_hyphens=False)
        click.echo((start + f"\n{' ' * taken}".join(last)).rstrip())


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """A ruled table where it fits the terminal, and for a program; else each row as a list of what it says."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    cells = [list(row) for row in rows]
    ruled = Table(*head)
    for row in cells:
        ruled.add_row(*row)
    console = Console(width=10_000, markup=False, emoji=False, highlight=False)
    needed = Measurement.get(console, console.options, ruled).maximum
    if title:
        say(title)
    if needed <= terminal_width() or not at_terminal():
        console.print(ruled, width=needed)
        return
    for name, *found in cells:
        say(f"{head[0]}: {name}", bold=head[0])
        listed(dict(zip(head[1:], found, strict=True)), indent="    ")


def at_terminal() -> bool:
    """Whether a person looks at what is printed."""
    return sys.stdout.isatty()


def say_left_out(*brought: "Brought[Any]") -> None:
    """What extensions bring that cannot be used, on the error stream."""
    for complaint in (sentence for one in brought for sentence in one.complaints):
        say(f": {complaint}", bold="left out", err=True)
