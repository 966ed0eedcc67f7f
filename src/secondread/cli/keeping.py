"""What is kept, looked after: exported for training, one person erased everywhere, database and folder compared."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import open_service, service_options, who
from secondread.cli.tables import say

if TYPE_CHECKING:
    from secondread.service import Erasable


@click.command()
@click.option("--patient", default="", metavar="PSEUDONYM", help="As exports and the files in them name the patient.")
@click.option("--reading", type=int, metavar="N", help="The number of any reading of theirs.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and erase nothing.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@service_options
def erase(patient: str, reading: int | None, dry_run: bool, yes: bool, **options: Any) -> None:
    """Erase one person everywhere: images, pictures, names, notes and patient lines of all their readings.

    An image without a patient's pseudonym (PNG, JPEG …) is erased by itself. What was measured stays, without whose it
    was; the audit trail proves the erasure and names no one. Backups made before still hold the person: see
    `secondread restore --erasures`.
    """
    from secondread.errors import UsageError

    with open_service(**options) as service:
        found = service.erasure.look(patient=patient, reading=reading, actor=who())
        _tell(found)
        if dry_run:
            return
        if not yes and not sys.stdin.isatty():
            raise UsageError("nothing was erased: there is no terminal to ask at; look with --dry-run, then give --yes")
        if not yes:
            click.confirm("Erase all this for good?", abort=True, err=True)
        service.erasure.erase(patient=patient, reading=reading, key=found.key, actor=who())
        click.echo(f"erased; the trail says so under erasure:{found.key}")
        click.echo(f"keep a copy of {service.erasure.list_name} where the backups are: they still hold this person")


@click.command()
@click.option("--task", required=True, metavar="NAME", help="Of one task: its label is what reviewers concluded.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="A folder, made where it is not."
)
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="The split that all get; else none.")
@service_options
def reviewed(task: str, out: Path, split: str | None, **options: Any) -> None:
    """Write reviewed images for `secondread train --data`: manifest.csv, the images, and boxes.json with the boxes that
    people saved.
    """
    from secondread.tasks import task_named

    with open_service(**options) as service:
        n = service.exports.manifest(out, task=task_named(task).name, split=split or "", actor=who())
    click.echo(f"{_n(n, 'reviewed image')} in {out / 'manifest.csv'}")


def _tell(found: "Erasable") -> None:
    whose = f"the patient {found.patient}" if found.patient else "a person without pseudonym: this image alone"
    click.echo(f"kept of {whose}: {_n(len(found.images), 'image')}, {_n(len(found.readings), 'reading')}")
    if found.readings:
        click.echo(f"readings: {', '.join(map(str, found.readings))}")
    click.echo(
        f"{_n(found.items, 'file')} of uploads, {found.waiting} of them waiting; {_n(found.notes, 'note')} of reviewers"
    )
    for one in found.left:
        click.echo(f"left before: {one}")
    if found.alike:
        click.echo(f"the same patient line stands at readings {', '.join(map(str, found.alike))}: look at them too")


@click.command()
@click.option("--repair", is_flag=True, help="Remove files that no row names, and mend what can be.")
@service_options
def check(repair: bool, **options: Any) -> None:
    """Compare database, data folder and audit trail; exit status 1 where something is wrong and not mended."""
    with open_service(upgrade=False, **options) as service:
        service.database.check()
        found = service.repair.check(repair=repair, actor=who())
    for one in found:
        mended = f", {one.mended} mended" if one.mended else ""
        say(f"{one.n:>8}  {one.what}{mended}" + (f": {one.advice}" if one.left and one.advice else ""))
    if any(one.left for one in found):
        if not repair:
            click.echo("`secondread db check --repair` mends what can be", err=True)
        sys.exit(1)


def _n(n: int, what: str) -> str:
    """'1 image', '2 images'."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
