"""`train`: from labelled images to a bundle."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secondread.errors import ExtraMissing, UnknownName
from secondread.workflows.call import call_of
from secondread.workflows.progress import OnProgress, told_of_training

if TYPE_CHECKING:
    from secondread.data import Manifest
    from secondread.reading import Bundle
    from secondread.tasks import Task
    from secondread.training import Recipe

ENGINES = ("local", "ray")


def train(
    task: "str | Path | Task",
    data: "str | Path | Manifest",
    *,
    out: str | Path,
    model: str = "lenet",
    recipe: "str | Recipe" = "paper",
    changes: Mapping[str, Any] | None = None,
    name: str | None = None,
    random_state: int = 0,
    calibration: str = "temperature",
    operating_point: str = "screening",
    gate: bool = False,
    measure: bool = True,
    fresh: bool = False,
    engine: str = "local",
    address: str | None = None,
    command: str = "",
    progress: OnProgress | None = None,
) -> "Bundle":
    """Train a network on the `train` split and write a bundle, with its evidence, to the folder `out`.

    task: a task's name, a TOML file of your own, or a Task. data: a manifest (CSV), a folder in a known layout, or a
    Manifest; it needs the splits `train` and `val`, and `test` to be measured. recipe: a name of `secondread models`,
    or a Recipe; changes: its fields that are to be different, `{"epochs": 20, "prepare.size": 192, "mixup": 0.2}`.
    calibration: 'temperature', 'isotonic' or 'none', fitted on `val`. operating_point: which threshold decides where
    none is named, 'screening', 'confirm' or 'paper'. gate: let the shipped gate refuse what is unlike its own training
    images. measure: read the test split, once. engine: 'local', or 'ray' on the cluster at `address`. command: what
    the record says it was made with; by default this call.

    The run's state is kept in the folder `<out>.run`: an interrupted run goes on where it stopped when it is asked the
    same again, unless `fresh`. progress: see ProgressEvent.

    Raises DataInvalid, CannotOpen, UnknownName, UsageError for a change that no recipe takes, TrainingError,
    BundleError if `out` holds something else, and ExtraMissing without the extra `train`.
    """
    from secondread.tasks import load_task

    chosen = load_task(task) if isinstance(task, str | Path) else task
    plan = _recipe(recipe, chosen, changes or {})
    run = _runner(engine, address)
    from secondread.models import check_model

    check_model(model)  # a wrong name is told before a thousand files are looked at
    manifest = manifest_of(data, chosen)
    folder = Path(out)
    return run(
        task=chosen,
        manifest=manifest,
        recipe=plan,
        model_name=model,
        out=folder,
        name=name or folder.name,
        random_state=random_state,
        calibration=calibration,
        command=command
        or call_of("train", task, data, model=model, recipe=recipe, changes=changes, random_state=random_state),
        fresh=fresh,
        measure=measure,
        gate=gate,
        default_point=operating_point,
        task_file=_own_file(task),
        progress=told_of_training(progress),
    )


def manifest_of(data: "str | Path | Manifest", task: "Task | None", *, check: bool = True) -> "Manifest":
    """The manifest itself, or that at a path. Raises CannotOpen or DataInvalid."""
    from secondread.data import load_data

    return load_data(data, task=task, check=check) if isinstance(data, str | Path) else data


def _recipe(recipe: "str | Recipe", task: "Task", changes: Mapping[str, Any]) -> "Recipe":
    from secondread.training import load_recipe
    from secondread.training.recipe import change_fields

    return change_fields(load_recipe(recipe, task) if isinstance(recipe, str) else recipe, changes)


def _runner(engine: str, address: str | None) -> "Callable[..., Bundle]":
    if engine not in ENGINES:
        raise UnknownName.of("engine", engine, ENGINES)
    try:
        from secondread.training.train import train_bundle

        if engine == "local":
            return train_bundle
        from secondread.lab.train_on_ray import train_on_ray
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training", "train") from error
    return partial(train_on_ray, address=address)


def _own_file(task: "str | Path | Task") -> Path | None:
    own = isinstance(task, str | Path) and str(task).endswith(".toml")
    return Path(str(task)) if own else None
