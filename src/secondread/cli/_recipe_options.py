"""Options of the commands that train: any field of a recipe, and the weights to start from."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from secondread.tasks import Task
    from secondread.training import Recipe


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
