"""The leaderboard: what kept results say of every system, first at hospitals left out, and which are of other data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np

from secondread.errors import DataInvalid
from secondread.files import write_bytes, write_text
from secondread.lab.leaderboard_plot import held_out_plot
from secondread.lab.left_out import mean_area, mean_difference
from secondread.lab.results import Result, kept_fingerprints, kept_results
from secondread.lab.systems import list_systems
from secondread.pages import render
from secondread.stats.delong import holm
from secondread.stats.interval import NOTHING, Interval
from secondread.stats.paired import choice_optimism
from secondread.tasks import Task, load_task


@dataclass(frozen=True)
class Written:
    """What a page shows, and what it says that it lacks."""

    n: int
    stale: tuple[str, ...]  # results of other data than the tasks' own, as 'tuberculosis/vit-0 (2026-11-25)'
    missing: tuple[str, ...]  # systems that the seed paper names and that have no result of the data of any task


def write_leaderboard(kept: Path, page: Path) -> Written:
    """The page in Markdown and, beside it, a picture for each task, of all results in `kept/<task>`.

    Raises DataInvalid where there are none.
    """
    results = kept_results(kept)
    if not results:
        raise DataInvalid(f"'{kept}' holds no results; give --task, --data and --out to make some")
    wanted = kept_fingerprints(kept, results)
    parts = [
        _part(task, [result for result in results if result["task"] == task], wanted[task])
        for task in sorted({result["task"] for result in results})
    ]
    for part in parts:
        picture = page.with_name(f"{page.stem}-{part['task'].name}.png")
        part["picture"] = picture.name if any(row["left"].value is not None for row in part["rows"]) else None
        if part["picture"]:
            write_bytes(picture, held_out_plot(part["rows"], title=part["task"].title))
        else:
            picture.unlink(missing_ok=True)
    missing = _missing([row["result"] for part in parts for row in part["rows"]])
    write_text(page, render("lab/templates/leaderboard.md.j2", parts=parts, missing=missing))
    stale = (f"{part['task'].name}/{one['name']} ({one['date']})" for part in parts for one in part["stale"])
    return Written(len(results), tuple(stale), tuple(missing))


def _missing(own: Sequence[Result]) -> list[str]:
    """What the seed paper names and none of these results is of."""
    found = {result.get("system") for result in own}
    ensembles = any(result["kind"] == "ensemble" for result in own)
    return [*(name for name in list_systems() if name not in found), *([] if ensembles else ["ensembles"])]


def best_systems(kept: Path, task: str, n: int, *, beside: str = "lenet") -> list[str]:
    """The networks' systems with the greatest mean area at hospitals left out, the best first; `beside` does not count.

    As far as there are results of the task's own data; none for a folder that holds nothing yet.
    """
    results = [result for result in kept_results(kept) if result["task"] == task]
    if not results:
        return []
    rows = _ranked([result for result in results if _is_own(result, kept_fingerprints(kept, results)[task])])
    names = [row["result"].get("system", "") for row in rows if row["result"]["kind"] == "network"]
    return [name for name in names if name and name != beside][:n]


def _is_own(result: Result, fingerprint: str) -> bool:
    return result["data"]["fingerprint"] == fingerprint


def _part(task: str, results: Sequence[Result], fingerprint: str) -> dict[str, Any]:
    """What the page's part of one task shows."""
    own = [result for result in results if _is_own(result, fingerprint)]
    rows, about = _ranked(own), load_task(task)
    hospitals = list(dict.fromkeys(name for row in rows for name in row["hospitals"]))
    places = list(dict.fromkeys(place for row in rows for place in row["elsewhere"]))
    taught = {about.hospital_of(name) for name in hospitals}
    return {
        "task": about,
        "fingerprint": fingerprint,
        "rows": rows,
        "hospitals": hospitals,
        "places": {place: _known(about, place, taught) for place in places},
        "commands": sorted({result["command"] for result in own}),
        "choice": _choice(own),
        "lesson": _lesson(rows),
        "stale": sorted(
            (result for result in results if not _is_own(result, fingerprint)), key=lambda one: one["name"]
        ),
    }


def _known(task: Task, place: str, taught: Collection[str]) -> bool:
    """Whether a place, as `_elsewhere` names it, is other patients of a hospital that has taught."""
    split, _, source = place.partition(": ")
    return split != "test" and task.hospital_of(source) in taught


