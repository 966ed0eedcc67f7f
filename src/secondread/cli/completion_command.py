"""`secondread completion`: the script that makes a shell complete commands, tasks and bundles."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(secondread completion bash)"."""
    from click.shell_completion import get_completion_class

    from secondread.cli.main import secondread

    found = get_completion_class(shell)
    assert found is not None, "click ships these three"
    click.echo(found(secondread, {}, "secondread", "_SECONDREAD_COMPLETE").source())
