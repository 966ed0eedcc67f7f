"""`secondread tasks`, `models`, `bundles`: what can be asked, trained and read with."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import complete_bundles, complete_tasks, point_in_words
from secondread.cli.tables import listed, say, say_left_out
from secondread.cli.upgrade import upgrade

if TYPE_CHECKING:
    from secondread.tasks import Task


@click.command()
@click.argument("name", required=False, shell_complete=complete_tasks)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def tasks(name: str | None, as_json: bool) -> None:
    """List the tasks, or show all of one (a name or a TOML file)."""
    from secondread.tasks import known_tasks, list_tasks, load_task

    chosen = [load_task(name)] if name else [load_task(each) for each in list_tasks()]
    if as_json:
        table = [asdict(task) for task in chosen]
        click.echo(json.dumps(table[0] if name else table, indent=1, ensure_ascii=False))
        return
    for task in chosen:
        say(f": {task.question}", bold=task.name)
        say(f"reads a {task.modality} ({task.view}); classes: {', '.join(task.classes)}", indent="    ")
        if name:
            say(f"for: {task.intended_use}", indent="    ")
            for rule in _header_rules(task):
                say(f"refused by a DICOM header: {rule}", indent="    ")
            for limit in task.limits:
                say(f"limit: {limit}", indent="    ")
            for source in task.sources:
                say(f"data: {source.title} <{source.page}>", indent="    ")
                say(source.terms, indent="        ")
        elif task.name in known_tasks().owners:
            say(f"brought by {known_tasks().owners[task.name]}", indent="    ")
    if not name:
        say_left_out(known_tasks())


def _header_rules(task: "Task") -> list[str]:
    """What of a header the task's file leaves out, in words."""
    rules = [f"another modality than {', '.join(task.dicom_modalities)}", "another part of the body"]
    rules += [f"another view than {', '.join(task.dicom_views)}"] if task.dicom_views else []
    rules += [f"pixels that are not {', '.join(task.dicom_intents)}"] if task.dicom_intents else []
    return rules + ([f"a patient under {task.least_age} years"] if task.least_age else [])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def models(as_json: bool) -> None:
    """List the networks and the recipes that `train` knows."""
    from secondread.models import known_models, list_models
    from secondread.training.recipe import list_recipes

    if as_json:
        click.echo(json.dumps({"models": list_models(), "recipes": list_recipes()}, indent=1))
        return
    for title, rows in (("models", list_models()), ("recipes", list_recipes())):
        click.echo(click.style(title, bold=True))
        listed(rows, indent="    ")
    say_left_out(known_models())


class _Bundles(click.Group):
    """`bundles`, `bundles NAME` and `bundles upgrade`: a name is taken for a bundle's unless it is a command's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = next((i for i, arg in enumerate(args) if not arg.startswith("-")), None)
        if at is not None and args[at] not in self.commands:
            args = [*args[:at], "--of", args[at], *args[at + 1 :]]
        return super().parse_args(ctx, args)


@click.group(cls=_Bundles, invoke_without_command=True, subcommand_metavar="[NAME|PATH] | upgrade …")
@click.option("--of", "reference", hidden=True, shell_complete=complete_bundles)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--markdown", is_flag=True, help="The shipped bundles' evidence as a Markdown table.")
@click.option(
    "--defaults", is_flag=True, help="With --markdown: a line for each bundle that reads where none is named."
)
@click.pass_context
def bundles(ctx: click.Context, reference: str | None, as_json: bool, markdown: bool, defaults: bool) -> None:
    """List the shipped bundles and those of your own (SECONDREAD_BUNDLES), or check one and show its card.

    A bundle that is damaged or not ours is refused with the reason, and the exit status is 1.
    """
    if ctx.invoked_subcommand is not None:
        return
    from secondread.reading import default_bundles, extension_folders, list_bundles, load_bundle, own_bundles

    if reference is not None:
        bundle = load_bundle(reference)
        points = bundle.operating_points.values()
        click.echo(
            json.dumps(dict(bundle.record), indent=1, ensure_ascii=False)
            if as_json
            else bundle.card or "\n".join([f"{bundle.id} (no card)", *map(point_in_words, points)])
        )
        return
    chosen = [load_bundle(name) for name in list_bundles()]
    if markdown:
        from secondread.evidence.card import defaults_table, measured_table

        reading = [load_bundle(task) for task in sorted(default_bundles())]
        click.echo(defaults_table(reading) if defaults else measured_table(chosen), nl=False)
        return
    from secondread.stats.interval import Interval

    own = own_bundles()
    rows = [_row(bundle, default_bundles()) for bundle in (*chosen, *map(load_bundle, own.names))]
    for name, why in own.skipped.items():
        say(f": {name}: {why}", bold="left out", err=True)
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        auc = row["test_roc_auc"]
        measured = "not measured" if auc is None else f"test AUC {Interval.from_dict(auc).format()}"
        default = "  default" if row["default"] else "" if row["shipped"] else "  your own"
        size = f"{row['architecture']}  {row['parameters']:,} parameters"
        say(f"  {size}  {measured}{default}", bold=row["id"])
        for promise in row["promises"]:
            say(f"{promise['operating_point']}: {promise['in_words']}", indent="    ")
    say_left_out(extension_folders())


bundles.add_command(upgrade)


def _row(bundle: Any, default: dict[str, str]) -> dict[str, Any]:
    from secondread.evidence.promises import promises_of

    test = (bundle.evidence or {"results": {}})["results"].get("test", {"metrics": {}})
    return {
        "id": bundle.id,
        "task": bundle.task.name,
        "name": bundle.name,
        "architecture": bundle.model.architecture,
        "parameters": bundle.model.parameters,
        "operating_points": {name: point.threshold for name, point in bundle.operating_points.items()},
        "promises": [promise.to_dict() for promise in promises_of(bundle)],
        "test_roc_auc": test["metrics"].get("roc_auc"),
        "default": bundle.shipped and default.get(bundle.task.name) == bundle.name,
        "shipped": bundle.shipped,
    }
