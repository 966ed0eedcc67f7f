"""Options of the commands that train: any field of a recipe, and the weights to start from."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli._options import complete_tasks

if TYPE_CHECKING:
    from secondread.tasks import Task
    from secondread.training import Recipe


def subject_options(*, recipe_help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--task, --data, --model and --recipe of a command that trains to find something out."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--recipe", default="paper", show_default=True, metavar="NAME", help=recipe_help),
            click.option(
                "--model", default="lenet", show_default=True, metavar="NAME", help="See `secondread models`."
            ),
            click.option(
                "--data",
                required=True,
                type=click.Path(path_type=Path),
                help="A manifest, or a folder in a known layout.",
            ),
            click.option("--task", required=True, metavar="NAME|FILE", shell_complete=complete_tasks, help="A task."),
        ):
            command = option(command)
        return command

    return add


def set_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--set FIELD=VALUE, repeatable, as `changes`."""
    return click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Change a field of the recipe: learning_rate=0.0005, zoom=0.8,1.2, mixup=none, prepare.size=192. "
        "May be given again.",
    )(command)


def weights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--weights and --weights-sha256."""
    command = click.option(
        "--weights-sha256", default=None, metavar="HEX", help="What the weights must be; an address needs it."
    )(command)
    return click.option(
        "--weights",
        default=None,
        metavar="FILE|ADDRESS",
        help="Start from these: of `secondread pretrain`, or .pth or .safetensors in torchvision's layout.",
    )(command)


def chosen_recipe(name: str, task: "Task", changes: tuple[str, ...], **options: Any) -> "Recipe":
    """The named recipe, changed by the command's own options, then by --set. Raises UsageError."""
    from secondread.training import load_recipe
    from secondread.training.recipe_changes import change_recipe

    return change_recipe(load_recipe(name, task, **options), changes)
