"""`secondread bundles upgrade`: another bundle for a task at a site: tried, in the shadow, switched to, and back."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import complete_bundles, complete_tasks, counted, open_service, service_options, who

if TYPE_CHECKING:
    from secondread.service import Changes, Readers, Service


@click.command()
@click.argument("task", metavar="TASK", shell_complete=complete_tasks)
@click.option(
    "--to", "to", default=None, metavar="TASK/NAME", shell_complete=complete_bundles, help="The other bundle."
)
@click.option("--shadow", is_flag=True, help="Let it read in the shadow of what answers, while nothing waits.")
@click.option("--no-shadow", is_flag=True, help="Let nothing read in the shadow any more.")
@click.option("--switch", is_flag=True, help="Let it answer from now on.")
@click.option("--back", is_flag=True, help="Undo the last switch.")
@click.option("--note", default="", help="Why, for whoever looks later.")
@click.option(
    "--most", type=click.IntRange(1), default=500, show_default=True, help="Stored readings to try it on, newest first."
)
@click.option("--before", type=int, default=None, metavar="N", help="Go on below this reading's number.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@service_options
def upgrade(
    task: str,
    to: str | None,
    shadow: bool,
    no_shadow: bool,
    switch: bool,
    back: bool,
    note: str,
    most: int,
    before: int | None,
    as_json: bool,
    config: Path | None,
    data_folder: str | None,
    database: str | None,
) -> None:
    """Change what answers for a task at this site, step by step.

    With --to alone: try it on the stored images, and store nothing. Stop it with Ctrl-C whenever you like: it tells
    what it has counted. Then --shadow, and --switch when a person has looked. Without --to: how things stand.

    A threshold of the site's own holds for one bundle alone: after a switch the new one's own point decides until the
    site chooses again.
    """
    from secondread.errors import UsageError
    from secondread.service import readers_of
    from secondread.tasks import task_named

    acts = [name for name, given in (("--shadow", shadow), ("--switch", switch)) if given]
    undoes = [name for name, given in (("--no-shadow", no_shadow), ("--back", back)) if given]
    if len(acts) + len(undoes) > 1:
        raise UsageError(f"give one of {', '.join(acts + undoes)}")
    if to and undoes:
        raise UsageError(f"{undoes[0]} takes no --to")
    if acts and not to:
        raise UsageError(f"{acts[0]} needs --to TASK/NAME: which bundle")
    name = task_named(task).name
    from secondread.cli.options import service_settings

    where: dict[str, Any] = {"config": config, "data_folder": data_folder, "database": database}
    with open_service(**where) as service:
        readers = readers_of(service_settings(**where)).follow(service.upgrades.chosen, service.points.active_point)
        if back:
            found = service.upgrades.back(name, actor=who())
            click.echo(f"{found.bundle if found else 'the package’s own choice'} answers again for {name}")
        elif no_shadow:
            service.upgrades.unshade(name, actor=who())
            click.echo(f"nothing reads in the shadow for {name} any more")
        elif to is None:
            _tell_state(service, readers, name, as_json)
        elif acts:
            _act(service, readers, name, to, note, switch)
        else:
            _try(service, readers, name, to, most, before, as_json)


def _bundles(readers: "Readers", task: str, to: str) -> tuple[Any, Any]:
    """What answers now, and the other one. Raises UnknownName."""
    now, other = readers.bundle(task), readers.bundle(task, to)
    assert now is not None, "a task is named, not 'auto'"
    assert other is not None, "a bundle is named"
    return now, other


def _act(service: "Service", readers: "Readers", task: str, to: str, note: str, switch: bool) -> None:
    now, other = _bundles(readers, task, to)
    if not switch:
        service.upgrades.shade(other, beside=now, note=note, actor=who())
        click.echo(f"{other.id} reads in the shadow of {now.id} from the next reading on; `serve` and `work` do it")
        return
    service.upgrades.switch(other, beside=now, note=note, actor=who())
    click.echo(f"{other.id} answers for {task} in place of {now.id}; `--back` undoes it")
    if (point := service.points.active(now)) is not None:
        click.echo(
            f"the site's threshold {point.threshold:g} was chosen for {now.id} and does not hold for {other.id}: "
            f"its own point '{other.operating_point().name}' decides until the site chooses one"
        )


def _try(
    service: "Service", readers: "Readers", task: str, to: str, most: int, before: int | None, as_json: bool
) -> None:
    from itertools import islice

    from rich.console import Console

    from secondread.cli.progress import bars
    from secondread.errors import NotThere
    from secondread.service import Counting

    now, other = _bundles(readers, task, to)
    trial = service.trial(readers.get)
    old = (now.id, now.sha256) if now.sha256 != other.sha256 else trial.before(task, other.sha256)
    if old is None:
        raise NotThere(f"{other.id} answers for {task} already, and no reading of another bundle is stored")
    counting, last = Counting(), before
    pairs = trial.pairs(f"{task}/{other.name}", beside_sha256=old[1], before=before)
    try:
        with bars(Console(stderr=True)) as progress:
            row = progress.add_task("read", total=most, said="")
            for pair in islice(pairs, most):
                counting.add(pair)
                last = pair.reading_id
                progress.advance(row)
    except KeyboardInterrupt:
        click.echo("stopped; counted so far:", err=True)
    changes = counting.result()
    service.upgrades.tried(other, beside=old[0], n=changes.n, actor=who())
    if as_json:
        told = {"task": task, "old": old[0], "new": other.id, "last_reading": last, **changes.to_dict()}
        click.echo(json.dumps(told, indent=1))
        return
    click.echo(f"{task}: {old[0]} → {other.id}, on stored readings; nothing was stored")
    _tell(changes)
    if changes.n == most:
        click.echo(f"to go on: --before {last}")


def _tell_state(service: "Service", readers: "Readers", task: str, as_json: bool) -> None:
    from secondread.service import ANSWERS, SHADOW

    now, shadow = readers.bundle(task), service.upgrades.holding(task, SHADOW)
    switched = service.upgrades.holding(task, ANSWERS)
    changes = None if shadow is None else service.shadows.changes(shadow)
    if as_json:
        told = {
            "task": task,
            "answers": now.id if now else None,
            "switched": bool(switched),
            "shadow": shadow.bundle if shadow else None,
            "changes": changes.to_dict() if changes else None,
        }
        click.echo(json.dumps(told, indent=1))
        return
    by = f"switched to by {switched.chosen_by}, {switched.chosen_at:%Y-%m-%d %H:%M} UTC" if switched else "by default"
    click.echo(f"{task}: {now.id if now else '–'} answers, {by}")
    if shadow is None or changes is None:
        click.echo("nothing reads in the shadow")
        return
    click.echo(f"{shadow.bundle} reads in its shadow since {shadow.chosen_at:%Y-%m-%d %H:%M} UTC")
    _tell(changes)


def _tell(changes: "Changes") -> None:
    """The table, the share that would change, what reviewers say of both, and readings to look at."""
    if not changes.n:
        click.echo("no image was read by both yet")
        return
    share = changes.changed.format(scale=100, digits=1)
    click.echo(f"{counted(changes.n, 'image')}; the decision would change in {share} %")
    for (old, new), n in sorted(changes.table.items(), key=lambda row: -row[1]):
        click.echo(f"{n:>8}  {old}" + (f" → {new}" if old != new else ", as before"))
    if (judged := changes.judged) is not None:
        click.echo(f"of {judged.n} that were reviewed, {judged.n_positive} diseased:")
        for which, rates in (("old", judged.old), ("new", judged.new)):
            said = f"sensitivity {rates.sensitivity.format(digits=2)}, specificity {rates.specificity.format(digits=2)}"
            click.echo(f"    {which}: {said}")
    for one in changes.examples:
        click.echo(f"    reading {one.reading_id}: {one.old} → {one.new}")
