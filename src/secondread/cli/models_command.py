"""`secondread models`: the networks that can be trained."""

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def models(as_json: bool) -> None:
    """List the networks and the recipes that `train` knows."""
    from secondread.models import list_models
    from secondread.training.recipes import list_recipes

    if as_json:
        click.echo(json.dumps({"models": list_models(), "recipes": list_recipes()}, indent=1))
        return
    for title, rows in (("models", list_models()), ("recipes", list_recipes())):
        click.echo(click.style(title, bold=True))
        for name, summary in rows.items():
            click.echo(f"    {name}: {summary}")
