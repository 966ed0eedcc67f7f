"""Kept results of comparisons: their files, the page that shows them, and the picture of accuracy against time."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from secondread.errors import DataInvalid, ExtraMissing
from secondread.files import write_bytes, write_text
from secondread.pages import render
from secondread.stats.delong import holm
from secondread.stats.paired import choice_optimism
from secondread.tasks import load_task

_FORMAT, _VERSION = "secondread-result", 1
_COLOURS = {"network": "#2b6c99", "bundle": "#1f2933", "classical": "#b3541e", "ensemble": "#5b8c2a"}

Result = Mapping[str, Any]


def load_result(path: Path) -> dict[str, Any]:
    """What `write_result` wrote. Raises DataInvalid for another file."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataInvalid(f"'{path}' is not a result of `secondread compare`: {error}") from error
    if not isinstance(table, dict) or (table.pop("format", None), table.pop("version", None)) != (_FORMAT, _VERSION):
        raise DataInvalid(f"'{path}' is not a result of `secondread compare` of version {_VERSION}; move it away")
    return table


def write_result(result: Result, path: Path) -> None:
    """Written aside, then renamed; every image on a line of its own."""
    table = {"format": _FORMAT, "version": _VERSION, **result}
    predictions = table.pop("predictions")  # the last entry of the file
    head = json.dumps(table, indent=1, ensure_ascii=False).removesuffix("\n}")
    splits = ",\n".join(f"  {json.dumps(split)}: [\n{_rows(rows)}\n  ]" for split, rows in predictions.items())
    text = f'{head},\n "predictions": {{\n{splits}\n }}\n}}'
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text + "\n")


def _rows(rows: Sequence[Sequence[Any]]) -> str:
    return ",\n".join(f"   {json.dumps(row, ensure_ascii=False)}" for row in rows)


def keep_result(result: Result, folder: Path) -> Path:
    """A result put with those that the page shows, in `folder/<task>`; one of the same name and recipe is replaced."""
    parts = [result["name"], result.get("recipe")] if result["kind"] == "network" else [result["kind"], result["name"]]
    path = folder / result["task"] / f"{'-'.join(map(str, parts))}.json"
    write_result(result, path)
    return path


def write_leaderboard(kept: Path, page: Path) -> int:
    """The page in Markdown and, beside it, a picture for each task, of all results in `kept/<task>`.

    Returns how many there are. Raises DataInvalid where there are none.
    """
    results = [load_result(path) for path in sorted(kept.glob("*/*.json"))]
    if not results:
        raise DataInvalid(f"'{kept}' holds no results; give --task, --data and --out to make some")
    parts = []
    for name in sorted({result["task"] for result in results}):
        task, rows = load_task(name), _ranked([result for result in results if result["task"] == name])
        picture = page.with_name(f"{page.stem}-{name}.png")
        write_bytes(picture, _plot([row["result"] for row in rows], title=task.title))
        commands = sorted({result["command"] for result in results if result["task"] == name})
        places = list(dict.fromkeys(place for row in rows for place in row["elsewhere"]))
        parts.append(
            {
                "task": task,
                "rows": rows,
                "picture": picture.name,
                "commands": commands,
                "places": places,
                "choice": _choice([result for result in results if result["task"] == name]),
            }
        )
    write_text(page, render("lab/templates/leaderboard.md.j2", parts=parts))
    return len(results)


def _ranked(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Lines of the tables, the best by validation first; runs that differ in the seed alone share one.

    result: the run of the lowest seed; over_seeds: mean, standard deviation and number of test AUCs, if several;
    elsewhere: ROC AUC on other splits and on each source of a split; p: of the difference to the baseline, adjusted for
    the number of lines, None for the baseline.
    """
    alike: dict[tuple[Any, ...], list[Result]] = {}
    for result in sorted(results, key=lambda result: result.get("random_state") or 0):
        seeded = result["kind"] in ("network", "classical")
        what = (result["model"], result["recipe"], result.get("epochs")) if seeded else (result["name"],)
        alike.setdefault((result["kind"], *what), []).append(result)
    ranked = sorted(alike.values(), key=lambda runs: -fmean(_aucs(runs, "val")))
    tested = [run["against"] for run, *_ in ranked if run["name"] != run["against"]["baseline"]]
    adjusted = iter(holm([test["p"] for test in tested]))
    return [
        {
            "result": runs[0],
            "over_seeds": _over_seeds(runs),
            "elsewhere": _elsewhere(runs[0]),
            "p": None if runs[0]["name"] == runs[0]["against"]["baseline"] else next(adjusted),
        }
        for runs in ranked
    ]


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


def _over_seeds(runs: Sequence[Result]) -> tuple[float, float, int] | None:
    values = _aucs(runs, "test")
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


def _plot(results: Sequence[Result], *, title: str) -> bytes:
    """Test accuracy and AUC with their intervals against the network's time; numbers as in the tables. PNG."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError as error:
        raise ExtraMissing.of("the picture of the leaderboard", "train") from error

    figure = Figure(figsize=(11, 4.5), dpi=110, layout="constrained")
    figure.suptitle(title)
    for axes, measure, label in zip(
        figure.subplots(1, 2), ("accuracy", "roc_auc"), ("accuracy", "ROC AUC"), strict=True
    ):
        for number, result in enumerate(results, start=1):
            found, colour = result["metrics"]["test"][measure], _COLOURS[result["kind"]]
            x, value = result["latency"]["network_ratio"], found["value"]
            reach = [[value - found["low"]], [found["high"] - value]]
            axes.errorbar(x, value, yerr=reach, color=colour, fmt="o", ms=4, lw=0.6, alpha=0.9)
            axes.annotate(str(number), (x, value), xytext=(4, 4), textcoords="offset points", fontsize=8, color=colour)
        axes.set_xscale("log")
        axes.set(xlabel="time of the network, ratio to the baseline", ylabel=f"{label} on test images")
        axes.grid(color="#d9dee3", lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    kinds = dict.fromkeys(result["kind"] for result in results)
    marks = [Line2D([], [], color=_COLOURS[kind], marker="o", lw=0, ms=4, label=kind) for kind in kinds]
    figure.legend(handles=marks, loc="outside lower center", ncol=len(marks), frameon=False)
    target = io.BytesIO()
    figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()
