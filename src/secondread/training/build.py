"""A bundle as its recipe file says: one network, or several and their mean, trained, merged and measured."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from secondread.data import Manifest
from secondread.errors import CannotOpen, UnknownName, UsageError
from secondread.reading import Bundle
from secondread.stats.margins import POINTS
from secondread.tasks import Task, list_tasks, load_task
from secondread.training.draw import DrawPlan, draw_bundle
from secondread.training.merge import merge_bundles
from secondread.training.recipe import FOLDER, Recipe, change_fields, load_recipe
from secondread.training.train import Progress, train_bundle


@dataclass(frozen=True)
class MemberPlan:
    """One network of a bundle."""

    model: str
    recipe: str = "best"  # a name of `list_recipes`
    changes: Mapping[str, Any] = field(default_factory=dict)  # fields of the recipe
    random_state: int = 0
    name: str = ""  # of its own bundle, where there are several
    share: float = 1.0  # of the mean, beside the others'

    def recipe_for(self, task: Task) -> Recipe:
        """Raises UnknownName or UsageError."""
        return change_fields(load_recipe(self.recipe, task), self.changes)


@dataclass(frozen=True)
class BundlePlan:
    """What a recipe file says of a bundle."""

    task: Task
    name: str
    members: tuple[MemberPlan, ...]
    gate: bool = False
    task_file: Path | None = None  # of a task that is not shipped
    margin: Mapping[str, float] = field(default_factory=dict)  # of operating points, logits: see `stats.margins`
    draw: DrawPlan | None = None  # how it learns to draw, once it reads


def list_plans() -> list[str]:
    """The bundles as 'task/name' that there is a recipe file for: those that are shipped."""
    files = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.toml")}
    names = [(table.get("task"), table["name"]) for table in files.values() if "member" in table]
    return sorted(f"{task}/{name}" for own, name in names for task in ([own] if own else list_tasks()))


def load_plan(reference: str) -> BundlePlan:
    """The plan of a shipped bundle, 'task/name', or of a TOML file of the user's own, which also names its task.

    Raises UnknownName, CannotOpen or UsageError.
    """
    if not reference.endswith(".toml"):
        if reference not in list_plans():
            raise UnknownName.of("bundle with a recipe file", reference, list_plans())
        task, name = reference.split("/")
        own = FOLDER / f"{task}-{name}.toml"
        return _plan(own if own.is_file() else FOLDER / f"{name}.toml", task)
    return _plan(Path(reference), None)


def build_bundle(
    plan: BundlePlan,
    manifest: Manifest,
    *,
    out: Path,
    command: str = "",
    fresh: bool = False,
    measure: bool = True,
    trained: Path | None = None,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Train what the plan names and write its bundle to `out`; members of a mean go to `<out>.members`.

    Calling again goes on where it stopped. fresh: forget what was begun. trained: a folder of networks that `lab fit`
    wrote, which are taken instead of training them. Where the plan says how the bundle learns to draw, what only reads
    goes to `<out>.reads`. Raises as `train_bundle`, `merge_bundles` and `draw_bundle`.
    """
    if plan.draw is not None:
        reads = build_bundle(
            replace(plan, draw=None),
            manifest,
            out=out.with_name(f"{out.name}.reads"),
            command=command,
            fresh=fresh,
            measure=False,
            trained=trained,
            cache_folder=cache_folder,
            progress=progress,
        )
        return draw_bundle(
            reads,
            manifest,
            plan.draw,
            out=out,
            command=command,
            measure=measure,
            cache_folder=cache_folder,
            progress=progress,
        )
    recipes = [member.recipe_for(plan.task) for member in plan.members]  # a mistake is found before hours are spent
    alone, progress = len(plan.members) == 1, progress or Progress()
    bundles = [
        train_bundle(
            plan.task,
            manifest,
            recipe,
            model_name=member.model,
            out=out if alone else out.with_name(f"{out.name}.members") / member.name,
            name=plan.name if alone else member.name,
            random_state=member.random_state,
            command=command,
            fresh=fresh,
            measure=measure and alone,
            gate=plan.gate,
            margins=plan.margin if alone else None,
            task_file=plan.task_file,
            trained=None if trained is None else trained / weights_name(plan, member),
            cache_folder=cache_folder,
            progress=progress,
        )
        for member, recipe in zip(plan.members, recipes, strict=True)
    ]
    if alone:
        return bundles[0]
    return merge_bundles(
        bundles,
        manifest,
        out=out,
        name=plan.name,
        shares=[member.share for member in plan.members],
        command=command,
        measure=measure,
        gate=plan.gate,
        margins=plan.margin,
        cache_folder=cache_folder,
        progress=progress,
    )


def weights_name(plan: BundlePlan, member: MemberPlan) -> str:
    """The file that holds a member's trained network, among those of other plans."""
    return "-".join(part for part in (plan.task.name, plan.name, member.name) if part) + ".safetensors"


_Plan = TypeVar("_Plan", BundlePlan, MemberPlan, DrawPlan)


def _plan(path: Path, task: str | None) -> BundlePlan:
    """task: of a file that serves several."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotOpen(f"cannot open '{path}': {error.strerror}; give a recipe file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' is not valid TOML: {error}") from error
    task = task or table.get("task")
    members = table.pop("member", [])
    if not isinstance(task, str) or not members:
        raise UsageError(f"'{path}' must name its `task` and one [[member]] or more, each with its `model`")
    rest = {key: value for key, value in table.items() if key not in ("task", "recipe")}
    plan = _checked(
        BundlePlan,
        {
            **rest,
            "task": load_task(task),
            "members": tuple(_checked(MemberPlan, member, path) for member in members),
            "task_file": Path(task) if task.endswith(".toml") else None,
            "draw": _checked(DrawPlan, _tupled(table["draw"]), path) if "draw" in table else None,
        },
        path,
    )
    if len(members) > 1 and len({member.name for member in plan.members} - {""}) < len(members):
        raise UsageError(f"'{path}': each [[member]] of several needs a `name` of its own")
    if not isinstance(plan.margin, Mapping) or not all(_is_margin(*one) for one in plan.margin.items()):
        raise UsageError(f"'{path}': [margin] takes {' and '.join(POINTS)}, each from 0 to 10 logits")
    return plan


def _is_margin(point: str, margin: object) -> bool:
    if isinstance(margin, bool) or not isinstance(margin, int | float):
        return False
    return point in POINTS and 0 <= margin < 10


def _tupled(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


def _checked(kind: type[_Plan], table: Mapping[str, Any], path: Path) -> _Plan:
    known = {field.name for field in fields(kind)}
    if extra := sorted(set(table) - known):
        raise UsageError(f"'{path}' holds unknown fields: {', '.join(extra)}; known: {', '.join(sorted(known))}")
    try:
        return kind(**table)
    except TypeError as error:
        raise UsageError(f"'{path}': {error}") from error
