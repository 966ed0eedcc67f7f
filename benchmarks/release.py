"""What is made again for a release: bundles, evidence, leaderboard, and what was chosen on validation.

    python -m benchmarks.release best --task fracture

Needs SECONDREAD_DATA. Given again, everything goes on where it stopped.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks._common import call, data_folder
from secondread.reading import list_bundles
from secondread.tasks import first_tasks, list_tasks, load_task

# below the repository's root, so that what is kept names no folder of this machine
RUNS, RESULTS, DOCS, SHIPPED = (Path(name) for name in ("runs", "benchmarks/results", "docs", "src/secondread/bundles"))

# What all tasks can afford on two cores; the smallest collection also gets the larger networks, from scratch.
SMALLEST = "tuberculosis"
FOR_ALL = ("lenet-overlap", "svm", "decision-tree", "knn", "random-forest", "cnn-svm")
FROM_SCRATCH = ("cbam", "multiscale", "capsule", "unet", "resnet18", "densenet121", "vit")


def manifest_of(task: str) -> Path:
    """Of the benchmark data. A task that follows another has a second manifest of that one's images."""
    before = load_task(task).asked_after
    return (
        data_folder() / before / f"{task.rpartition('-')[2]}.csv" if before else data_folder() / task / "manifest.csv"
    )


def build(task: str, name: str, *options: str) -> None:
    """Train a shipped bundle as its recipe file says, and put it in the place of the old one."""
    made, shipped = RUNS / name / task, SHIPPED / task / name
    call("build", f"{task}/{name}", "--data", manifest_of(task), "--out", made, *options)
    shutil.rmtree(shipped, ignore_errors=True)
    shutil.copytree(made, shipped)


def bundles(tasks: list[str]) -> None:
    """The shipped bundles `paper`, from the start."""
    for task in tasks:
        build(task, "paper", "--fresh")


def best(tasks: list[str]) -> None:
    """The shipped bundles `best`: hours on two cores."""
    for task in tasks:
        build(task, "best")


def evidence(tasks: list[str]) -> None:
    """Audit the data and measure the shipped bundles: pages in runs/evidence."""
    for task in tasks:
        call("audit", "--data", manifest_of(task), "--task", task, "--out", RUNS / "evidence" / f"{task}-audit")
    for name in list_bundles():
        task = name.partition("/")[0]
        if task in tasks:
            out = RUNS / "evidence" / name
            call("evaluate", "--data", manifest_of(task), "--split", "all", "--bundle", name, "--keep", "--out", out)
    call("gate", "measure", "--data", data_folder(), "--gate", SHIPPED / "gate", "--out", RESULTS / "gate.json")


def leaderboard(tasks: list[str]) -> None:
    """Networks, classical learners and ensembles: docs/reference/leaderboard.md."""
    for task in tasks:
        compare(task, task, *models(FOR_ALL), "--bundle", f"{task}/best")
    if SMALLEST in tasks:
        compare(SMALLEST, SMALLEST, *models(("lenet", "lenet-overlap")), "--seeds", "0,1,2")
        compare(
            SMALLEST, f"{SMALLEST}-scratch", *models(FROM_SCRATCH), "--recipe", "upright", "--epochs", "12"
        )  # fmt: skip
        compare(
            SMALLEST, f"{SMALLEST}-transfer", *models(("efficientnet-lite0",)), "--bundle", f"{SMALLEST}/best",
            "--recipe", "transfer", "--epochs", "8", "--seeds", "0,1,2",
            "--ensemble", "mean", "--ensemble", "weighted", "--ensemble", "stacked",
        )  # fmt: skip


def compare(task: str, out: str, *options: str) -> None:
    """One run of the leaderboard, against the seed paper's network."""
    call(
        "lab", "compare", "--page", DOCS / "reference/leaderboard.md", "--task", task, "--data", manifest_of(task),
        "--baseline", f"{task}/paper", "--out", RUNS / "leaderboard" / out, *options,
    )  # fmt: skip


def models(names: tuple[str, ...]) -> list[str]:
    """As options."""
    return [word for name in names for word in ("--model", name)]


def choices(tasks: list[str]) -> None:
    """The augmentation study and the search, on validation, of the smallest collection; kept in benchmarks/results."""
    for task in tasks:
        for what, options in (("study", ()), ("search", ("--trials", "24"))):
            out = RUNS / what / task
            call("lab", what, "--task", task, "--data", manifest_of(task), "--out", out, *options)
            kept = RESULTS / what / task
            kept.mkdir(parents=True, exist_ok=True)
            for suffix in ("json", "md", "png"):
                shutil.copy(out / f"{what}.{suffix}", kept)


def paper(tasks: list[str]) -> None:
    """The seed paper's network on an honest and a leaking split: docs/explanation/paper-comparison.md."""
    named = [word for task in tasks for word in ("--task", task)]
    page = DOCS / "explanation/paper-comparison.md"
    call("lab", "compare-paper", "--data", data_folder(), *named, "--out", RESULTS, "--page", page)


STEPS: dict[str, Callable[[list[str]], None]] = {
    step.__name__: step for step in (bundles, best, evidence, leaderboard, choices, paper)
}


@click.command(help=__doc__)
@click.argument("step", type=click.Choice(list(STEPS)))
@click.option(
    "--task", "tasks", multiple=True, type=click.Choice(list_tasks()), help="May be given again; default: all."
)
def main(step: str, tasks: tuple[str, ...]) -> None:
    """One step."""
    os.chdir(Path(__file__).parents[1])
    every = {"choices": [SMALLEST], "leaderboard": first_tasks(), "paper": first_tasks()}
    STEPS[step](list(tasks) or every.get(step, list_tasks()))


if __name__ == "__main__":
    main()