def _ranked(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Lines of the tables, the best at hospitals left out first, then by validation; seeds of one system share a line.

    result: the run of the lowest seed. left, difference, hospitals: the mean over hospitals left out, its difference to
    the baseline, each hospital; p, p_left: of the differences, adjusted for the number of lines (None: the baseline).
    over_seeds, left_over_seeds: mean, standard deviation and number, if several. elsewhere: ROC AUC on other splits and
    on each source of a split. enough: whether every training was long enough, None where that is not known. seconds: of
    all trainings.
    """
    alike: dict[tuple[Any, ...], list[Result]] = {}
    for result in sorted(results, key=lambda result: result.get("random_state") or 0):
        seeded = result["kind"] in ("network", "classical")
        what = (result.get("system"), result["model"], result["recipe"]) if seeded else (result["name"],)
        alike.setdefault((result["kind"], *what), []).append(result)
    rows = [_row(runs) for runs in alike.values()]
    for key, told in (("p", "home"), ("p_left", "difference")):
        tested = [row for row in rows if row[told] is not None]
        for row, p in zip(tested, holm([row[told]["p"] for row in tested]), strict=True):
            row[key] = p
    return sorted(
        rows,
        key=lambda row: (row["left"].value is None, -(row["left"].value or 0.0), -fmean(_aucs(row["runs"], "val"))),
    )


def _row(runs: Sequence[Result]) -> dict[str, Any]:
    first = runs[0]
    is_baseline = first["name"] == first["against"]["baseline"]
    tests = [one["against"] for one in first.get("left_out", {}).values()]
    lefts = [_mean_left(run).value for run in runs]
    return {
        "result": first,
        "runs": runs,
        "left": _mean_left(first),
        "hospitals": {name: one["roc_auc"] for name, one in first.get("left_out", {}).items()},
        "home": None if is_baseline else first["against"],
        "difference": None if is_baseline or not tests or None in tests else mean_difference(tests),
        "p": None,
        "p_left": None,
        "over_seeds": _over(_aucs(runs, "test")),
        "left_over_seeds": _over([value for value in lefts if value is not None]),
        "elsewhere": _elsewhere(first),
        "enough": _enough(runs),
        "seconds": _seconds(runs),
    }


def _mean_left(result: Result) -> Interval:
    tables = result.get("left_out", {}).values()
    return mean_area([Interval.from_dict(one["roc_auc"]) for one in tables]) if len(tables) > 1 else NOTHING


def _enough(runs: Sequence[Result]) -> bool | None:
    """Whether every network of it trained until its validation loss was flat."""
    trained = [run for run in runs if run["kind"] == "network"]
    known = [one for run in trained for one in (run, *(left["training"] for left in run.get("left_out", {}).values()))]
    return all(one.get("flat") for one in known) if known else None


def _seconds(runs: Sequence[Result]) -> float | None:
    """Of all trainings, those without a hospital too; None where one is not known."""
    spent = [run.get("training_seconds") for run in runs]
    spent += [left["training"].get("seconds", 0.0) for run in runs for left in run.get("left_out", {}).values()]
    known = [one for one in spent if one is not None]
    return sum(known) if len(known) == len(spent) else None


def _lesson(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What a reader should take from a task's rows; None without a baseline that was measured at hospitals left out.

    lost: the median over systems of what is lost between the test images of known hospitals and a hospital left out.
    """
    known = [row for row in rows if row["left"].value is not None]
    baseline = next((row for row in known if row["home"] is None), None)
    if baseline is None:
        return None
    tested = [row for row in known if row["p_left"] is not None]
    sure = [row for row in tested if row["p_left"] < 0.05]
    at_home = max(rows, key=lambda row: row["result"]["metrics"]["test"]["roc_auc"]["value"])
    lost = [row["result"]["metrics"]["test"]["roc_auc"]["value"] - row["left"].value for row in known]
    return {
        "best": known[0],
        "baseline": baseline,
        "at_home": at_home,
        "tested": len(tested),
        "better": sum(row["difference"]["difference"] > 0 for row in sure),
        "worse": sum(row["difference"]["difference"] < 0 for row in sure),
        "lost": median(lost),
    }


def _choice(results: Sequence[Result]) -> dict[str, Any] | None:
    """{models, optimism}: what the choice by validation AUC among these flatters it by; None where images differ."""
    said = [result["predictions"]["val"] for result in results]
    images = [[row[0] for row in rows] for rows in said]
    if len(said) < 2 or any(names != images[0] for names in images):
        return None
    scores = np.array([[row[4] for row in rows] for rows in said], dtype=np.float64)
    read = ~np.isnan(scores).any(axis=0)
    labels, groups = np.array([row[1] for row in said[0]]) == 1, np.array([row[3] for row in said[0]])
    return {
        "models": len(said),
        "optimism": choice_optimism(labels[read], scores[:, read], groups=groups[read].tolist()),
    }


def _over(values: Sequence[float]) -> tuple[float, float, int] | None:
    return None if len(values) < 2 else (fmean(values), stdev(values), len(values))


def _aucs(runs: Sequence[Result], split: str) -> list[float]:
    return [run["metrics"][split]["roc_auc"]["value"] for run in runs]


def _elsewhere(result: Result) -> dict[str, Any]:
    others = {split: table["roc_auc"] for split, table in result["metrics"].items() if split not in ("val", "test")}
    sources = {
        f"{split}: {source}": table["roc_auc"]
        for split, tables in result["by_source"].items()
        for source, table in tables.items()
    }
    return others | sources
