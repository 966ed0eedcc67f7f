"""Options and small helpers that several commands share."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.errors import UsageError
from secondread.stats.interval import Interval

if TYPE_CHECKING:
    from secondread.images import Limits
    from secondread.reading import OperatingPoint
    from secondread.service import Actor, Service
    from secondread.tasks import Task
    from secondread.training import Recipe


def complete_tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of tasks that begin with what was typed."""
    from secondread.tasks import list_tasks

    return [name for name in [*list_tasks(), "auto"] if name.startswith(incomplete)]


def complete_bundles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Shipped and own bundles that begin with what was typed."""
    from secondread.errors import CannotOpen
    from secondread.reading import list_bundles, own_bundles

    try:
        own = own_bundles().names
    except CannotOpen:
        own = ()
    return [name for name in (*list_bundles(), *own) if name.startswith(incomplete)]


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--max-megapixels and --max-megabytes."""
    command = click.option(
        "--max-megapixels", type=click.IntRange(1), default=64, show_default=True, help="Refuse larger images."
    )(command)
    return click.option(
        "--max-megabytes", type=click.IntRange(1), default=200, show_default=True, help="Refuse larger files."
    )(command)


def limits_of(*, max_megapixels: int, max_megabytes: int, max_frames: int | None = None) -> "Limits":
    """The limits that the options set, which are named where one is passed. max_frames: None, without that option."""
    from secondread.images import Limits

    options = {"max_pixels": "--max-megapixels", "max_bytes": "--max-megabytes"}
    found = Limits(max_megapixels * 1_000_000, max_megabytes * 1_000_000, raised_by=options)
    if max_frames is None:
        return found
    return replace(found, max_frames=max_frames, raised_by=options | {"max_frames": "--max-frames"})


def question_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--task, --bundle and --operating-point: what is asked of images, and what decides."""
    for option in (
        click.option(
            "--operating-point",
            metavar="NAME",
            default=None,
            help="Which threshold decides; default: the bundle's first.",
        ),
        click.option(
            "--bundle",
            metavar="NAME|PATH",
            default=None,
            shell_complete=complete_bundles,
            help="A shipped bundle's name or a folder; default: the task's best.",
        ),
        click.option(
            "--task",
            metavar="NAME|auto",
            default=None,
            shell_complete=complete_tasks,
            help="The question; auto (the default) takes it from DICOM facts, else from the look of the image.",
        ),
    ):
        command = option(command)
    return command


def bundle_reference(task: str | None, bundle: str | None) -> str:
    """What --task and --bundle together name, for `load`. Raises UsageError."""
    if bundle is None:
        return task or "auto"
    if "/" in bundle or Path(bundle).is_dir():
        return bundle
    if task in (None, "auto"):
        raise UsageError(f"--bundle {bundle} needs --task, or write it as task/{bundle}")
    return f"{task}/{bundle}"


def counted(n: int, noun: str) -> str:
    """'1 image', '12 images'."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def command_line() -> str:
    """The command as typed, with the benchmark folder by its variable, so that it runs elsewhere too."""
    from secondread.workflows.call import portable

    typed = [(arg, portable(arg)) for arg in sys.argv[1:] if arg != "--debug"]
    words = (shlex.quote(arg) if shown == arg else shown for arg, shown in typed)
    return " ".join(["secondread", *words])


def point_in_words(point: "OperatingPoint") -> str:
    """Where it decides, what it was seen to do on how many images, and what is proven of it."""
    from secondread.evidence.outlook import chosen_on

    where = f"positive above probability {point.threshold:.4f}"
    if point.low is not None:
        where = f"negative up to {point.low:.4f}, {where}"
    rates = {"sensitivity": point.sensitivity, "specificity": point.specificity, "uncertain": point.uncertain}
    seen = ", ".join(f"{name} {_rate(rate)}" for name, rate in rates.items() if rate and rate.value is not None)
    seen = f"all {point.n} uncertain, nothing is decided" if point.decides_nothing else seen
    measured = f"on {chosen_on(point.data)}: {seen}" if seen else "measured on nothing"
    return f"operating point {point.name}: {where}; {measured}; {point.chosen_by}"


def _rate(rate: Interval) -> str:
    value, bounds = rate.parts()
    return f"{value} ({bounds}, n = {rate.n})"


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


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--engine and --address: where the work is done."""
    command = click.option(
        "--address",
        metavar="ADDRESS",
        default=None,
        help="Of the cluster; default: RAY_ADDRESS, or a cluster of its own on this machine.",
    )(command)
    return click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where the work is done: on this machine, or on a Ray cluster.",
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
        help="Start from these: of `secondread lab pretrain`, or .pth or .safetensors in torchvision's layout.",
    )(command)


def chosen_recipe(name: str, task: "Task", changes: tuple[str, ...], **options: Any) -> "Recipe":
    """The named recipe, changed by the command's own options, then by --set. Raises UsageError."""
    from secondread.training import load_recipe
    from secondread.training.recipe import change_recipe

    return change_recipe(load_recipe(name, task, **options), changes)


def needs_dicom(what: str) -> None:
    """Raises ExtraMissing where what speaks DICOM's protocol is not installed. what: that needs it, in words."""
    try:
        import cryptography  # noqa: F401
        import pynetdicom  # noqa: F401
    except ModuleNotFoundError as error:
        from secondread.errors import ExtraMissing

        raise ExtraMissing.of(what, "dicom") from error


_DATABASE_HELP = (
    "URL of PostgreSQL; default: SQLite in the data folder. Write no password here: set SECONDREAD_DATABASE."
)


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--config, --data-folder and --database."""
    command = click.option("--database", metavar="URL", help=_DATABASE_HELP)(command)
    command = click.option("--data-folder", metavar="DIR", help="Where images and the database are kept.")(command)
    return click.option(
        "--config", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Settings, as TOML."
    )(command)


def service_settings(*, config: Path | None, data_folder: str | None, database: str | None) -> dict[str, Any]:
    """Every setting, with what was given here."""
    from secondread.service import settings_from

    return settings_from(os.environ, config=config, given={"data_folder": data_folder, "database": database})


@contextmanager
def open_service(*, upgrade: bool = True, **options: Any) -> "Iterator[Service]":
    """The service with these options (see service_settings), closed at the end."""
    from secondread.service import Service

    service = Service.open(service_settings(**options), upgrade=upgrade)
    try:
        yield service
    finally:
        service.close()


def who() -> "Actor":
    """The one at this terminal, for the trail."""
    import getpass

    from secondread.service import Actor

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return Actor(name, "command")


def ask_password(prompt: str = "Password") -> str:
    """A password from the terminal, asked twice, or one line of standard input; never from the command line."""
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def seeds_of(text: str) -> list[int]:
    """The numbers of --seeds, with commas between."""
    try:
        seeds = [int(word) for word in text.split(",")]
    except ValueError as error:
        raise click.UsageError(
            f"--seeds takes whole numbers with commas between, such as 0,1,2, not '{text}'"
        ) from error
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise click.UsageError(f"--seeds takes different numbers from 0 on, not '{text}'")
    return seeds
