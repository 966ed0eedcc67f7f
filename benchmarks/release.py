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
from secondread.lab.ensemble import ENSEMBLES
from secondread.lab.leaderboard import best_systems
from secondread.lab.results import kept_fingerprints
from secondread.lab.systems import ENSEMBLED, list_systems
from secondread.reading import list_bundles
from secondread.tasks import first_tasks, list_tasks, load_task

# below the repository's root, so that what is kept names no folder of this machine
RUNS, RESULTS, DOCS, SHIPPED = (Path(name) for name in ("runs", "benchmarks/results", "docs", "src/secondread/bundles"))

# The smallest collection gets every system that the seed paper names; the others the quick ones and its five best.
SMALLEST = "tuberculosis"
QUICK = ("lenet", "svm", "decision-tree", "knn", "random-forest", "cnn-svm")
SEEDED = ("lenet", "lenet-overlap", "decision-tree", "random-forest", "efficientnet-lite0")  # three seeds
N_BEST = 5
# Collections of the web that copy from each other count as one hospital.
LEFT_OUT = {"brain-tumour": ("--left-out", "--together", "web=navoneel,br35h,sartaj")}
PAGE = DOCS / "reference/leaderboard.md"


def left_out(task: str) -> tuple[str, ...]:
    """As options: every hospital in turn."""
    return LEFT_OUT.get(task, ("--left-out",))


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


def note_data() -> None:
    """Take note of the data at hand, and name the kept results that are of others."""
    call("lab", "compare", "--page", PAGE, "--kit", data_folder())


def runs_of(what: str, task: str) -> Path:
    """Where trainings go on: a folder for these data, as those of others cannot."""
    fingerprint = kept_fingerprints(RESULTS / "leaderboard", []).get(task, "")
    return RUNS / what / "-".join(part for part in (task, fingerprint[:8]) if part)


def leaderboard(tasks: list[str]) -> None:
    """Every system that the seed paper names: docs/reference/leaderboard.md."""
    note_data()
    for task in sorted(tasks, key=lambda task: task != SMALLEST):  # who is among the best is known after it
        names = (
            list_systems() if task == SMALLEST else (*QUICK, *best_systems(RESULTS / "leaderboard", SMALLEST, N_BEST))
        )
        for name in dict.fromkeys(names):
            compare(task, "--system", name, "--seeds", "0,1,2" if name in SEEDED else "0")
        compare(task, "--system", "lenet", "--bundle", f"{task}/paper", "--bundle", f"{task}/best")
        if task == SMALLEST:
            compare(task, *(word for name in ENSEMBLED for word in ("--system", name)),
                    *(word for method in ENSEMBLES for word in ("--ensemble", method)))  # fmt: skip


def compare(task: str, *options: str) -> None:
    """One run of the leaderboard, against the seed paper's network."""
    call(
        "lab", "compare", "--page", PAGE, "--task", task, "--data", manifest_of(task), *left_out(task),
        "--out", runs_of("leaderboard", task), *options,
    )  # fmt: skip


def choices(tasks: list[str]) -> None:
    """The augmentation study and the search of the smallest collection, on validation and at hospitals left out, three
    seeds each; kept in benchmarks/results."""
    note_data()
    for task in tasks:
        for what, options in (("study", ()), ("search", ("--trials", "24"))):
            out = runs_of(what, task)
            call("lab", what, "--task", task, "--data", manifest_of(task), *left_out(task), "--out", out, *options)
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
