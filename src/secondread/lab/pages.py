"""The pages of the lab, in Markdown: the comparison with the seed paper, a study, a search, hospitals left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from secondread.evidence.report import paper_figures
from secondread.pages import render
from secondread.stats.interval import Interval
from secondread.tasks import load_task


def comparison_page(tables: Mapping[str, Mapping[str, Any]], at_hand: Mapping[str, str] | None = None) -> str:
    """tables: task → what `lab.paper.compare` gave. at_hand: task → fingerprint of its data as they are now; what is of
    other images is said to be."""
    now = at_hand or {}
    parts = [
        {
            "task": load_task(name),
            "table": table,
            "figures": paper_figures(table["claims"]) if table["claims"] else {},
            "stale": name in now and now[name] != table["data_fingerprint"],
        }
        for name, table in sorted(tables.items())
    ]
    return render("lab/templates/paper-comparison.md.j2", parts=parts)


def study_page(table: Mapping[str, Any]) -> str:
    """table: what `lab.study.study` gave."""
    return render("lab/templates/study.md.j2", table=table)


def search_page(table: Mapping[str, Any], *, measure: str) -> str:
    """table: what `lab.search.search` gave; measure: the name of what it searched by. The best trial comes first."""
    trials = sorted(
        table["trials"], key=lambda row: (row["state"] != "complete", -(row["value"] or 0.0), row["number"])
    )
    return render("lab/templates/search.md.j2", table=table, trials=trials, measure=measure)


def holdout_page(table: Mapping[str, Any]) -> str:
    """table: what `lab.holdout.holdout` gave. The best plan comes first."""
    return render("lab/templates/holdout.md.j2", table=table, words=area_in_words)


def area_in_words(results: Sequence[Mapping[str, Any]]) -> str:
    """One hospital's area: with its interval, or where there are several seeds their mean and range."""
    if len(results) == 1:
        return Interval.from_dict(results[0]["roc_auc"]).format()
    values = [result["roc_auc"]["value"] for result in results]
    return f"{sum(values) / len(values):.3f} ({min(values):.3f}–{max(values):.3f})"
