"""The card of a bundle: for whom it is, what it was made of, what was measured, where it fails, which gaps are left."""

import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from secondread.evidence.report import PAPER_CLAIMS, WHAT_A_HEAT_MAP_IS_NOT, beside_the_paper, heatmap_in_words
from secondread.pages import render
from secondread.reading import Bundle
from secondread.reading.heatmap import CAVEAT

CHECKLISTS = ("claim_2024", "tripod_ai")


@dataclass(frozen=True)
class Item:
    """One thing that a report must say."""

    number: str
    section: str
    asks: str  # in words of this project's own
    where: tuple[str, ...] = ()  # sections of the card, or files of the project
    gap: str = ""  # what is missing
    otherwise: str = ""  # the gap where a card lacks the section


@dataclass(frozen=True)
class Checklist:
    """A published list of such things."""

    title: str
    citation: str
    items: tuple[Item, ...]


@cache
def load_checklist(name: str) -> Checklist:
    """One of CHECKLISTS."""
    table = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))
    items = tuple(Item(**{**item, "where": tuple(item.get("where", ()))}) for item in table["items"])
    return Checklist(table["title"], table["citation"], items)


def answers(item: Item, sections: Collection[str]) -> tuple[list[str], str]:
    """Where a card with these sections answers the item, and what is missing (may be empty)."""
    found = [place for place in item.where if place in sections or "/" in place or place.isupper()]  # or it is a file
    if found:
        return found, item.gap
    return [], item.gap or item.otherwise or f"not in this card: {', '.join(item.where)}"


def write_card(bundle: Bundle, evidence: dict[str, Any]) -> str:
    """The card in Markdown, from the bundle's record and its evidence. It holds no pixels."""
    return render(
        "evidence/templates/card.md.j2",
        bundle=bundle,
        evidence=evidence,
        claims=beside_the_paper(evidence),
        caveat=CAVEAT,
        heatmap_not=WHAT_A_HEAT_MAP_IS_NOT,
        heatmap_in_words=heatmap_in_words,
        answered=_answered,
    )


def _answered(card: str) -> Iterator[dict[str, Any]]:
    """Every checklist with what the sections of this card answer of it."""
    titles = re.findall(r"^## (.+)$", card, flags=re.MULTILINE)
    for checklist in map(load_checklist, CHECKLISTS):
        found = [(item, *answers(item, titles)) for item in checklist.items]
        rows = [{"item": item, "places": places, "gap": gap} for item, places, gap in found]
        yield {"title": checklist.title, "citation": checklist.citation, "rows": rows, "titles": titles}


def recalibrated_card(new: Bundle, old: Bundle) -> str:
    """The card of a bundle fitted anew to a site: its own operating points, then the old card, which says whose it is.

    What was measured of the old bundle holds for the same weights under the old calibration and thresholds.
    """
    return render("evidence/templates/recalibrated.md.j2", new=new, old=old)


def measured_table(bundles: Sequence[Bundle]) -> str:
    """In Markdown: a line for each bundle and measured source, beside the accuracy that the seed paper claims."""
    return render("evidence/templates/measured.md.j2", bundles=bundles, claims=PAPER_CLAIMS)


def defaults_table(bundles: Sequence[Bundle]) -> str:
    """In Markdown: a line for each bundle, at hospitals that taught it nothing and on its test split."""
    return render("evidence/templates/defaults.md.j2", bundles=bundles)
