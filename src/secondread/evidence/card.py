"""The card of a bundle: for whom it is, what it was made of, what was measured, where it fails, which gaps are left."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from secondread.errors import UsageError
from secondread.evidence.held_out import broken, elsewhere, spares_none
from secondread.evidence.promises import promises_of
from secondread.evidence.report import (
    PAPER_CLAIMS,
    WHAT_A_HEAT_MAP_IS_NOT,
    beside_the_paper,
    boxes_in_words,
    heatmap_in_words,
    roles_in_words,
)
from secondread.images import PrepareSpec
from secondread.pages import render
from secondread.reading import Bundle, add_to_bundle
from secondread.reading.heatmap import CAVEAT
from secondread.tasks import N_

CHECKLISTS = ("claim_2024", "tripod_ai")
_ANY_BORDER = N_("Borders around an image may change its answer: cut them off first.")
_OTHER_BORDERS = N_(
    "White or grey borders around an image may change its answer, and so may letters or bars in a black one: cut them "
    "off first."
)


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
        border_limit=_border_limit(bundle.prepare_spec),
        heatmap_not=WHAT_A_HEAT_MAP_IS_NOT,
        heatmap_in_words=heatmap_in_words,
        boxes_in_words=boxes_in_words,
        answered=_answered,
        promises=(promises := promises_of(bundle, evidence)),
        elsewhere=(places := elsewhere(evidence)),
        broken=broken(promises, places),
        useless=spares_none(places),
        roles=roles_in_words(evidence),
        sources=(sources := sources_of(bundle, evidence)),
        is_own=any(source["terms"] is None for source in sources),
        flattery=_flattery(bundle),
    )


def _border_limit(spec: PrepareSpec) -> str:
    """What borders do to an answer, '' where all are cut off before."""
    if not spec.trim_border:
        return _ANY_BORDER
    return "" if spec.borders == "any" else _OTHER_BORDERS


def sources_of(bundle: Bundle, evidence: dict[str, Any]) -> list[dict[str, str | None]]:
    """Name, what it is and terms (None: not known here) of every source that the manifest names.

    Of a record that does not tell them, those of the task.
    """
    known = {source.name: source for source in bundle.task.sources}
    images: dict[str, int] = {}
    for row in bundle.data.rows:
        images[row["source"]] = images.get(row["source"], 0) + int(row["n"])
    if images:
        for result in evidence["results"].values():
            images |= {name: images.get(name, 0) for name in result.get("by_source", {})}
    return [
        {"name": name, "what": known[name].title, "terms": known[name].terms}
        if name in known
        else {"name": name or "–", "what": _what(name, images[name]), "terms": None}
        for name in images or known
    ]


def _what(name: str, n: int) -> str:
    told = "a source of the manifest" if name else "images whose source the manifest does not name"
    return f"{told}, {n} of them taught or chose" if n else f"{told}, only read"


def _flattery(bundle: Bundle) -> str:
    """What was chosen on validation images, whose figures are flattered by it."""
    what = ["the best of its epochs"] if bundle.training.recipe.get("keep", "best") == "best" else []
    if bundle.members:
        what = ["the best epoch of each network", "which networks are members and with which shares"]
    what.append("network and recipe among those that were tried")
    listed = f"{', '.join(what[:-1])}, and {what[-1]}" if what[:-1] else what[0]
    return (
        f"Validation chose {listed}; each choice flatters what is seen on validation images, the promises with it, and "
        "how much all of them do together was not measured: that takes every run anew on other validation images. "
        "`docs/reference/leaderboard.md` has what the choice among its models does."
    )


def _answered(card: str) -> Iterator[dict[str, Any]]:
    """Every checklist with what the sections of this card answer of it."""
    titles = re.findall(r"^## (.+)$", card, flags=re.MULTILINE)
    for checklist in map(load_checklist, CHECKLISTS):
        found = [(item, *answers(item, titles)) for item in checklist.items]
        rows = [{"item": item, "places": places, "gap": gap} for item, places, gap in found]
        yield {"title": checklist.title, "citation": checklist.citation, "rows": rows, "titles": titles}


def keep_held_out(bundle: Bundle, section: Mapping[str, Any]) -> None:
    """Put `held_out_section` into a bundle's evidence, and the card made anew beside it. Raises UsageError."""
    if bundle.evidence is None:
        raise UsageError(f"{bundle.id} has no evidence yet; run `secondread evaluate --keep` first")
    evidence = {key: value for key, value in bundle.evidence.items() if key != "held_out"}
    at = list(evidence).index("results")
    rows = [*evidence.items()]
    kept = dict([*rows[:at], ("held_out", dict(section)), *rows[at:]])
    add_to_bundle(bundle, evidence=kept, card=write_card(bundle, kept))


def recalibrated_card(new: Bundle, old: Bundle) -> str:
    """The card of a bundle fitted anew to a site: its own operating points, then the old card, which says whose it is.

    What was measured of the old bundle holds for the same weights under the old calibration and thresholds.
    """
    return render("evidence/templates/recalibrated.md.j2", new=new, old=old, promises=promises_of(new))


def measured_table(bundles: Sequence[Bundle]) -> str:
    """In Markdown: a line for each bundle and measured source, beside the accuracy that the seed paper claims."""
    return render("evidence/templates/measured.md.j2", bundles=bundles, claims=PAPER_CLAIMS)


def defaults_table(bundles: Sequence[Bundle]) -> str:
    """In Markdown: a line for each bundle, at hospitals that taught it nothing and on its test split."""
    return render("evidence/templates/defaults.md.j2", bundles=bundles)
