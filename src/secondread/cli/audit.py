"""`secondread audit`: what labelled images hold against any accuracy measured on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from secondread.cli.options import command_line, complete_tasks

if TYPE_CHECKING:
    from secondread.auditing import Audit

_FOUND = 3  # exit code: what --fail-on names was found
_STYLES = {"alarm": "red", "note": "yellow"}


@click.command()
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="A manifest, or a folder in a known layout."
)
@click.option(
    "--task", metavar="NAME", default=None, shell_complete=complete_tasks, help="The task whose class names labels are."
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="NAME",
    help="Where shortcuts to the label are measured; may be given again. Default: train, or everything without one.",
)
@click.option(
    "--fail-on",
    default="",
    metavar="KIND,…",
    help="Exit with 3 if an alarm of these kinds is raised: leakage, groups, duplicates, labels, unreadable, shortcut.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where index.html and audit.json go.",
)
@click.pass_context
def audit(ctx: click.Context, data: Path, task: str | None, splits: tuple[str, ...], fail_on: str, out: Path) -> None:
    """Find copies, leaks between splits, wrong files, and labels that can be told without reading the image.

    Exit status: 0 when the audit was made, whatever it found; 3 when an alarm of a kind named in --fail-on was raised;
    1 when the data could not be read; 2 for wrong usage.
    """
    from rich.console import Console

    from secondread.cli.progress import event_bars
    from secondread.workflows import audit as run

    kinds = _kinds(fail_on)
    with event_bars(Console(stderr=True)) as tell:
        made = run(data, task=task, splits=splits, out=out, command=command_line(), progress=tell)
    _say(made, out / "index.html")
    if hit := [kind for kind in kinds if made.found(kind)]:
        click.echo(f"failed on: {', '.join(hit)}", err=True)
        ctx.exit(_FOUND)


def _kinds(fail_on: str) -> list[str]:
    """The kinds named, checked before any file is read. Raises UnknownName."""
    from secondread.auditing import KINDS
    from secondread.errors import UnknownName

    kinds = [kind.strip() for kind in fail_on.split(",") if kind.strip()]
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownName.of("kind of finding", kind, KINDS)
    return kinds


def _say(made: Audit, page: Path) -> None:
    summary = made.summary
    click.echo(
        f"{summary['n']:,} images, {summary['positives']:,} positive; "
        f"always giving the commoner answer is right in {summary['majority_accuracy']:.1%}"
    )
    for finding in made.findings:
        click.echo(f"{click.style(finding.level, fg=_STYLES[finding.level], bold=True):<5} {finding.sentence}")
    if not any(finding.level == "alarm" for finding in made.findings):
        click.secho("no alarms", fg="green")
    click.echo(f"page: {page}")
