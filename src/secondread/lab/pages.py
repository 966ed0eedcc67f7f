"""The pages of the lab, in Markdown: the comparison with the seed paper, a study of augmentations, a search."""

from collections.abc import Mapping
from typing import Any

from secondread.evidence.report import paper_figures
from secondread.pages import render
from secondread.tasks import load_task


def comparison_page(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """tables: task → what `lab.paper.compare` gave."""
    parts = [
        {"task": load_task(name), "table": table, "figures": paper_figures(table["claims"]) if table["claims"] else {}}
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
