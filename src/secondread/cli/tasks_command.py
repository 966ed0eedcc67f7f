"""`secondread tasks`: the questions that can be asked."""

import json
from dataclasses import asdict

import click

from secondread.cli._options import complete_tasks


@click.command()
@click.argument("name", required=False, shell_complete=complete_tasks)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def tasks(name: str | None, as_json: bool) -> None:
    """List the tasks, or show all of one (a name or a TOML file)."""
    from secondread.tasks import list_tasks, load_task

    chosen = [load_task(name)] if name else [load_task(each) for each in list_tasks()]
    if as_json:
        table = [asdict(task) for task in chosen]
        click.echo(json.dumps(table[0] if name else table, indent=1, ensure_ascii=False))
        return
    for task in chosen:
        click.echo(f"{click.style(task.name, bold=True)}: {task.question}")
        click.echo(f"    reads a {task.modality} ({task.view}); classes: {', '.join(task.classes)}")
        if name:
            click.echo(f"    for: {task.intended_use}")
            for limit in task.limits:
                click.echo(f"    limit: {limit}")
            for source in task.sources:
                click.echo(f"    data: {source.title} <{source.page}>\n        {source.terms}")
